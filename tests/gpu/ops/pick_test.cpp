#include "gpu/ops/both_devices.hpp"

#include <array>

namespace penstock::gpu {
namespace {

using tensor::TensorObjectPtr;

std::vector<TensorObjectPtr> list(TensorObjectPtr first, TensorObjectPtr second = nullptr,
                                  TensorObjectPtr third = nullptr) {
  std::vector<TensorObjectPtr> tensors;
  for (TensorObjectPtr* each : {&first, &second, &third}) {
    if (*each != nullptr) tensors.push_back(std::move(*each));
  }
  return tensors;
}

TensorObjectPtr mask(const Dims& sizes, const MemoryOrder& order = {}) {
  return RandomTensor{.dtype = DType::Bool, .sizes = sizes, .seed = 9, .spread = 1, .order = order}.make();
}

Call nonzero_call() {
  return [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_nonzero", given[0], results);
  };
}

TEST(GpuNonzero, FindsThePlacesOfManyElements) {
  for (const DType dtype : {DType::Float32, DType::Bool, DType::Int64, DType::Float16, DType::Complex64}) {
    for (const Int rows : {1, 30, 700}) {
      expect_as_on_cpu(
          std::string(dtype_name(dtype)) + " " + std::to_string(rows),
          list(RandomTensor{.dtype = dtype, .sizes = {rows, 7, 11}, .spread = 1, .order = {2, 0, 1}}.make()),
          1, nonzero_call());
    }
  }
}

TEST(GpuNonzero, SaysThatTheHostReadsTheirNumber) {
  gpu().call.read_by_host = nullptr;
  results_on_gpu(list(mask({4})), 1, nonzero_call());
  ASSERT_NE(gpu().call.read_by_host, nullptr);
  EXPECT_EQ(std::string(gpu().call.read_by_host), "nonzero");
}

TEST(GpuNonzeroStatic, NeedsNoWord) {
  for (const Int size : {0, 5, 3000, 9000}) {
    const auto tensors = list(mask({80, 90}, {1, 0}));
    const auto call = [size](const auto& machine, const auto& given, Handle* results) {
      return call_on(machine, "aoti_torch_cpu_nonzero_static", given[0], size, Int{-7}, results);
    };
    expect_as_on_cpu(std::to_string(size), tensors, 1, call);
    expect_steady_call(std::to_string(size), tensors, 1, call);
  }
}

TEST(GpuMaskedSelect, BroadcastsBothSides) {
  const auto call = [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_masked_select", given[0], given[1], results);
  };
  for (const DType dtype : {DType::Float32, DType::UInt8, DType::Float16, DType::Int64, DType::Complex128}) {
    const RandomTensor values{.dtype = dtype, .sizes = {90, 70}, .order = {1, 0}};
    expect_as_on_cpu("alike", list(values.make(), mask({90, 70})), 1, call);
    expect_as_on_cpu("a row", list(values.make(), mask({70})), 1, call);
    expect_as_on_cpu("a column", list(values.make(), mask({90, 1})), 1, call);
    expect_as_on_cpu("more", list(values.make(), mask({3, 90, 70})), 1, call);
  }
}

TEST(GpuMaskedScatter, TakesSourcesInOrder) {
  const auto call = [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_masked_scatter", given[0], given[1], given[2], results);
  };
  const auto tensors = list(RandomTensor{.sizes = {90, 70}}.make(), mask({90, 70}, {1, 0}),
                            RandomTensor{.sizes = {70, 95}, .seed = 4, .order = {1, 0}}.make());
  expect_as_on_cpu("masked_scatter", tensors, 1, call);
  expect_steady_call("masked_scatter", tensors, 1, call);
}

/// PyTorch stops the device; here elements that have no source stay.
TEST(GpuMaskedScatter, LeavesWhatHasNoSource) {
  const auto made = results_on_gpu(
      list(integers({4}, {1, 2, 3, 4}), integers({4}, {1, 1, 0, 1}, DType::Bool), integers({1}, {9})), 1,
      [](const auto& machine, const auto& given, Handle* results) {
        return call_on(machine, "aoti_torch_cpu_masked_scatter", given[0], given[1], given[2], results);
      });
  expect_same(*made[0], *integers({4}, {9, 2, 3, 4}), 0, "masked_scatter");
}

Call repeat_call(Int* output_size) {
  return [output_size](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cpu_repeat_interleave_Tensor", given[0], output_size, results);
  };
}

TEST(GpuRepeatInterleave, RepeatsManyPlaces) {
  for (const DType dtype : {DType::Int64, DType::Int32}) {
    const auto tensors = list(mask({5000}));
    std::vector<TensorObjectPtr> counts;
    std::vector<Int> values(5000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<Int>(i * i % 5);
    counts.push_back(integers({5000}, values, dtype));
    expect_as_on_cpu(std::string(dtype_name(dtype)), counts, 1, repeat_call(nullptr));
  }
}

TEST(GpuRepeatInterleave, NeedsNoWordWhereItsSizeIsSaid) {
  Int size = 6;
  const auto tensors = list(integers({3}, {1, 2, 3}));
  expect_as_on_cpu("a size", tensors, 1, repeat_call(&size));
  expect_steady_call("a size", tensors, 1, repeat_call(&size));
  // One that is too large repeats the last.
  Int larger = 8;
  const auto made = results_on_gpu(tensors, 1, repeat_call(&larger));
  expect_same(*made[0], *integers({8}, {0, 1, 1, 2, 2, 2, 2, 2}), 0, "a size that is too large");
}

}  // namespace
}  // namespace penstock::gpu
