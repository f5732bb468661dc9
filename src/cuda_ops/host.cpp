#include "shim/cuda_host.hpp"

#include "cuda_ops/library.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "system/ranges.hpp"
#include "tensor/layout.hpp"

#include <array>
#include <string_view>

// The core's functions that operators call, by the addresses that the core gives. Linked into
// libpenstock_cuda only: where operators are linked with the core itself, they call it.
namespace penstock {
namespace {

const shim::CudaHost* host = nullptr;

}  // namespace

namespace shim {

const CudaCall& cuda_call() { return host->cuda_call(); }

tensor::TensorObjectPtr make_cuda_result(DType dtype, std::span<const std::int64_t> sizes,
                                         std::span<const std::int64_t> strides) {
  return tensor::TensorObjectPtr(host->make_cuda_result(dtype, sizes, strides));
}

tensor::TensorObjectPtr make_cuda_result(DType dtype, std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> used(strides.data(), sizes.size());
  tensor::fill_contiguous_strides(sizes, used);
  return make_cuda_result(dtype, sizes, used);
}

std::int32_t record_failure() noexcept { return host->record_failure(); }

}  // namespace shim

namespace tensor {

TensorObject* make_tensor(Storage* storage, const Layout& layout) {
  return host->make_tensor(storage, layout);
}
void free_tensor(TensorObject* tensor) noexcept { host->free_tensor(tensor); }

}  // namespace tensor

namespace cuda {

const Driver& driver() { return host->driver(); }
void check(Result result, const char* call, const std::string& what) { host->check(result, call, what); }

}  // namespace cuda

namespace system {

void push_range(const char* name) noexcept { host->push_range(name); }
void pop_range() noexcept { host->pop_range(); }

}  // namespace system
}  // namespace penstock

extern "C" __attribute__((visibility("default"))) penstock::shim::CudaOperators* penstock_cuda_operators(
    const penstock::shim::CudaHost& given) {
  if (std::string_view(given.version) != PENSTOCK_VERSION) return nullptr;
  penstock::host = &given;
  return &penstock::cuda_ops::library();
}
