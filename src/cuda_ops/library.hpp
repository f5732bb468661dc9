#pragma once

#include "shim/cuda_call.hpp"

namespace penstock::cuda_ops {

/// All operators on CUDA. Thread: thread-safe. Lifetime: the process.
shim::CudaOperators& library();

/// One table a family of functions, as in shim/table.hpp.
std::span<const shim::TableEntry> linear_algebra_functions();
std::span<const shim::TableEntry> convolution_functions();
std::span<const shim::TableEntry> attention_functions();
std::span<const shim::TableEntry> recurrent_functions();
std::span<const shim::TableEntry> order_functions();
std::span<const shim::TableEntry> indexing_functions();
std::span<const shim::TableEntry> pooling_functions();
std::span<const shim::TableEntry> random_functions();

}  // namespace penstock::cuda_ops
