#include "cuda_ops/convolution.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cuda_ops {
namespace {

/// Sizes with the spatial dimensions that a tensor of one lacks.
ConvolutionDims dims_of(std::span<const std::int64_t> sizes) {
  ConvolutionDims dims{};
  if (sizes.size() == 3) return {sizes[0], sizes[1], 1, sizes[2]};
  std::ranges::copy(sizes, dims.begin());
  return dims;
}

template <class Values>
Values spatial_of(const Values& values, std::size_t spatial, std::int64_t absent) {
  return spatial == 1 ? Values{absent, values[0]} : values;
}

}  // namespace

bool convolution_result_is_channels_last(const tensor::TensorObject& input,
                                         const tensor::TensorObject& weight) {
  return input.dtype != DType::Float64 && input.size[0] != 0 && input.size[1] != 0 &&
         cpu::convolution_is_channels_last(input, weight);
}

ConvolutionProblem convolution_problem(const tensor::TensorObject& input, const tensor::TensorObject& weight,
                                       const cpu::ConvolutionShape& shape, bool transposed) {
  return {.dtype = input.dtype,
          .transposed = transposed,
          .channels_last = convolution_result_is_channels_last(input, weight),
          .rank = std::max<std::size_t>(shape.spatial, 2) + 2,
          .input = dims_of(input.sizes()),
          .weight = dims_of(weight.sizes()),
          .out = dims_of({shape.out.data(), shape.spatial + 2}),
          .stride = spatial_of(shape.stride, shape.spatial, 1),
          .padding = spatial_of(shape.padding, shape.spatial, 0),
          .dilation = spatial_of(shape.dilation, shape.spatial, 1)};
}

ConvolutionDims convolution_strides(const ConvolutionDims& sizes, std::size_t rank, bool channels_last) {
  ConvolutionDims strides{};
  const std::span<const std::int64_t> used(sizes.data(), rank);
  if (channels_last) {
    cpu::fill_channels_last_strides(used, {strides.data(), rank});
  } else {
    tensor::fill_contiguous_strides(used, {strides.data(), rank});
  }
  return strides;
}

ConvolutionKey convolution_key(const ConvolutionProblem& problem, const EngineRules& rules,
                               std::span<const std::int64_t> alignments) {
  ConvolutionKey key{};
  auto at = key.begin();
  const auto add = [&](std::int64_t value) { *at++ = value; };
  add(static_cast<std::int64_t>(problem.dtype));
  add((problem.transposed ? 1 : 0) | (problem.channels_last ? 2 : 0) | (rules.tensor_cores ? 4 : 0));
  add(static_cast<std::int64_t>(problem.rank));
  add(rules.sm_count);
  for (const ConvolutionDims& dims : {problem.input, problem.weight, problem.out}) {
    at = std::ranges::copy(dims, at).out;
  }
  for (const auto& values : {problem.stride, problem.padding, problem.dilation}) {
    at = std::ranges::copy(values, at).out;
  }
  std::ranges::copy(alignments, at);
  return key;
}

}  // namespace penstock::cuda_ops
