#include "cuda_ops/views.hpp"

#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <array>

namespace penstock::cuda_ops {

tensor::TensorObjectPtr view(const tensor::TensorObject& tensor, std::span<const std::int64_t> sizes,
                             std::span<const std::int64_t> strides) {
  return tensor::TensorObjectPtr(tensor::make_tensor(
      tensor.storage,
      {.dtype = tensor.dtype, .sizes = sizes, .strides = strides, .storage_offset = tensor.storage_offset}));
}

tensor::TensorObjectPtr expand(const char* op, const tensor::TensorObject& tensor,
                               std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, tensor::kRoomForDims> strides{};
  const auto rank = static_cast<std::size_t>(tensor.rank);
  bool fits = rank <= sizes.size();
  for (std::size_t i = 0; fits && i < rank; ++i) {
    const std::size_t dim = sizes.size() - rank + i;
    fits = tensor.size[i] == sizes[dim] || tensor.size[i] == 1;
    strides[dim] = tensor.size[i] == 1 ? 0 : tensor.stride[i];
  }
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "{}: sizes {} cannot be broadcast to {}", op,
               tensor::sizes_text(tensor.sizes()), tensor::sizes_text(sizes));
  }
  return view(tensor, sizes, {strides.data(), sizes.size()});
}

tensor::TensorObjectPtr copied(const shim::CudaCall& call, const tensor::TensorObject& tensor,
                               std::span<const std::int64_t> strides) {
  tensor::TensorObjectPtr made = shim::make_cuda_result(tensor.dtype, tensor.sizes(), strides);
  call.operators->copy(call, *made, tensor);
  return made;
}

tensor::TensorObjectPtr copied(const shim::CudaCall& call, const tensor::TensorObject& tensor) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> used(strides.data(), static_cast<std::size_t>(tensor.rank));
  tensor::fill_contiguous_strides(tensor.sizes(), used);
  return copied(call, tensor, used);
}

}  // namespace penstock::cuda_ops
