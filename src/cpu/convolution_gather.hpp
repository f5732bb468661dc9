#pragma once

#include "cpu/convolution.hpp"
#include "cpu/convolution_shape.hpp"

namespace penstock::cpu {

/// A convolution of float64 tensors, for which oneDNN has none: the elements under the kernel are gathered
/// for a part of the output at a time, and multiplied with the weights by Eigen. `out` is not empty.
/// Errors: OutOfMemory.
void convolution_by_gathering(OpContext& context, tensor::TensorObject& out,
                              const tensor::TensorObject& input, const tensor::TensorObject& weight,
                              const tensor::TensorObject* bias, const ConvolutionGeometry& geometry,
                              const ConvolutionShape& shape);

}  // namespace penstock::cpu
