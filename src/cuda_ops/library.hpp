#pragma once

#include "cuda_ops/needs.hpp"
#include "shim/cuda_call.hpp"

namespace penstock::cuda_ops {

/// All operators on CUDA. Thread: thread-safe. Lifetime: the process.
shim::CudaOperators& library();

/// One table a family of functions.
std::span<const Operator> linear_algebra_functions();
std::span<const Operator> convolution_functions();
std::span<const Operator> attention_functions();
std::span<const Operator> recurrent_functions();
std::span<const Operator> elementwise_functions();
std::span<const Operator> order_functions();
std::span<const Operator> indexing_functions();
std::span<const Operator> pooling_functions();
std::span<const Operator> random_functions();

}  // namespace penstock::cuda_ops
