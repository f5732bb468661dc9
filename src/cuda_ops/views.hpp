#pragma once

#include "shim/cuda_call.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <span>

namespace penstock::cuda_ops {

/// The memory of `tensor` with other sizes and strides, from its first element on.
tensor::TensorObjectPtr view(const tensor::TensorObject& tensor, std::span<const std::int64_t> sizes,
                             std::span<const std::int64_t> strides);

/// `tensor` broadcast to `sizes` by strides of zero. Errors: InvalidArgument names `op` and both sizes.
tensor::TensorObjectPtr expand(const char* op, const tensor::TensorObject& tensor,
                               std::span<const std::int64_t> sizes);

/// A copy with these strides, in the call's pool. Stream-ordered.
tensor::TensorObjectPtr copied(const shim::CudaCall& call, const tensor::TensorObject& tensor,
                               std::span<const std::int64_t> strides);
/// The same, row-major.
tensor::TensorObjectPtr copied(const shim::CudaCall& call, const tensor::TensorObject& tensor);

}  // namespace penstock::cuda_ops
