#pragma once

#include "tensor/tensor_object.hpp"

namespace penstock::cpu {

/// to = from, broadcast to its sizes and converted to its dtype as torch.Tensor.copy_ does: rounded to
/// nearest even, truncated to integers, 1 for what is not 0 as a bool. Strides are free.
/// Errors: InvalidArgument for sizes that do not broadcast; Unsupported for a conversion of 8-bit floats.
void copy(const tensor::TensorObject& to, const tensor::TensorObject& from);

/// Sets every element. Errors: as for copy. Source: torch.Tensor.fill_.
void fill(const tensor::TensorObject& to, double value);

}  // namespace penstock::cpu
