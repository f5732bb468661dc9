#pragma once

#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

namespace penstock::cpu {

/// How searchsorted looks for places.
struct SearchOptions {
  bool right = false;                            ///< The place behind equal elements, not before them.
  const tensor::TensorObject* sorter = nullptr;  ///< Where the sorted elements are; null: in order.
};

/// Whether places are those behind equal elements, of what a caller says twice. `side` may be null.
/// Errors: InvalidArgument in PyTorch's words for a side that is none, and where the two do not agree.
bool is_right_side(bool right, const char* side);

/// Errors: InvalidArgument in PyTorch's words for sizes that do not go together.
void check_search(const tensor::TensorObject& sequence, const tensor::TensorObject& values,
                  const tensor::TensorObject* sorter);

/// out = the places at which `values` would have to be put into `sequence`, which is sorted along its last
/// dimension: one sequence for all values, or one for each of their rows. `out` is int32 or int64, of the
/// sizes of `values`. `pool`: as for Temporary. Errors: InvalidArgument in PyTorch's words.
/// Source: torch.searchsorted.
void searchsorted(tensor::Allocator* pool, const tensor::TensorObject& out,
                  const tensor::TensorObject& sequence, const tensor::TensorObject& values,
                  const SearchOptions& options);

}  // namespace penstock::cpu
