#include "gpu/ops/both_devices.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace penstock::gpu {
namespace {

using tensor::TensorObjectPtr;

std::vector<TensorObjectPtr> only(TensorObjectPtr tensor) {
  std::vector<TensorObjectPtr> tensors;
  tensors.push_back(std::move(tensor));
  return tensors;
}

Call sort_call(Int dim, bool descending) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    Flag stable = 1;
    return call_on(machine, "aoti_torch_cpu_sort_stable", given[0], &stable, dim, Flag{descending}, results,
                   results + 1);
  };
}

TEST(GpuSort, SortsRowsOfEveryLengthStably) {
  for (const Int length : {1, 2, 255, 256, 257, 2047, 2048, 2049, 5000, 70000}) {
    for (const bool descending : {false, true}) {
      const std::string text = std::to_string(length) + (descending ? " descending" : " ascending");
      expect_as_on_cpu(text, only(RandomTensor{.sizes = {2, length}, .spread = 300}.make()), 2,
                       sort_call(1, descending));
    }
  }
}

TEST(GpuSort, SortsEveryDtypeAlongAnyDimension) {
  for (const DType dtype :
       {DType::Bool, DType::UInt8, DType::Int8, DType::Int16, DType::Int32, DType::Int64, DType::UInt16,
        DType::UInt32, DType::UInt64, DType::Float16, DType::BFloat16, DType::Float32, DType::Float64}) {
    for (const Int length : {40, 300, 3000}) {
      for (const Int dim : {0, 1}) {
        const Dims sizes = dim == 0 ? Dims{length, 3} : Dims{3, length};
        expect_as_on_cpu(
            std::string(dtype_name(dtype)) + " " + std::to_string(length),
            only(RandomTensor{.dtype = dtype, .sizes = sizes, .spread = 100, .order = {1, 0}}.make()), 2,
            sort_call(dim, dim == 0));
      }
    }
  }
}

/// The first k of a stable sort, which takes the first of equal elements.
TEST(GpuTopk, TakesTheFirstOfASortWhateverTheSizes) {
  struct Case {
    Int rows;
    Int length;
    Int k;
  };
  for (const auto& [rows, length, k] :
       {Case{3, 10, 4}, Case{2, 300, 300}, Case{2, 2048, 100}, Case{2, 2100, 60}, Case{2, 40000, 50},
        Case{1, 40000, 512}, Case{1, 9000, 600}, Case{300, 20, 5}}) {
    for (const bool largest : {false, true}) {
      const auto tensors = only(RandomTensor{.sizes = {rows, length}, .spread = 2000}.make());
      const auto sorted = results_on_cpu(tensors, 2, sort_call(1, largest));
      const auto found =
          results_on_gpu(tensors, 2, [&](const auto& machine, const auto& given, Handle* results) {
            return call_on(machine, "aoti_torch_cpu_topk", given[0], k, Int{1}, Flag{largest}, Flag{rows > 1},
                           results, results + 1);
          });
      for (std::size_t i = 0; i < 2; ++i) {
        const auto first = results_on_cpu(
            only(TensorObjectPtr(tensor::make_tensor(
                sorted[i]->storage, {sorted[i]->dtype, Dims{rows, k}, sorted[i]->strides(), 0}))),
            1, [&](const auto& machine, const auto& given, Handle* results) {
              return call_on(machine, "aoti_torch_cpu_reshape", given[0],
                             static_cast<const Int*>(Dims{rows * k}.data()), Int{1}, results);
            });
        const TensorObjectPtr flat(
            tensor::make_tensor(found[i]->storage, {found[i]->dtype, Dims{rows * k}, Dims{1}, 0}));
        expect_same(*flat, *first[0], 0, std::to_string(length) + ", k " + std::to_string(k));
      }
    }
  }
}

TEST(GpuKthvalue, FindsTheSameElement) {
  for (const Int length : {100, 3000}) {
    for (const Int k : {Int{1}, length / 2, length}) {
      const auto tensors = only(RandomTensor{.sizes = {4, length}, .spread = 1000000}.make());
      const auto call = [&](const auto& machine, const auto& given, Handle* results) {
        return call_on(machine, "aoti_torch_cpu_kthvalue", given[0], k, Int{1}, Flag{0}, results,
                       results + 1);
      };
      expect_as_on_cpu(std::to_string(length) + ", k " + std::to_string(k), tensors, 2, call);
    }
  }
}

TEST(GpuMedian, FindsTheMiddleOfLongTensors) {
  for (const std::string name : {"median", "nanmedian"}) {
    for (const DType dtype : {DType::Float32, DType::Float16, DType::Int64, DType::UInt8}) {
      expect_as_on_cpu(
          name, only(RandomTensor{.dtype = dtype, .sizes = {70, 90}, .spread = 200, .order = {1, 0}}.make()),
          1, [&](const auto& machine, const auto& given, Handle* results) {
            return call_on(machine, "aoti_torch_cpu_" + name, given[0], results);
          });
    }
  }
}

Call scan_call(const std::string& name, Int dim) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_" + name, given[0], dim, static_cast<Flag*>(nullptr), results);
  };
}

TEST(GpuScan, AddsUpRowsOfEveryLength) {
  for (const Int length : {1, 31, 33, 1023, 1024, 1025, 4097, 100000}) {
    const std::string text = std::to_string(length);
    expect_as_on_cpu("int " + text, only(RandomTensor{.dtype = DType::Int32, .sizes = {2, length}}.make()), 1,
                     scan_call("cumsum", 1));
    expect_as_on_cpu("float " + text, only(RandomTensor{.sizes = {2, length}}.make()), 1,
                     scan_call("cumsum", 1), 1e-6);
  }
  for (const DType dtype : {DType::Float16, DType::BFloat16, DType::Float64, DType::Complex64,
                            DType::Complex128, DType::Bool, DType::UInt8, DType::Int64}) {
    expect_as_on_cpu(std::string(dtype_name(dtype)),
                     only(RandomTensor{.dtype = dtype, .sizes = {3, 700}, .spread = 10}.make()), 1,
                     scan_call("cumsum", 1), 1e-2);
  }
}

TEST(GpuScan, GoesAlongAnyDimension) {
  for (const Int dim : {0, 1, 2}) {
    expect_as_on_cpu("dimension " + std::to_string(dim),
                     only(RandomTensor{.sizes = {70, 60, 50}, .order = {1, 0, 2}}.make()), 1,
                     scan_call("cumsum", dim), 1e-6);
  }
  expect_as_on_cpu("wraps around",
                   only(RandomTensor{.dtype = DType::Int64, .sizes = {40, 100}, .spread = 1000000}.make()), 1,
                   scan_call("cumprod", 1));
}

TEST(GpuScan, FindsExtremesOfLongRows) {
  for (const std::string name : {"cummax", "cummin"}) {
    for (const DType dtype : {DType::Float32, DType::Float16, DType::Int64, DType::Int8}) {
      for (const Int length : {20, 900, 30000}) {
        expect_as_on_cpu(name + " " + std::to_string(length),
                         only(RandomTensor{.dtype = dtype, .sizes = {2, length}, .spread = 100}.make()), 2,
                         [&](const auto& machine, const auto& given, Handle* results) {
                           return call_on(machine, "aoti_torch_cpu_" + name, given[0], Int{1}, results,
                                          results + 1);
                         });
      }
    }
  }
}

TEST(GpuScan, AddsExponentsOfLongRows) {
  for (const Int length : {20, 900, 30000}) {
    expect_as_on_cpu(
        std::to_string(length), only(RandomTensor{.sizes = {2, length}, .spread = 20}.make()), 1,
        [&](const auto& machine, const auto& given, Handle* results) {
          return call_on(machine, "aoti_torch_cpu_logcumsumexp", given[0], Int{1}, results);
        },
        1e-6);
  }
}

TEST(GpuSearch, FindsPlacesInLongSequences) {
  std::vector<Int> edges(3000);
  std::iota(edges.begin(), edges.end(), -1500);
  for (const DType dtype : {DType::Int64, DType::Float32, DType::Int16}) {
    for (const Flag right : {0, 1}) {
      auto tensors = only(RandomTensor{.dtype = dtype, .sizes = {50, 60}, .order = {1, 0}}.make());
      tensors.push_back(integers({3000}, edges, dtype));
      expect_as_on_cpu(std::string(dtype_name(dtype)), tensors, 1,
                       [&](const auto& machine, const auto& given, Handle* results) {
                         return call_on(machine, "aoti_torch_cpu_bucketize_Tensor", given[0], given[1],
                                        Flag{1}, right, results);
                       });
    }
  }
}

/// A sorter whose places are out of bounds gives some place, and nothing outside of the sequence is read.
TEST(GpuSearch, StaysInsideOfTheSequenceWhateverTheSorterSays) {
  const auto sequence = to_gpu(integers({4}, {1, 2, 3, 4}));
  const auto sorter = to_gpu(integers({4}, {-9, 1, 2, 1000000}));
  const auto values = to_gpu(integers({2}, {0, 9}));
  Handle result = nullptr;
  Handle sorter_handle = sorter.get();
  ASSERT_EQ(run_on_gpu([&] {
              return call_on(gpu(), "aoti_torch_cpu_searchsorted_Tensor", sequence.get(), values.get(),
                             Flag{0}, Flag{0}, static_cast<const char**>(nullptr), &sorter_handle, &result);
            }),
            "");
  const auto found = gpu().fetch(TensorObjectPtr(result));
  EXPECT_EQ(reinterpret_cast<const Int*>(found->data)[0], 0);
  EXPECT_EQ(reinterpret_cast<const Int*>(found->data)[1], 4);
}

TEST(GpuOrder, AsksForNoMemoryAndCanBeRecorded) {
  const auto tensors = only(RandomTensor{.sizes = {2, 5000}}.make());
  expect_steady_call("sort", tensors, 2, sort_call(1, true));
  expect_steady_call("cumsum", tensors, 1, scan_call("cumsum", 1));
  expect_steady_call("topk", tensors, 2, [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_topk", given[0], Int{20}, Int{1}, Flag{1}, Flag{1}, results,
                   results + 1);
  });
}

}  // namespace
}  // namespace penstock::gpu
