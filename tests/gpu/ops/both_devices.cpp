#include "gpu/ops/both_devices.hpp"

#include "cpu/copy.hpp"
#include "cpu/elementwise.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

namespace penstock::gpu {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

TensorObjectPtr make_host(DType dtype, const Dims& sizes, const Dims& strides) {
  const auto extent = tensor::checked_extent(sizes, strides).value();
  const std::size_t bytes = static_cast<std::size_t>(extent) * element_bytes(dtype);
  const tensor::StorageReference storage(tensor::allocate_host_storage(bytes));
  if (bytes != 0) std::memset(storage->data, 0, bytes);
  return TensorObjectPtr(tensor::make_tensor(storage.get(), {dtype, sizes, strides, 0}));
}

TensorObjectPtr make_host(DType dtype, const Dims& sizes) {
  Dims strides(sizes.size());
  tensor::fill_contiguous_strides(sizes, strides);
  return make_host(dtype, sizes, strides);
}

bool is_unsigned(DType dtype) {
  return dtype == DType::UInt8 || dtype == DType::UInt16 || dtype == DType::UInt32 || dtype == DType::UInt64;
}

bool is_floating(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::Float64 || dtype == DType::Float16 ||
         dtype == DType::BFloat16 || dtype == DType::Complex64 || dtype == DType::Complex128;
}

/// All elements in row-major order as `dtype`.
TensorObjectPtr dense(const TensorObject& tensor, DType dtype) {
  TensorObjectPtr made = make_host(dtype, Dims(tensor.sizes().begin(), tensor.sizes().end()));
  cpu::copy(*made, tensor);
  return made;
}

/// Real parts, or imaginary ones behind them where there are such.
std::vector<double> parts(const TensorObject& tensor) {
  const bool is_complex = cpu::real_dtype(tensor.dtype) != tensor.dtype;
  const TensorObjectPtr made = dense(tensor, is_complex ? DType::Complex128 : DType::Float64);
  const auto* const data = reinterpret_cast<const double*>(made->data);
  return {data, data + made->numel * (is_complex ? 2 : 1)};
}

std::vector<Handle> handles_of(const std::vector<TensorObjectPtr>& tensors) {
  std::vector<Handle> handles;
  for (const auto& tensor : tensors) handles.push_back(tensor.get());
  return handles;
}

/// The same values, placed on the GPU; the host's stay with the caller.
std::vector<TensorObjectPtr> placed(const std::vector<TensorObjectPtr>& tensors) {
  std::vector<TensorObjectPtr> made;
  for (const auto& tensor : tensors) {
    made.push_back(to_gpu(
        TensorObjectPtr(tensor::make_tensor(tensor->storage, {.dtype = tensor->dtype,
                                                              .sizes = tensor->sizes(),
                                                              .strides = tensor->strides(),
                                                              .storage_offset = tensor->storage_offset}))));
  }
  return made;
}

}  // namespace

TensorObjectPtr RandomTensor::make() const {
  MemoryOrder memory = order;
  if (memory.empty()) {
    memory.resize(sizes.size());
    std::iota(memory.begin(), memory.end(), std::size_t{0});
  }
  Dims strides(sizes.size());
  std::int64_t stride = gap;
  for (std::size_t i = memory.size(); i-- > 0;) {
    strides[memory[i]] = stride;
    stride *= std::max<std::int64_t>(sizes[memory[i]], 1);
  }
  const TensorObjectPtr values = make_host(DType::Float64, sizes);
  std::mt19937 generator(seed);
  std::uniform_int_distribution<int> numbers(is_unsigned(dtype) ? 0 : -spread, spread);
  auto* const data = reinterpret_cast<double*>(values->data);
  for (std::int64_t i = 0; i < values->numel; ++i) {
    data[i] = numbers(generator) / (is_floating(dtype) ? 2.0 : 1.0);
  }
  TensorObjectPtr made = make_host(dtype, sizes, strides);
  cpu::copy(*made, *values);
  return made;
}

TensorObjectPtr integers(const Dims& sizes, const std::vector<std::int64_t>& values, DType dtype) {
  const TensorObjectPtr wide = make_host(DType::Int64, sizes);
  std::memcpy(wide->data, values.data(), values.size() * sizeof(std::int64_t));
  return dense(*wide, dtype);
}

std::vector<TensorObjectPtr> results_on_cpu(const std::vector<TensorObjectPtr>& tensors, std::size_t count,
                                            const Call& call) {
  cpu::OpState operators;
  shim::CallContext context;
  context.operators = &operators;
  const shim::ContextScope scope(context);
  std::vector<Handle> results(count);
  EXPECT_EQ(call(contract::Machine(), handles_of(tensors), results.data()), 0)
      << (context.failure ? context.failure->message : "");
  std::vector<TensorObjectPtr> made;
  for (const Handle result : results) made.emplace_back(result);
  return made;
}

std::vector<TensorObjectPtr> results_on_gpu(const std::vector<TensorObjectPtr>& tensors, std::size_t count,
                                            const Call& call) {
  const std::vector<TensorObjectPtr> here = placed(tensors);
  std::vector<Handle> results(count);
  EXPECT_EQ(run_on_gpu([&] { return call(gpu(), handles_of(here), results.data()); }), "");
  std::vector<TensorObjectPtr> made;
  for (const Handle result : results) made.push_back(gpu().fetch(TensorObjectPtr(result)));
  return made;
}

void expect_same(const TensorObject& actual, const TensorObject& expected, double tolerance,
                 const std::string& text) {
  ASSERT_EQ(dtype_name(actual.dtype), dtype_name(expected.dtype)) << text;
  ASSERT_EQ(tensor::sizes_text(actual.sizes()), tensor::sizes_text(expected.sizes())) << text;
  EXPECT_EQ(tensor::sizes_text(actual.strides()), tensor::sizes_text(expected.strides())) << text;
  if (tolerance == 0 && !is_floating(actual.dtype)) {
    // As bytes: doubles do not hold all integers.
    const TensorObjectPtr here = dense(actual, actual.dtype);
    const TensorObjectPtr there = dense(expected, actual.dtype);
    const std::size_t bytes = static_cast<std::size_t>(here->numel) * element_bytes(actual.dtype);
    EXPECT_TRUE(bytes == 0 || std::memcmp(here->data, there->data, bytes) == 0) << text << ": other integers";
    return;
  }
  const std::vector<double> values = parts(actual);
  const std::vector<double> wanted = parts(expected);
  double largest = 0;
  for (const double value : wanted) {
    if (std::isfinite(value)) largest = std::max(largest, std::abs(value));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] == wanted[i] || (std::isnan(values[i]) && std::isnan(wanted[i]))) continue;
    if (std::abs(values[i] - wanted[i]) <= tolerance * largest) continue;
    ADD_FAILURE() << text << ": element " << i << " is " << values[i] << ", not " << wanted[i];
    return;
  }
}

void expect_as_on_cpu(const std::string& text, const std::vector<TensorObjectPtr>& tensors,
                      std::size_t results, const Call& call, double tolerance) {
  const auto expected = results_on_cpu(tensors, results, call);
  const auto actual = results_on_gpu(tensors, results, call);
  for (std::size_t i = 0; i < results; ++i) {
    ASSERT_NE(actual[i], nullptr) << text;
    ASSERT_NE(expected[i], nullptr) << text;
    expect_same(*actual[i], *expected[i], tolerance, text + ", result " + std::to_string(i));
  }
}

void expect_steady_call(const std::string& text, const std::vector<TensorObjectPtr>& tensors,
                        std::size_t results, const Call& call) {
  const std::vector<TensorObjectPtr> here = placed(tensors);
  const auto run = [&] {
    std::vector<Handle> made(results);
    const std::string message = run_on_gpu([&] { return call(gpu(), handles_of(here), made.data()); });
    for (const Handle handle : made) tensor::free_tensor(handle);
    return message;
  };
  EXPECT_EQ(run(), "") << text;
  gpu().call.read_by_host = nullptr;
  expect_steady(text, run);
  EXPECT_EQ(gpu().call.read_by_host, nullptr) << text;
}

}  // namespace penstock::gpu
