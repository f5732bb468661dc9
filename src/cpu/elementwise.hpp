#pragma once

#include "cpu/strided.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/dtype.hpp>

#include <cstdint>

// Arithmetic that PyTorch leaves to its library: that of complex numbers, for the most part.
namespace penstock::cpu {

/// The dtype of the result of two tensors: a scalar counts only where it is of a higher kind.
/// Source: torch.result_type.
DType result_type(const tensor::TensorObject& a, const tensor::TensorObject& b);

/// The same of a tensor and a floating-point number.
DType result_type_with_number(const tensor::TensorObject& a);

/// Sizes and strides that PyTorch gives the result of an operator of two tensors.
ResultLayout elementwise_layout(const tensor::TensorObject& a, const tensor::TensorObject& b);

/// The sizes and strides of a result of an operator of one tensor.
inline ResultLayout elementwise_layout(const tensor::TensorObject& a) { return like_layout(a); }

/// out = a + alpha * b, all of one dtype, a and b broadcast. Source: torch.add.
void add(const tensor::TensorObject& out, const tensor::TensorObject& a, const tensor::TensorObject& b,
         double alpha);

/// out = a * b, all of one dtype, a and b broadcast. Source: torch.mul.
void multiply(const tensor::TensorObject& out, const tensor::TensorObject& a, const tensor::TensorObject& b);

/// The real dtype of a complex number's parts; other dtypes as they are.
DType real_dtype(DType dtype);

/// out = the magnitude of each element, in real_dtype. Source: torch.abs.
void absolute(const tensor::TensorObject& out, const tensor::TensorObject& self);

/// out = the angle of each element with the positive real axis, in real_dtype: 0 or pi for real ones.
/// Source: torch.angle.
void angle(const tensor::TensorObject& out, const tensor::TensorObject& self);

/// out = the complex numbers of those magnitudes and angles. Source: torch.polar.
void polar(const tensor::TensorObject& out, const tensor::TensorObject& magnitude,
           const tensor::TensorObject& angles);

}  // namespace penstock::cpu
