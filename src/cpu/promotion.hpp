#pragma once

#include <penstock/dtype.hpp>

namespace penstock::cpu {

/// Kinds of numbers in the order in which they win over each other.
enum class NumberKind { Bool, Integer, Floating, Complex };

/// Errors: Unsupported for dtypes that PyTorch does not promote.
NumberKind kind_of(DType dtype);

/// The dtype that PyTorch gives a result of elements of both. Errors: Unsupported for unsigned integers of
/// more than 8 bits and 8-bit floats beside others, as there. Source: torch.promote_types.
DType promote(DType a, DType b);

}  // namespace penstock::cpu
