#pragma once

#include "cpu/convolution_shape.hpp"
#include "cuda_ops/cudnn_graph.hpp"
#include "cuda_ops/plan_cache.hpp"

#include <array>
#include <cstdint>

namespace penstock::cuda_ops {

/// One spatial dimension is looked at as two, the first of size 1.
inline constexpr std::size_t kMostConvolutionDims = cpu::kMostSpatial + 2;
using ConvolutionDims = std::array<std::int64_t, kMostConvolutionDims>;

/// A convolution as cuDNN is told of it: dense tensors of 4 or 5 dimensions.
struct ConvolutionProblem {
  DType dtype = DType::Float32;
  bool transposed = false;
  bool channels_last = false;
  std::size_t rank = 4;
  ConvolutionDims input{};
  ConvolutionDims weight{};
  ConvolutionDims out{};
  std::array<std::int64_t, cpu::kMostSpatial> stride{};
  std::array<std::int64_t, cpu::kMostSpatial> padding{};
  std::array<std::int64_t, cpu::kMostSpatial> dilation{};
};

/// Whether PyTorch makes the result channels-last on a GPU: where input or weight are, unless they are
/// float64 or there is nothing to convolve. Source: cudnn_conv_suggest_memory_format in
/// aten/src/ATen/native/ConvUtils.h.
bool convolution_result_is_channels_last(const tensor::TensorObject& input,
                                         const tensor::TensorObject& weight);

ConvolutionProblem convolution_problem(const tensor::TensorObject& input, const tensor::TensorObject& weight,
                                       const cpu::ConvolutionShape& shape, bool transposed);

/// Strides of a dense tensor of these sizes.
ConvolutionDims convolution_strides(const ConvolutionDims& sizes, std::size_t rank, bool channels_last);

/// The numbers that decide which engine is the right one: the problem, the addresses' alignments, the rules.
using ConvolutionKey = PlanKey<36>;
ConvolutionKey convolution_key(const ConvolutionProblem& problem, const EngineRules& rules,
                               std::span<const std::int64_t> alignments);
using ConvolutionPlans = PlanCache<std::tuple_size_v<ConvolutionKey>, CudnnPlan>;

}  // namespace penstock::cuda_ops
