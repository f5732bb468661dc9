#pragma once

#include "cpu/dims.hpp"
#include "cpu/op_state.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <span>

namespace penstock::cpu {

/// Geometry of a convolution: one value a spatial dimension, or one for all of them.
struct ConvolutionGeometry {
  std::span<const std::int64_t> stride;
  std::span<const std::int64_t> padding;
  std::span<const std::int64_t> dilation;
  bool transposed = false;
  std::span<const std::int64_t> output_padding;
  std::int64_t groups = 1;
};

/// What the result of a convolution looks like, so that the caller can make it.
struct ConvolutionOutput {
  Dims sizes;
  Dims strides;
};

/// Sizes and strides of the result: [n, c_out, spatial...], in the memory format PyTorch gives it
/// (channels-last where input or weight are channels-last, else contiguous).
/// Errors: InvalidArgument names the size, stride, padding or group count that does not fit.
/// Source: torch.ops.aten.convolution.
ConvolutionOutput convolution_output(const tensor::TensorObject& input, const tensor::TensorObject& weight,
                                     const tensor::TensorObject* bias, const ConvolutionGeometry& geometry);

/// Convolution of 1 to 3 spatial dimensions into `out`, made as `convolution_output` says. A weight in
/// a constant storage is reordered once and kept with that storage.
/// float32 by oneDNN; so are bfloat16 and float16 where it has them for this CPU, else through float32;
/// float64 and integers by products of Eigen. Errors: Unsupported for another dtype, or where oneDNN is
/// missing.
void convolution(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& input,
                 const tensor::TensorObject& weight, const tensor::TensorObject* bias,
                 const ConvolutionGeometry& geometry);

}  // namespace penstock::cpu
