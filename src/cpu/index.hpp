#pragma once

#include "cpu/index_shape.hpp"
#include "cpu/temporary.hpp"
#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

namespace penstock::cpu {

/// What index tensors say about one tensor, checked: every place is inside of it.
struct IndexPlan {
  IndexShape shape;
  /// For each place of the broadcast index tensors, in row-major order, the elements from the start of
  /// self to what it names.
  Temporary<std::int64_t> offsets;
  tensor::Allocator* pool = nullptr;  ///< For temporaries of those who follow the plan.
};

/// `pool`: as for Temporary. Errors: InvalidArgument in PyTorch's words for an index that is out of bounds or
/// of another dtype, and for sizes that do not go together.
IndexPlan plan_index(tensor::Allocator* pool, const tensor::TensorObject& self, IndexTensors indices);

/// out = self[indices]; `out` has the sizes of plan.shape.result. Source: torch.Tensor.__getitem__.
void index(const tensor::TensorObject& out, const tensor::TensorObject& self, const IndexPlan& plan);

/// self[indices] = values (broadcast), or += where `accumulates`, each repeated place as often as it is
/// there; without that the last one stays. Errors: InvalidArgument in PyTorch's words for dtypes or sizes
/// that do not go together. Source: torch.Tensor.index_put_.
void index_put(const tensor::TensorObject& self, const IndexPlan& plan, const tensor::TensorObject& values,
               bool accumulates);

}  // namespace penstock::cpu
