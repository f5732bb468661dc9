#pragma once

#include "shim/cuda_call.hpp"

namespace penstock::cuda_ops {

/// As CudaOperators::copy.
void copy(const shim::CudaCall& call, const tensor::TensorObject& to, const tensor::TensorObject& from);

/// As CudaOperators::zero.
void zero(const shim::CudaCall& call, const tensor::TensorObject& to);

}  // namespace penstock::cuda_ops
