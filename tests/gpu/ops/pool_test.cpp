#include "gpu/ops/both_devices.hpp"

#include <array>

namespace penstock::gpu {
namespace {

using tensor::TensorObjectPtr;

template <class... Tensors>
std::vector<TensorObjectPtr> list(Tensors... tensors) {
  std::vector<TensorObjectPtr> made;
  (made.push_back(std::move(tensors)), ...);
  return made;
}

const MemoryOrder kChannelsLast{0, 2, 3, 1};

Call max_pool_call() {
  return [](const auto& machine, const auto& given, Handle* results) {
    static constexpr std::array<Int, 2> kKernel{3, 4};
    static constexpr std::array<Int, 2> kStep{2, 2};
    static constexpr std::array<Int, 2> kPadding{1, 2};
    static constexpr std::array<Int, 2> kDilation{2, 1};
    return call_on(machine, "aoti_torch_cpu_max_pool2d_with_indices", given[0], kKernel.data(), Int{2},
                   kStep.data(), Int{2}, kPadding.data(), Int{2}, kDilation.data(), Int{2}, Flag{1}, results,
                   results + 1);
  };
}

Call average_pool_call(Flag counts_padding) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    static constexpr std::array<Int, 2> kKernel{3, 3};
    static constexpr std::array<Int, 2> kStep{2, 1};
    static constexpr std::array<Int, 2> kPadding{1, 1};
    return call_on(machine, "aoti_torch_cpu_avg_pool2d", given[0], kKernel.data(), Int{2}, kStep.data(),
                   Int{2}, kPadding.data(), Int{2}, Flag{0}, counts_padding, static_cast<Int*>(nullptr),
                   results);
  };
}

TEST(GpuPool, PoolsLargeImages) {
  for (const DType dtype : {DType::Float32, DType::Float16, DType::BFloat16, DType::Float64}) {
    for (const MemoryOrder& order : {MemoryOrder{}, kChannelsLast}) {
      const RandomTensor image{.dtype = dtype, .sizes = {2, 6, 45, 50}, .spread = 100, .order = order};
      const std::string text(dtype_name(dtype));
      expect_as_on_cpu("max " + text, list(image.make()), 2, max_pool_call());
      expect_as_on_cpu("average " + text, list(image.make()), 1, average_pool_call(1), 1e-2);
      expect_as_on_cpu("average " + text, list(image.make()), 1, average_pool_call(0), 1e-2);
    }
  }
}

TEST(GpuPool, AdaptsToSizesThatDoNotDivide) {
  static constexpr std::array<Int, 2> kSize{7, 5};
  for (const MemoryOrder& order : {MemoryOrder{}, kChannelsLast}) {
    const RandomTensor image{.sizes = {2, 6, 45, 52}, .spread = 100, .order = order};
    expect_as_on_cpu(
        "average", list(image.make()), 1,
        [](const auto& machine, const auto& given, Handle* results) {
          return call_on(machine, "aoti_torch_cpu__adaptive_avg_pool2d", given[0], kSize.data(), Int{2},
                         results);
        },
        1e-6);
    expect_as_on_cpu("max", list(image.make()), 2,
                     [](const auto& machine, const auto& given, Handle* results) {
                       return call_on(machine, "aoti_torch_cpu_adaptive_max_pool2d", given[0], kSize.data(),
                                      Int{2}, results, results + 1);
                     });
  }
}

TEST(GpuPad, PadsEveryDtypeInEveryWay) {
  static constexpr std::array<Int, 4> kAmounts{3, -2, 1, 4};
  for (const char* const mode : {"constant", "reflect", "replicate", "circular"}) {
    for (const DType dtype :
         {DType::Float32, DType::Float16, DType::Int64, DType::UInt8, DType::Complex128}) {
      const RandomTensor image{.dtype = dtype, .sizes = {2, 6, 45, 50}, .order = kChannelsLast};
      expect_as_on_cpu(std::string(mode) + " " + std::string(dtype_name(dtype)), list(image.make()), 1,
                       [mode](const auto& machine, const auto& given, Handle* results) {
                         double value = 1.5;
                         const bool is_constant = std::string(mode) == "constant";
                         return call_on(machine, "aoti_torch_cpu_pad", given[0], kAmounts.data(), Int{4},
                                        mode, is_constant ? &value : nullptr, results);
                       });
    }
  }
}

TEST(GpuPool, AsksForNoMemoryAndCanBeRecorded) {
  const RandomTensor image{.sizes = {2, 6, 45, 50}};
  expect_steady_call("max", list(image.make()), 2, max_pool_call());
  expect_steady_call("average", list(image.make()), 1, average_pool_call(1));
}

struct Bag {
  Int mode = 0;
  Flag include_last_offset = 0;
  Int padding_idx = -1;
  bool weighted = false;
};

/// weight, indices, offsets, weights of the indices.
Call embedding_bag_call(const Bag& bag) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    Handle factors = given[3];
    return call_on(machine, "aoti_torch_cpu__embedding_bag", given[0], given[1], given[2], Flag{0}, bag.mode,
                   Flag{0}, bag.weighted ? &factors : nullptr, bag.include_last_offset, bag.padding_idx,
                   results, results + 1, results + 2, results + 3);
  };
}

std::vector<TensorObjectPtr> bag_tensors(DType dtype, DType integer) {
  return list(RandomTensor{.dtype = dtype, .sizes = {20, 33}, .spread = 8}.make(),
              integers({9}, {3, 19, 0, 3, 3, 7, 1, 2, 19}, integer), integers({4}, {0, 2, 2, 6}, integer),
              RandomTensor{.dtype = dtype, .sizes = {9}, .seed = 5, .spread = 4}.make());
}

/// The bags are those of the CPU; what is there for gradients has other sizes on CUDA.
TEST(GpuEmbeddingBag, GivesTheBagsOfTheCpuAndTheSizesOfCuda) {
  const std::array kBags{Bag{},
                         Bag{.mode = 1},
                         Bag{.mode = 2},
                         Bag{.mode = 1, .padding_idx = 3},
                         Bag{.include_last_offset = 1},
                         Bag{.mode = 0, .weighted = true}};
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    for (const Bag& bag : kBags) {
      const DType integer = bag.mode == 1 ? DType::Int32 : DType::Int64;
      const auto tensors = bag_tensors(dtype, integer);
      const auto expected = results_on_cpu(tensors, 4, embedding_bag_call(bag));
      const auto actual = results_on_gpu(tensors, 4, embedding_bag_call(bag));
      expect_same(*actual[0], *expected[0], 1e-2, "mode " + std::to_string(bag.mode));
      const Int bags = bag.include_last_offset != 0 ? 3 : 4;
      EXPECT_EQ(actual[1]->numel, 9);
      EXPECT_EQ(actual[2]->numel, 4);
      EXPECT_EQ(actual[3]->numel, bag.mode == 2 ? bags * 33 : 0);
      EXPECT_EQ(actual[2]->dtype, integer);
    }
  }
  const auto plain = results_on_gpu(bag_tensors(DType::Float32, DType::Int64), 4, embedding_bag_call({}));
  expect_same(*plain[1], *integers({9}, {0, 0, 2, 2, 2, 2, 3, 3, 3}), 0, "offset2bag");
  expect_same(*plain[2], *integers({4}, {2, 0, 4, 3}), 0, "bag_size");
}

TEST(GpuEmbeddingBag, LeavesOutWhatIsOutOfBounds) {
  const auto made =
      results_on_gpu(list(integers({2, 1}, {5, 7}, DType::Float32), integers({3}, {0, 1000000, -4}),
                          integers({2}, {0, 1000000}), integers({3}, {1, 1, 1}, DType::Float32)),
                     4, embedding_bag_call({}));
  expect_same(*made[0], *integers({2, 1}, {5, 0}, DType::Float32), 0, "bags");
}

}  // namespace
}  // namespace penstock::gpu
