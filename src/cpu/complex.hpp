#pragma once

#include "tensor/tensor_object.hpp"

namespace penstock::cpu {

/// The dtype of a complex dtype's parts, and the other way round. Errors: InvalidArgument.
DType real_part_type(DType dtype);
DType complex_type(DType dtype);

/// What the results of `absolute` and `angle` are for elements of `dtype`.
DType absolute_type(DType dtype);
DType angle_type(DType dtype);

/// out = |self|, and out = the angle of self in radians. Complex elements give real ones; a real element's
/// angle is 0 or pi. Strides are free, sizes equal.
/// Errors: Unsupported dtype.
/// Source: torch.abs, torch.angle.
void absolute(tensor::TensorObject& out, const tensor::TensorObject& self);
void angle(tensor::TensorObject& out, const tensor::TensorObject& self);

/// out = magnitude * (cos(angle) + i sin(angle)), broadcast to the sizes of `out`. Source: torch.polar.
void polar(tensor::TensorObject& out, const tensor::TensorObject& magnitude,
           const tensor::TensorObject& angle);

/// The dtype of a sum or product: that of both, or the complex one that holds both.
/// Errors: Unsupported where the two are different real dtypes.
DType arithmetic_type(const tensor::TensorObject& a, const tensor::TensorObject& b);

/// out = a * b, and out = a + alpha * b, broadcast to the sizes of `out`, which is of arithmetic_type.
/// Compiled models do this themselves but for complex numbers. Errors: Unsupported dtype.
/// Source: torch.mul, torch.add.
void multiply(tensor::TensorObject& out, const tensor::TensorObject& a, const tensor::TensorObject& b);
void add(tensor::TensorObject& out, const tensor::TensorObject& a, const tensor::TensorObject& b,
         double alpha);

}  // namespace penstock::cpu
