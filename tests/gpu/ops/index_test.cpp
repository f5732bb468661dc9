#include "gpu/ops/both_devices.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <random>

namespace penstock::gpu {
namespace {

using tensor::TensorObjectPtr;

template <class... Tensors>
std::vector<TensorObjectPtr> list(Tensors... tensors) {
  std::vector<TensorObjectPtr> made;
  (made.push_back(std::move(tensors)), ...);
  return made;
}

/// Numbers below `bound`, from -bound on where they may count from the end.
TensorObjectPtr places(const Dims& sizes, Int bound, unsigned seed, DType dtype = DType::Int64,
                       bool from_end = true) {
  std::mt19937 generator(seed);
  std::uniform_int_distribution<Int> numbers(from_end ? -bound : 0, bound - 1);
  std::vector<Int> values(
      static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), Int{1}, std::multiplies<>())));
  std::ranges::generate(values, [&] { return numbers(generator); });
  return integers(sizes, values, dtype);
}

/// Numbers from 0 on, each once, in any order.
TensorObjectPtr shuffled(const Dims& sizes, unsigned seed) {
  std::vector<Int> values(
      static_cast<std::size_t>(std::accumulate(sizes.begin(), sizes.end(), Int{1}, std::multiplies<>())));
  std::iota(values.begin(), values.end(), Int{0});
  std::shuffle(values.begin(), values.end(), std::mt19937(seed));
  return integers(sizes, values);
}

/// self[given[1]], self[:, given[1], given[2]], ...: `skipped` dimensions come first.
Call index_call(std::size_t skipped, std::size_t count) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    std::vector<const Handle*> indices(skipped);
    for (std::size_t i = 0; i < count; ++i) indices.push_back(&given[i + 1]);
    return call_on(machine, "aoti_torch_cpu_index_Tensor", given[0], indices.data(),
                   static_cast<Int>(indices.size()), results);
  };
}

/// self with given[1] put at given[2], ...
Call index_put_call(std::size_t count, bool accumulates) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    std::vector<const Handle*> indices;
    for (std::size_t i = 0; i < count; ++i) indices.push_back(&given[i + 2]);
    return call_on(machine, "aoti_torch_cpu_index_put", given[0], indices.data(),
                   static_cast<Int>(indices.size()), given[1], Flag{accumulates}, results);
  };
}

TEST(GpuIndex, ReadsManyPlaces) {
  for (const DType dtype : {DType::Float32, DType::UInt8, DType::BFloat16, DType::Int64, DType::Complex128}) {
    const RandomTensor self{.dtype = dtype, .sizes = {40, 50, 30}, .order = {2, 0, 1}};
    const std::string text(dtype_name(dtype));
    expect_as_on_cpu(text + " one", list(self.make(), places({500}, 40, 1)), 1, index_call(0, 1));
    expect_as_on_cpu(text + " two",
                     list(self.make(), places({7, 9}, 50, 2), places({9}, 30, 3, DType::Int32)), 1,
                     index_call(1, 2));
    expect_as_on_cpu(
        text + " three",
        list(self.make(), places({60, 1}, 40, 4), places({1, 70}, 50, 5), places({60, 70}, 30, 6)), 1,
        index_call(0, 3));
  }
}

TEST(GpuIndex, CountsMasks) {
  const RandomTensor mask{.dtype = DType::Bool, .sizes = {40, 50}, .spread = 1, .order = {1, 0}};
  expect_as_on_cpu("a mask", list(RandomTensor{.sizes = {40, 50, 30}}.make(), mask.make()), 1,
                   index_call(0, 1));
  gpu().call.read_by_host = nullptr;
  results_on_gpu(list(RandomTensor{.sizes = {40, 50, 30}}.make(), mask.make()), 1, index_call(0, 1));
  ASSERT_NE(gpu().call.read_by_host, nullptr);
  EXPECT_EQ(std::string(gpu().call.read_by_host), "index");
}

TEST(GpuIndex, ReadsTheNearestElementWhereAPlaceIsOutOfBounds) {
  const auto made =
      results_on_gpu(list(integers({4}, {1, 2, 3, 4}), integers({5}, {0, 4, 1000000000, -5, -1000000000})), 1,
                     index_call(0, 1));
  expect_same(*made[0], *integers({5}, {1, 4, 4, 1, 1}), 0, "index");
}

TEST(GpuIndexPut, WritesEachPlaceOnce) {
  for (const DType dtype : {DType::Float32, DType::Int8, DType::Float16, DType::Int64, DType::Complex128}) {
    expect_as_on_cpu(
        std::string(dtype_name(dtype)),
        list(RandomTensor{.dtype = dtype, .sizes = {900, 7}, .order = {1, 0}}.make(),
             RandomTensor{.dtype = dtype, .sizes = {900, 7}, .seed = 4}.make(), shuffled({900}, 5)),
        1, index_put_call(1, false));
  }
}

TEST(GpuIndexPut, AddsUpWhatGoesToOnePlace) {
  for (const DType dtype :
       {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16, DType::Int64, DType::Int32,
        DType::Int16, DType::UInt8, DType::Complex64, DType::Complex128, DType::Bool}) {
    expect_as_on_cpu(std::string(dtype_name(dtype)),
                     list(RandomTensor{.dtype = dtype, .sizes = {11, 7}, .spread = 4}.make(),
                          RandomTensor{.dtype = dtype, .sizes = {500, 7}, .seed = 4, .spread = 2}.make(),
                          places({500}, 11, 5)),
                     1, index_put_call(1, true));
  }
}

TEST(GpuIndexPut, WritesNothingWhereAPlaceIsOutOfBounds) {
  for (const bool accumulates : {false, true}) {
    const auto made = results_on_gpu(
        list(integers({4}, {0, 0, 0, 0}), integers({4}, {1, 2, 3, 4}), integers({4}, {-5, 1, 4, 1000000000})),
        1, index_put_call(1, accumulates));
    expect_same(*made[0], *integers({4}, {0, 2, 0, 0}), 0, "index_put");
  }
}

/// out, self, index, source.
Call scatter_call(Int dim) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    if (call_on(machine, "aoti_torch_new_tensor_handle", given[0], results) != 0) return 1;
    return call_on(machine, "aoti_torch_cpu_scatter_src_out", given[0], given[1], dim, given[2], given[3]);
  };
}

Call reduce_call(Int dim, const std::string& kind, bool include_self) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    if (call_on(machine, "aoti_torch_new_tensor_handle", given[0], results) != 0) return 1;
    return call_on(machine, "aoti_torch_cpu_scatter_reduce_two_out", given[0], given[1], dim, given[2],
                   given[3], kind.c_str(), Flag{include_self});
  };
}

TEST(GpuScatter, PutsEachElementInItsPlace) {
  // Rows of an index that name each place once.
  std::vector<Int> rows;
  for (unsigned i = 0; i < 30; ++i) {
    std::vector<Int> row(200);
    std::iota(row.begin(), row.end(), Int{0});
    std::shuffle(row.begin(), row.end(), std::mt19937(i));
    rows.insert(rows.end(), row.begin(), row.begin() + 150);
  }
  for (const DType dtype : {DType::Float32, DType::Int8, DType::Float16, DType::Int64, DType::Complex128}) {
    expect_as_on_cpu(
        std::string(dtype_name(dtype)),
        list(RandomTensor{.dtype = dtype, .sizes = {30, 200}}.make(),
             RandomTensor{.dtype = dtype, .sizes = {30, 200}, .seed = 2, .order = {1, 0}}.make(),
             integers({30, 150}, rows),
             RandomTensor{.dtype = dtype, .sizes = {31, 160}, .seed = 3, .order = {1, 0}}.make()),
        1, scatter_call(1));
  }
}

TEST(GpuScatterReduce, CombinesManyElementsOfOnePlace) {
  for (const std::string kind : {"sum", "amax", "amin", "mean", "prod"}) {
    for (const DType dtype :
         {DType::Float32, DType::Float64, DType::Float16, DType::Int64, DType::Int32, DType::UInt8}) {
      for (const bool include_self : {false, true}) {
        const bool is_product = kind == "prod";
        const Int count = is_product ? 40 : 500;
        const RandomTensor self{.dtype = dtype, .sizes = {20, 9}, .spread = 4};
        const RandomTensor source{
            .dtype = dtype, .sizes = {count, 9}, .seed = 4, .spread = is_product ? 2 : 9};
        expect_as_on_cpu(
            kind + " of " + std::string(dtype_name(dtype)),
            list(self.make(), self.make(), places({count, 9}, 20, 5, DType::Int64, false), source.make()), 1,
            reduce_call(0, kind, include_self), 1e-5);
      }
    }
  }
}

TEST(GpuScatter, LeavesWhatIsOutOfBounds) {
  const auto tensors = list(integers({4}, {0, 0, 0, 0}), integers({4}, {0, 0, 0, 0}),
                            integers({4}, {-1, 1, 4, 1000000000}), integers({4}, {1, 2, 3, 4}));
  for (const Call& call : {scatter_call(0), reduce_call(0, "sum", true), reduce_call(0, "mean", false)}) {
    const auto made = results_on_gpu(tensors, 1, call);
    expect_same(*made[0], *integers({4}, {0, 2, 0, 0}), 0, "scatter");
  }
}

TEST(GpuIndexReduce, CombinesWholeSlices) {
  for (const std::string kind : {"prod", "amax", "amin", "mean"}) {
    expect_as_on_cpu(
        kind,
        list(RandomTensor{.sizes = {6, 20, 5}, .spread = 3}.make(), places({30}, 20, 5, DType::Int64, false),
             RandomTensor{.sizes = {6, 30, 5}, .seed = 8, .spread = 3, .order = {2, 1, 0}}.make()),
        1,
        [&](const auto& machine, const auto& given, Handle* results) {
          return call_on(machine, "aoti_torch_cpu_index_reduce", given[0], Int{1}, given[1], given[2],
                         kind.c_str(), Flag{1}, results);
        },
        1e-6);
  }
}

TEST(GpuCat, JoinsTensorsOfOtherLayoutsAndDtypes) {
  const auto call = [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_cat", given.data(), static_cast<Int>(given.size()), Int{1},
                   results);
  };
  const auto tensors = list(
      RandomTensor{.sizes = {40, 10, 6}}.make(),
      RandomTensor{.dtype = DType::Float16, .sizes = {40, 33, 6}, .order = {2, 1, 0}}.make(),
      RandomTensor{.sizes = {0}}.make(), RandomTensor{.dtype = DType::Int32, .sizes = {40, 1, 6}}.make());
  expect_as_on_cpu("cat", tensors, 1, call);
  expect_steady_call("cat", tensors, 1, call);
}

TEST(GpuIndex, AsksForNoMemoryAndCanBeRecorded) {
  expect_steady_call("index", list(RandomTensor{.sizes = {40, 50}}.make(), places({500}, 40, 1)), 1,
                     index_call(0, 1));
  expect_steady_call(
      "index_put",
      list(RandomTensor{.sizes = {40, 5}}.make(), RandomTensor{.sizes = {50, 5}}.make(), places({50}, 40, 1)),
      1, index_put_call(1, true));
  const RandomTensor half{.dtype = DType::Float16, .sizes = {20, 9}};
  expect_steady_call("scatter_reduce",
                     list(half.make(), half.make(), places({50, 9}, 20, 5, DType::Int64, false),
                          RandomTensor{.dtype = DType::Float16, .sizes = {50, 9}}.make()),
                     1, reduce_call(0, "mean", true));
}

}  // namespace
}  // namespace penstock::gpu
