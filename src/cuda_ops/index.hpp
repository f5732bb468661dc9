#pragma once

#include "cpu/index_shape.hpp"
#include "cuda_ops/kernels/arguments.hpp"
#include "shim/cuda_call.hpp"

#include <vector>

namespace penstock::cuda_ops {

/// What index tensors on a device say about one tensor. A place that is out of bounds is not known here:
/// kernels read the nearest one that is not, and write none.
struct IndexPlan {
  cpu::IndexShape shape;
  std::vector<cpu::IndexColumn> columns;
  std::vector<tensor::TensorObjectPtr> masks;  ///< The places of masks, on which columns lie.
  std::vector<kernels::IndexColumn> arguments;
};

/// A mask's elements are counted, for which the host waits (`function` marks the run); places are not looked
/// at. Errors: InvalidArgument in PyTorch's words for sizes and dtypes that do not go together; Unsupported
/// for more index tensors than kernels have room for.
IndexPlan plan_index(const shim::CudaCall& call, const tensor::TensorObject& self, cpu::IndexTensors indices,
                     const char* function);

/// out = self[indices], of the plan's sizes.
void index(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& self,
           const IndexPlan& plan);

/// self[indices] = values (broadcast), or += where `accumulates`: atomically, in any order. Without that, any
/// one of several values for one place stays.
void index_put(const shim::CudaCall& call, const tensor::TensorObject& self, const IndexPlan& plan,
               const tensor::TensorObject& values, bool accumulates);

}  // namespace penstock::cuda_ops
