#pragma once

#include "cuda_ops/kernels/arguments.hpp"
#include "shim/cuda_call.hpp"

namespace penstock::cuda_ops {

/// As CudaOperators::copy; `from` may be broadcast to the sizes of `to`. Elements between which there are
/// gaps, and those of transposed tensors, are copied by kernels; all that lies alike in both is one copy.
void copy(const shim::CudaCall& call, const tensor::TensorObject& to, const tensor::TensorObject& from);

/// As CudaOperators::zero.
void zero(const shim::CudaCall& call, const tensor::TensorObject& to);

/// Sets all elements to a number, as torch.Tensor.fill_ does.
void fill(const shim::CudaCall& call, const tensor::TensorObject& to, const kernels::FillValue& value);

}  // namespace penstock::cuda_ops
