#include "shim/cuda_tensor.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "shim/cuda_call.hpp"
#include "shim/results.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::shim {
namespace {

using tensor::TensorObject;

cuda::DevicePointer address(const TensorObject& tensor) {
  return reinterpret_cast<cuda::DevicePointer>(tensor.data);
}

void tell(const CudaCall& call, const char* function) {
  if (call.observer != nullptr) call.observer->launched(CudaObserver::Kind::Copy, function, call.stream);
}

std::size_t bytes_of(const TensorObject& tensor) {
  return static_cast<std::size_t>(tensor.numel) * element_bytes(tensor.dtype);
}

/// Between host and device only whole blocks travel: strides are sorted out on the device.
void copy_across(const CudaCall& call, const TensorObject& to, const TensorObject& from) {
  const bool is_plain = to.dtype == from.dtype && std::ranges::equal(to.sizes(), from.sizes()) &&
                        tensor::is_contiguous(to.sizes(), to.strides()) &&
                        tensor::is_contiguous(from.sizes(), from.strides());
  if (!is_plain) {
    base::fail(ErrorCode::Unsupported,
               "a copy between host and GPU of {} {} into {} {}, which do not both lie row-major",
               dtype_name(from.dtype), tensor::sizes_text(from.sizes()), dtype_name(to.dtype),
               tensor::sizes_text(to.sizes()));
  }
  const std::size_t bytes = bytes_of(to);
  if (bytes == 0) return;
  const cuda::Driver& driver = cuda::driver();
  // The host's bytes are those of now.
  call.read_by_host = "copy_ between host and device";
  if (is_on_cuda(to)) {
    tell(call, "cuMemcpyHtoDAsync");
    cuda::check(driver.memcpy_htod_async(address(to), from.data, bytes, call.stream), "cuMemcpyHtoDAsync",
                "a copy to the device");
  } else {
    tell(call, "cuMemcpyDtoHAsync");
    cuda::check(driver.memcpy_dtoh_async(to.data, address(from), bytes, call.stream), "cuMemcpyDtoHAsync",
                "a copy to the host");
  }
  cuda::check(driver.stream_synchronize(call.stream), "cuStreamSynchronize",
              "a copy between host and device");
}

}  // namespace

tensor::TensorObjectPtr clone_bytes_on_cuda(const TensorObject& self) {
  const CudaCall& call = cuda_call();
  tensor::TensorObjectPtr made = make_cuda_result(self.dtype, self.sizes(), self.strides());
  const std::size_t bytes = made->storage->bytes;
  if (bytes == 0) return made;
  tell(call, "cuMemcpyDtoDAsync");
  cuda::check(cuda::driver().memcpy_dtod_async(address(*made), address(self), bytes, call.stream),
              "cuMemcpyDtoDAsync", "a copy of a tensor");
  return made;
}

void copy_with_cuda(const TensorObject& to, const TensorObject& from) {
  const CudaCall& call = cuda_call();
  if (is_on_cuda(to) && is_on_cuda(from)) return call.operators->copy(call, to, from);
  copy_across(call, to, from);
}

void zero_on_cuda(const TensorObject& self) {
  const CudaCall& call = cuda_call();
  call.operators->zero(call, self);
}

void read_element(void* to, const TensorObject& from, const char* function) {
  const CudaCall& call = cuda_call();
  call.read_by_host = function;
  tell(call, "cuMemcpyDtoHAsync");
  cuda::check(cuda::driver().memcpy_dtoh_async(to, address(from), element_bytes(from.dtype), call.stream),
              "cuMemcpyDtoHAsync", function);
  cuda::check(cuda::driver().stream_synchronize(call.stream), "cuStreamSynchronize", function);
}

}  // namespace penstock::shim
