#pragma once

#include "cpu/convolution.hpp"
#include "cpu/convolution_shape.hpp"

namespace penstock::cpu {

/// Whether convolutions of a dtype are done by gathering: float64 and integers, for which oneDNN has none.
bool is_gathered(DType dtype) noexcept;

/// A convolution of such tensors, or of float32: the elements under the kernel are gathered
/// for a part of the output at a time, and multiplied with the weights by Eigen. `out` is not empty.
/// Errors: OutOfMemory.
void convolution_by_gathering(OpContext& context, tensor::TensorObject& out,
                              const tensor::TensorObject& input, const tensor::TensorObject& weight,
                              const tensor::TensorObject* bias, const ConvolutionGeometry& geometry,
                              const ConvolutionShape& shape);

}  // namespace penstock::cpu
