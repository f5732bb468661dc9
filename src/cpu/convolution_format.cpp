#include "cpu/convolution_shape.hpp"

#include "base/fail.hpp"
#include "system/machine.hpp"
#include "tensor/layout.hpp"

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// Whether PyTorch gives the work to oneDNN, which for 3 spatial dimensions decides on the format.
/// Source: use_mkldnn in aten/src/ATen/native/Convolution.cpp. Where it asks whether there is more than
/// one thread, the answer here is that there is.
bool pytorch_uses_onednn(const TensorObject& input, const TensorObject& weight,
                         const ConvolutionGeometry& geometry, const ConvolutionShape& shape) {
  for (std::size_t i = 0; i < shape.spatial; ++i) {
    if (geometry.transposed && shape.output_padding[i] >= shape.stride[i]) return false;
  }
  if (input.dtype == DType::BFloat16) return system::has_instruction_set("AVX512");
  if (input.dtype == DType::Float16) return system::has_instruction_set("AVX512_FP16");
  if (input.dtype != DType::Float32) return false;
  const auto last = static_cast<std::size_t>(weight.rank - 1);
  const double leading = static_cast<double>(input.size[0]) * static_cast<double>(input.size[1]) *
                         static_cast<double>(input.size[2]) * static_cast<double>(input.size[3]);
  return geometry.groups > 1 || (weight.size[last] > 3 && weight.size[last - 1] > 3) || input.size[0] > 1 ||
         leading > 20480;
}

}  // namespace

ConvolutionOutput convolution_output(const TensorObject& input, const TensorObject& weight,
                                     const TensorObject* bias, const ConvolutionGeometry& geometry) {
  const ConvolutionShape shape = convolution_shape(input, weight, bias, geometry);
  const std::size_t rank = shape.spatial + 2;
  ConvolutionOutput out;
  out.sizes.assign(shape.out.begin(), shape.out.begin() + static_cast<std::ptrdiff_t>(rank));
  out.strides.resize(rank);
  const bool has_format = input.size[0] != 0 && input.size[1] != 0 &&
                          (shape.spatial < 3 || pytorch_uses_onednn(input, weight, geometry, shape));
  if (has_format && convolution_is_channels_last(input, weight)) {
    fill_channels_last_strides(out.sizes, out.strides);
  } else {
    tensor::fill_contiguous_strides(out.sizes, out.strides);
  }
  return out;
}

}  // namespace penstock::cpu
