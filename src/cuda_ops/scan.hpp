#pragma once

#include "shim/cuda_call.hpp"

#include <cstddef>
#include <cstdint>

namespace penstock::cuda_ops {

enum class ScanKind { Sum, Product, LogSum, Largest, Smallest };

struct ScanOperands {
  const tensor::TensorObject& self;
  const tensor::TensorObject& out;
  const tensor::TensorObject* indices = nullptr;  ///< Of extremes: where they are, int64.
  std::size_t dim = 0;
};

/// What elements up to each place along a dimension give together. Integers wrap around; floats are combined
/// as doubles. `self` has the dtype of `out`, or both are integers. Errors: Unsupported dtype.
void scan(const shim::CudaCall& call, ScanKind kind, const ScanOperands& operands);

}  // namespace penstock::cuda_ops
