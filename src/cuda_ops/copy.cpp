#include "cuda_ops/copy.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda_ops/images.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>

namespace penstock::cuda_ops {
namespace {

constexpr std::size_t kDims = 16;

/// As in kernels/copy.cu.
struct Shape {
  int rank;
  std::array<std::int64_t, kDims> size;
  std::array<std::int64_t, kDims> to;
  std::array<std::int64_t, kDims> from;
};

cuda::DevicePointer address(const tensor::TensorObject& tensor) {
  return reinterpret_cast<cuda::DevicePointer>(tensor.data);
}

Shape shape_of(const tensor::TensorObject& to, const tensor::TensorObject& from) {
  if (static_cast<std::size_t>(to.rank) > kDims) {
    base::fail(ErrorCode::Unsupported,
               "a copy of a tensor of {} dimensions on a GPU; at most {} are possible", to.rank, kDims);
  }
  Shape shape{.rank = to.rank, .size = {}, .to = {}, .from = {}};
  std::ranges::copy(to.sizes(), shape.size.begin());
  std::ranges::copy(to.strides(), shape.to.begin());
  std::ranges::copy(from.strides(), shape.from.begin());
  return shape;
}

const Kernel& kernel_for(std::size_t element) {
  static constexpr Kernel kOne(kCopyImage, "penstock_copy_1");
  static constexpr Kernel kTwo(kCopyImage, "penstock_copy_2");
  static constexpr Kernel kFour(kCopyImage, "penstock_copy_4");
  static constexpr Kernel kEight(kCopyImage, "penstock_copy_8");
  static constexpr Kernel kSixteen(kCopyImage, "penstock_copy_16");
  switch (element) {
    case 1: return kOne;
    case 2: return kTwo;
    case 4: return kFour;
    case 8: return kEight;
    default: return kSixteen;
  }
}

}  // namespace

void copy(const shim::CudaCall& call, const tensor::TensorObject& to, const tensor::TensorObject& from) {
  if (!std::ranges::equal(to.sizes(), from.sizes()) || to.dtype != from.dtype) {
    base::fail(ErrorCode::Unsupported, "a copy of {} {} into {} {} on a GPU", dtype_name(from.dtype),
               tensor::sizes_text(from.sizes()), dtype_name(to.dtype), tensor::sizes_text(to.sizes()));
  }
  if (to.numel == 0) return;
  const std::size_t element = element_bytes(to.dtype);
  if (tensor::is_contiguous(to.sizes(), to.strides()) &&
      tensor::is_contiguous(from.sizes(), from.strides())) {
    if (call.observer != nullptr) {
      call.observer->launched(shim::CudaObserver::Kind::Copy, "cuMemcpyDtoDAsync", call.stream);
    }
    cuda::check(cuda::driver().memcpy_dtod_async(address(to), address(from),
                                                 static_cast<std::size_t>(to.numel) * element, call.stream),
                "cuMemcpyDtoDAsync", "a copy of a tensor");
    return;
  }
  kernel_for(element).launch(call, grid_for(call, to.numel), address(to), address(from), shape_of(to, from),
                             to.numel);
}

void zero(const shim::CudaCall& call, const tensor::TensorObject& to) {
  if (to.numel == 0) return;
  if (!tensor::is_contiguous(to.sizes(), to.strides())) {
    base::fail(ErrorCode::Unsupported, "zeros in a tensor with strides {} on a GPU",
               tensor::sizes_text(to.strides()));
  }
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Fill, "cuMemsetD8Async", call.stream);
  }
  cuda::check(cuda::driver().memset_d8_async(
                  address(to), 0, static_cast<std::size_t>(to.numel) * element_bytes(to.dtype), call.stream),
              "cuMemsetD8Async", "zeros in a tensor");
}

}  // namespace penstock::cuda_ops
