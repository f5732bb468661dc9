#include "gpu/ops/both_devices.hpp"

#include <array>

namespace penstock::gpu {
namespace {

constexpr std::array kAll{DType::Bool,    DType::UInt8,     DType::Int8,      DType::Int16,
                          DType::Int32,   DType::Int64,     DType::UInt16,    DType::UInt32,
                          DType::UInt64,  DType::Float16,   DType::BFloat16,  DType::Float32,
                          DType::Float64, DType::Complex64, DType::Complex128};

/// Copies the second tensor into the first, which is the result.
AOTITorchError copy_into(const contract::Machine& machine, const std::vector<Handle>& tensors,
                         Handle* results) {
  if (call_on(machine, "aoti_torch_new_tensor_handle", tensors[0], results) != 0) return 1;
  return call_on(machine, "aoti_torch_copy_", tensors[0], tensors[1], Flag{0});
}

std::vector<tensor::TensorObjectPtr> pair(tensor::TensorObjectPtr to, tensor::TensorObjectPtr from) {
  std::vector<tensor::TensorObjectPtr> tensors;
  tensors.push_back(std::move(to));
  tensors.push_back(std::move(from));
  return tensors;
}

TEST(GpuCopy, ConvertsEveryDtypeToEveryOther) {
  for (const DType to : kAll) {
    for (const DType from : kAll) {
      const std::string text = std::string(dtype_name(from)) + " to " + std::string(dtype_name(to));
      expect_as_on_cpu(text,
                       pair(RandomTensor{.dtype = to, .sizes = {5, 31}}.make(),
                            RandomTensor{.dtype = from, .sizes = {5, 31}, .seed = 2, .order = {1, 0}}.make()),
                       1, copy_into);
    }
  }
}

TEST(GpuCopy, KeepsWhatOnlySixtyFourBitsHold) {
  constexpr std::int64_t kLarge = (std::int64_t{1} << 53) + 1;
  for (const DType to : {DType::Int64, DType::UInt64, DType::Float32, DType::Float64, DType::Float16}) {
    expect_as_on_cpu(std::string(dtype_name(to)),
                     pair(RandomTensor{.dtype = to, .sizes = {4}}.make(),
                          integers({4}, {kLarge, -kLarge, INT64_MAX, INT64_MIN})),
                     1, copy_into);
  }
}

TEST(GpuCopy, MovesElementsOfEverySizeBetweenLayouts) {
  struct Case {
    Dims sizes;
    MemoryOrder to;
    MemoryOrder from;
    std::int64_t to_gap = 1;
    std::int64_t from_gap = 1;
  };
  const std::vector<Case> cases{
      {{33, 65}, {0, 1}, {1, 0}},
      {{64, 64}, {1, 0}, {0, 1}},
      {{1, 100}, {0, 1}, {1, 0}},
      {{7, 5}, {0, 1}, {1, 0}},
      {{3, 40, 9}, {0, 1, 2}, {0, 2, 1}},
      {{3, 40, 9}, {0, 1, 2}, {2, 1, 0}},
      {{2, 16, 10, 12}, {0, 1, 2, 3}, {0, 2, 3, 1}},
      {{2, 16, 10, 12}, {0, 2, 3, 1}, {0, 1, 2, 3}},
      {{2, 3, 4, 5, 6}, {4, 2, 0, 1, 3}, {1, 3, 0, 4, 2}},
      {{6, 20}, {0, 1}, {0, 1}, 1, 2},
      {{6, 20}, {0, 1}, {0, 1}, 3, 1},
      {{6, 21}, {0, 1}, {1, 0}, 2, 3},
      {{2000, 70}, {0, 1}, {1, 0}},
      {{}, {}, {}},
      {{0, 3}, {0, 1}, {1, 0}},
  };
  for (const DType dtype : {DType::Int8, DType::Float16, DType::Float32, DType::Int64, DType::Complex128}) {
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const Case& one = cases[i];
      const std::string text = std::string(dtype_name(dtype)) + ", case " + std::to_string(i);
      expect_as_on_cpu(
          text,
          pair(RandomTensor{.dtype = dtype, .sizes = one.sizes, .order = one.to, .gap = one.to_gap}.make(),
               RandomTensor{
                   .dtype = dtype, .sizes = one.sizes, .seed = 3, .order = one.from, .gap = one.from_gap}
                   .make()),
          1, copy_into);
    }
  }
}

TEST(GpuCopy, GivesOneElementToAllAndLeavesWhatLiesBetween) {
  expect_as_on_cpu("a number",
                   pair(RandomTensor{.sizes = {9, 70}, .gap = 2}.make(), RandomTensor{.sizes = {}}.make()), 1,
                   copy_into);
  expect_as_on_cpu("a row", pair(RandomTensor{.sizes = {9, 70}}.make(), RandomTensor{.sizes = {70}}.make()),
                   1, copy_into);
  expect_as_on_cpu("a column",
                   pair(RandomTensor{.sizes = {9, 70}}.make(), RandomTensor{.sizes = {9, 1}}.make()), 1,
                   copy_into);
}

TEST(GpuCopy, ClonesWithTheStridesOfTheTensor) {
  std::vector<tensor::TensorObjectPtr> tensors;
  tensors.push_back(RandomTensor{.sizes = {12, 33, 5}, .order = {2, 0, 1}}.make());
  expect_as_on_cpu("clone", tensors, 1, [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_clone", given[0], results);
  });
}

TEST(GpuZero, ZeroesTensorsOfAnyStrides) {
  for (const DType dtype : kAll) {
    for (const std::int64_t gap : {1, 2}) {
      std::vector<tensor::TensorObjectPtr> tensors;
      tensors.push_back(RandomTensor{.dtype = dtype, .sizes = {6, 50}, .order = {1, 0}, .gap = gap}.make());
      expect_as_on_cpu(std::string(dtype_name(dtype)), tensors, 1,
                       [](const auto& machine, const auto& given, Handle* results) {
                         if (call_on(machine, "aoti_torch_new_tensor_handle", given[0], results) != 0)
                           return 1;
                         return call_on(machine, "aoti_torch_zero_", given[0]);
                       });
    }
  }
}

TEST(GpuFill, StoresANumberAsEveryDtype) {
  for (const DType dtype : kAll) {
    for (const double value : {2.0, 0.0, 3.5, 65504.0, 1e300}) {
      std::vector<tensor::TensorObjectPtr> tensors;
      tensors.push_back(RandomTensor{.dtype = dtype, .sizes = {3, 50}, .gap = 2}.make());
      expect_as_on_cpu(std::string(dtype_name(dtype)) + " " + std::to_string(value), tensors, 1,
                       [value](const auto& machine, const auto& given, Handle* results) {
                         if (call_on(machine, "aoti_torch_new_tensor_handle", given[0], results) != 0)
                           return 1;
                         return call_on(machine, "aoti_torch_cpu_fill__Scalar", given[0], value);
                       });
    }
  }
}

TEST(GpuItem, ReadsOneElementAndSaysSo) {
  const auto number = to_gpu(integers({1}, {42}));
  gpu().call.read_by_host = nullptr;
  std::int64_t value = 0;
  EXPECT_EQ(run_on_gpu([&] { return call_on(gpu(), "aoti_torch_item_int64", number.get(), &value); }), "");
  EXPECT_EQ(value, 42);
  ASSERT_NE(gpu().call.read_by_host, nullptr);
  EXPECT_EQ(std::string(gpu().call.read_by_host), "item");
}

TEST(GpuCopy, AsksForNoMemoryAndCanBeRecorded) {
  expect_steady_call(
      "a transposition",
      pair(RandomTensor{.sizes = {64, 80}}.make(), RandomTensor{.sizes = {64, 80}, .order = {1, 0}}.make()),
      1, copy_into);
  expect_steady_call(
      "a conversion",
      pair(RandomTensor{.dtype = DType::Float16, .sizes = {64}}.make(), RandomTensor{.sizes = {64}}.make()),
      1, copy_into);
}

}  // namespace
}  // namespace penstock::gpu
