#pragma once

#include "base/fail.hpp"
#include "cpu/strided.hpp"
#include "tensor/tensor_object.hpp"

#include <span>

// What index tensors make of the shape of a tensor, wherever its elements are.
namespace penstock::cpu {

/// Index tensors of an operator, one a dimension of `self` from the first on; null keeps a dimension.
/// int32 and int64 tensors are places, bool and uint8 ones masks over as many dimensions as they have.
using IndexTensors = std::span<const tensor::TensorObject* const>;

/// Places along one dimension of self: what an index tensor says, or a mask of one of its dimensions.
struct IndexColumn {
  std::size_t dim = 0;
  Dims sizes;
  Dims strides;
  Dims result_strides;  ///< Over all of the result's dimensions; set by index_shape.
};

struct IndexShape {
  /// self[indices]. The broadcast sizes of the index tensors stand where the indexed dimensions were, or
  /// before all others where these are not neighbors. Strides as PyTorch's.
  ResultLayout result;
  std::size_t first = 0;  ///< Where the dimensions of the index tensors begin in the result,
  std::size_t count = 0;  ///< and how many they are.
  Dims self_strides;      ///< Strides of self in the result's order, 0 for the dimensions of index tensors.
  Dims index_sizes;       ///< What the index tensors are broadcast to.
};

/// Errors: InvalidArgument in PyTorch's words for sizes that do not go together.
IndexShape index_shape(const tensor::TensorObject& self, std::span<IndexColumn> columns);

/// `strides` of something of `sizes`, broadcast to `to`; known to fit.
Dims broadcast_index(const Dims& sizes, DimsView strides, const Dims& to);

/// Errors: InvalidArgument in PyTorch's words for a mask that does not fit self from `dim` on.
void check_mask_sizes(const tensor::TensorObject& self, const tensor::TensorObject& mask, std::size_t dim);

/// Calls add_places(index, dim) or add_mask(mask, dim) for each index tensor.
/// Errors: InvalidArgument in PyTorch's words for too many, and for other dtypes.
template <class AddPlaces, class AddMask>
void for_each_index(const tensor::TensorObject& self, IndexTensors indices, AddPlaces&& add_places,
                    AddMask&& add_mask) {
  if (indices.size() > static_cast<std::size_t>(self.rank)) {
    base::fail(ErrorCode::InvalidArgument, "too many indices for tensor of dimension {} (got {})", self.rank,
               indices.size());
  }
  const auto refuse_more = [&] {
    base::fail(ErrorCode::InvalidArgument, "too many indices for tensor of dimension {}", self.rank);
  };
  const auto rank = static_cast<std::size_t>(self.rank);
  std::size_t dim = 0;
  for (const tensor::TensorObject* const index : indices) {
    if (index == nullptr || index->storage == nullptr) {
      ++dim;
      continue;
    }
    switch (index->dtype) {
      case DType::Bool:
      case DType::UInt8:
        check_mask_sizes(self, *index, dim);
        add_mask(*index, dim);
        dim += static_cast<std::size_t>(index->rank);
        break;
      case DType::Int32:
      case DType::Int64:
        // Masks may have had all dimensions.
        if (dim >= rank) refuse_more();
        add_places(*index, dim++);
        break;
      default:
        base::fail(ErrorCode::InvalidArgument,
                   "tensors used as indices must be long, int, byte or bool tensors");
    }
  }
  if (dim > rank) refuse_more();
}

/// Errors: InvalidArgument in PyTorch's words for values that index_put cannot put there.
Dims index_put_strides(const tensor::TensorObject& self, DimsView result_sizes,
                       const tensor::TensorObject& values);

}  // namespace penstock::cpu
