#pragma once

#include "cpu/strided.hpp"
#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>

namespace penstock::cpu {

/// How many elements are not 0; NaN is not.
std::int64_t count_nonzero(const tensor::TensorObject& self);

/// Sizes [count, rank of self] in the layout that PyTorch gives it, column after column.
ResultLayout nonzero_layout(const tensor::TensorObject& self, std::int64_t count);

/// The places of elements that are not 0, in row-major order, one a row of `out` (int64). Of a larger
/// number the first are written; rows beyond the last place are set to `rest`.
/// Source: torch.nonzero, torch.nonzero_static.
void nonzero(const tensor::TensorObject& out, const tensor::TensorObject& self, std::int64_t rest);

/// How many elements masked_select gives: self and mask are broadcast to each other.
/// Errors: InvalidArgument for a mask that is not bool, or sizes that do not go together.
std::int64_t count_selected(const tensor::TensorObject& self, const tensor::TensorObject& mask);

/// The elements of self at which the mask is true, in row-major order, into the one dimension of `out`.
/// Source: torch.masked_select.
void masked_select(const tensor::TensorObject& out, const tensor::TensorObject& self,
                   const tensor::TensorObject& mask);

/// Sets the elements of `out` at which the mask (broadcast) is true to source's, one after the other.
/// `pool`: as for Temporary. Errors: InvalidArgument where source has too few.
/// Source: torch.Tensor.masked_scatter_.
void masked_scatter(tensor::Allocator* pool, const tensor::TensorObject& out,
                    const tensor::TensorObject& mask, const tensor::TensorObject& source);

/// Elements of `repeats`, which are counts, give `count` results. Errors: InvalidArgument for one below 0.
std::int64_t count_repeats(const tensor::TensorObject& repeats);

/// out = each place in `repeats` as often as the element there says. Source: torch.repeat_interleave.
void repeat_interleave(const tensor::TensorObject& out, const tensor::TensorObject& repeats);

}  // namespace penstock::cpu
