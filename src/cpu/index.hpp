#pragma once

#include "cpu/strided.hpp"
#include "tensor/tensor_object.hpp"

#include <span>
#include <vector>

namespace penstock::cpu {

/// Index tensors of an operator, one a dimension of `self` from the first on; null keeps a dimension.
/// int32 and int64 tensors are places, bool and uint8 ones masks over as many dimensions as they have.
using IndexTensors = std::span<const tensor::TensorObject* const>;

/// What index tensors say about one tensor, checked: every place is inside of it.
struct IndexPlan {
  /// self[indices]. The broadcast sizes of the index tensors stand where the indexed dimensions were, or
  /// before all others where these are not neighbors. Strides as PyTorch's.
  ResultLayout result;
  std::size_t first = 0;  ///< Where the dimensions of the index tensors begin in the result,
  std::size_t count = 0;  ///< and how many they are.
  Dims self_strides;      ///< Strides of self in the result's order, 0 for the dimensions of index tensors.
  /// For each place of the broadcast index tensors, in row-major order, the elements from the start of
  /// self to what it names.
  Dims offsets;
};

/// Errors: InvalidArgument in PyTorch's words for an index that is out of bounds or of another dtype, and
/// for sizes that do not go together.
IndexPlan plan_index(const tensor::TensorObject& self, IndexTensors indices);

/// out = self[indices]; `out` has the sizes of plan.result. Source: torch.Tensor.__getitem__.
void index(const tensor::TensorObject& out, const tensor::TensorObject& self, const IndexPlan& plan);

/// self[indices] = values (broadcast), or += where `accumulates`, each repeated place as often as it is
/// there; without that the last one stays. Errors: InvalidArgument in PyTorch's words for dtypes or sizes
/// that do not go together. Source: torch.Tensor.index_put_.
void index_put(const tensor::TensorObject& self, const IndexPlan& plan, const tensor::TensorObject& values,
               bool accumulates);

}  // namespace penstock::cpu
