#include "cuda_ops/convolution.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/lane_plans.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/views.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "system/ranges.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cuda_ops {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

enum Id : std::int64_t { kInput = 1, kWeight = 2, kOut = 3 };

/// Of input, weight and result.
using Addresses = std::array<void*, 3>;

cudnn::DataType cudnn_type(DType dtype) {
  switch (dtype) {
    case DType::Float32: return cudnn::kFloat32;
    case DType::Float64: return cudnn::kFloat64;
    case DType::Float16: return cudnn::kFloat16;
    case DType::BFloat16: return cudnn::kBFloat16;
    default: base::fail(ErrorCode::Unsupported, "convolution of {} on a GPU", dtype_name(dtype));
  }
}

std::int64_t alignment(const void* pointer) {
  const auto bits = reinterpret_cast<std::uintptr_t>(pointer) | 16U;
  return static_cast<std::int64_t>(bits & (~bits + 1));
}

CudnnDescriptor describe_geometry(const ConvolutionProblem& problem) {
  const std::size_t spatial = problem.rank - 2;
  const cudnn::DataType compute = problem.dtype == DType::Float64 ? cudnn::kFloat64 : cudnn::kFloat32;
  CudnnDescriptor made(cudnn::kConvolution);
  made.set(cudnn::kConvolutionComputeType, cudnn::kTypeDataType, compute);
  made.set(cudnn::kConvolutionConvMode, cudnn::kTypeConvolutionMode, cudnn::kCrossCorrelation);
  made.set(cudnn::kConvolutionSpatialDims, cudnn::kTypeInt64, static_cast<std::int64_t>(spatial));
  made.set(cudnn::kConvolutionPrePaddings, {problem.padding.data(), spatial});
  made.set(cudnn::kConvolutionPostPaddings, {problem.padding.data(), spatial});
  made.set(cudnn::kConvolutionDilations, {problem.dilation.data(), spatial});
  made.set(cudnn::kConvolutionStrides, {problem.stride.data(), spatial});
  made.finalize();
  return made;
}

CudnnDescriptor describe_tensor(const ConvolutionProblem& problem, Id id, const ConvolutionDims& sizes,
                                const void* data) {
  const ConvolutionDims strides = convolution_strides(sizes, problem.rank, problem.channels_last);
  return make_tensor({.id = id,
                      .type = cudnn_type(problem.dtype),
                      .sizes = {sizes.data(), problem.rank},
                      .strides = {strides.data(), problem.rank},
                      .alignment = alignment(data)});
}

CudnnOperands operands(const Addresses& addresses) {
  static constexpr std::array<std::int64_t, 3> kIds{kInput, kWeight, kOut};
  return {.ids = kIds, .data = addresses};
}

/// A transposed convolution is what gives a convolution the gradient of its input.
std::unique_ptr<CudnnPlan> make_plan(const shim::CudaCall& call, cudnn::Handle handle,
                                     const ConvolutionProblem& problem, const Addresses& addresses,
                                     const EngineRules& rules) {
  const bool back = problem.transposed;
  CudnnDescriptor operation(back ? cudnn::kConvolutionBackwardData : cudnn::kConvolutionForward);
  std::vector<CudnnDescriptor> parts;
  const auto add = [&](cudnn::Attribute attribute, CudnnDescriptor part) {
    operation.set(attribute, parts.emplace_back(std::move(part)));
  };
  add(back ? cudnn::kBackwardDataDy : cudnn::kForwardX,
      describe_tensor(problem, kInput, problem.input, addresses[0]));
  add(back ? cudnn::kBackwardDataW : cudnn::kForwardW,
      describe_tensor(problem, kWeight, problem.weight, addresses[1]));
  add(back ? cudnn::kBackwardDataDx : cudnn::kForwardY,
      describe_tensor(problem, kOut, problem.out, addresses[2]));
  add(back ? cudnn::kBackwardDataConvolution : cudnn::kForwardConvolution, describe_geometry(problem));
  const auto alpha = back ? cudnn::kBackwardDataAlpha : cudnn::kForwardAlpha;
  const auto beta = back ? cudnn::kBackwardDataBeta : cudnn::kForwardBeta;
  if (problem.dtype == DType::Float64) {
    operation.set(alpha, cudnn::kTypeDouble, 1.0);
    operation.set(beta, cudnn::kTypeDouble, 0.0);
  } else {
    operation.set(alpha, cudnn::kTypeFloat, 1.0F);
    operation.set(beta, cudnn::kTypeFloat, 0.0F);
  }
  operation.finalize();
  parts.push_back(std::move(operation));
  return std::make_unique<CudnnPlan>(call, handle, std::move(parts), rules, operands(addresses));
}

void run(const shim::CudaCall& call, const ConvolutionProblem& problem, const Addresses& addresses) {
  LaneState& lane = lane_of(call);
  cudnn::Handle const handle = lane.cudnn(call);
  const bool is_part = call.sm_count < lane.device_sm_count();
  const EngineRules rules{.tensor_cores = problem.dtype != DType::Float32 || call.numerics.tf32_convolution,
                          .sm_count = is_part ? call.sm_count : 0};
  const std::array alignments{alignment(addresses[0]), alignment(addresses[1]), alignment(addresses[2])};
  const std::shared_ptr<CudnnPlan>& plan = lane.plans().convolutions.find_or_make(
      convolution_key(problem, rules, alignments),
      [&] { return make_plan(call, handle, problem, addresses, rules); });
  // An engine may have kernels of its own, which go with the plan.
  if (call.used_by_graph != nullptr) call.used_by_graph->push_back(plan);
  plan->run(call, handle, operands(addresses));
}

/// `tensor` in the memory format of the result, which may be a copy that `held` keeps.
const TensorObject& in_format(const shim::CudaCall& call, const TensorObject& tensor, bool channels_last,
                              TensorObjectPtr& held) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> wanted(strides.data(), static_cast<std::size_t>(tensor.rank));
  if (channels_last) {
    cpu::fill_channels_last_strides(tensor.sizes(), wanted);
  } else {
    tensor::fill_contiguous_strides(tensor.sizes(), wanted);
  }
  bool same = true;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    same = same && (tensor.size[i] == 1 || tensor.stride[i] == wanted[i]);
  }
  if (same) return tensor;
  held = copied(call, tensor, wanted);
  return *held;
}

/// A kernel of its own: PyTorch's compiler nearly always fuses the bias into what comes next, and a graph of
/// cuDNN with the sum in it would be compiled at run time.
void add_bias(const shim::CudaCall& call, const TensorObject& out, const TensorObject& bias,
              bool channels_last) {
  static constexpr Kernel kFloat32(kConvolutionImage, "penstock_add_bias_float32");
  static constexpr Kernel kFloat64(kConvolutionImage, "penstock_add_bias_float64");
  static constexpr Kernel kFloat16(kConvolutionImage, "penstock_add_bias_float16");
  static constexpr Kernel kBFloat16(kConvolutionImage, "penstock_add_bias_bfloat16");
  const std::int64_t channels = out.size[1];
  const std::int64_t inner = channels_last ? 1 : out.numel / (out.size[0] * channels);
  const Kernel& kernel = out.dtype == DType::Float32   ? kFloat32
                         : out.dtype == DType::Float64 ? kFloat64
                         : out.dtype == DType::Float16 ? kFloat16
                                                       : kBFloat16;
  kernel.launch(call, grid_for(call, out.numel), static_cast<void*>(out.data),
                static_cast<const void*>(bias.data), bias.stride[0], channels, inner, out.numel);
}

TensorObjectPtr convolve(const TensorObject& input, const TensorObject& weight, const TensorObject* bias,
                         const cpu::ConvolutionGeometry& geometry) {
  const shim::CudaCall& call = shim::cuda_call();
  const system::Range range("convolution");
  const cpu::ConvolutionShape shape = cpu::convolution_shape(input, weight, bias, geometry);
  cudnn_type(input.dtype);
  const ConvolutionProblem problem = convolution_problem(input, weight, shape, geometry.transposed);
  const std::size_t rank = shape.spatial + 2;
  const std::span<const std::int64_t> sizes(shape.out.data(), rank);
  std::array<std::int64_t, kMostConvolutionDims> strides{};
  if (problem.channels_last) {
    cpu::fill_channels_last_strides(sizes, {strides.data(), rank});
  } else {
    tensor::fill_contiguous_strides(sizes, {strides.data(), rank});
  }
  TensorObjectPtr out = shim::make_cuda_result(input.dtype, sizes, {strides.data(), rank});
  if (out->numel == 0) return out;
  TensorObjectPtr held_input;
  TensorObjectPtr held_weight;
  const TensorObject& read = in_format(call, input, problem.channels_last, held_input);
  const TensorObject& filter = in_format(call, weight, problem.channels_last, held_weight);
  run(call, problem, {read.data, filter.data, out->data});
  if (bias != nullptr) add_bias(call, *out, *bias, problem.channels_last);
  return out;
}

std::span<const std::int64_t> values(const std::int64_t* data, std::int64_t count) {
  return {data, static_cast<std::size_t>(count)};
}

AOTITorchError convolution(AtenTensorHandle input, AtenTensorHandle weight, AtenTensorHandle* bias,
                           const std::int64_t* stride, std::int64_t stride_len, const std::int64_t* padding,
                           std::int64_t padding_len, const std::int64_t* dilation, std::int64_t dilation_len,
                           std::int32_t transposed, const std::int64_t* output_padding,
                           std::int64_t output_padding_len, std::int64_t groups, AtenTensorHandle* ret) {
  return guarded([&] {
    const cpu::ConvolutionGeometry geometry{
        .stride = values(stride, stride_len),
        .padding = values(padding, padding_len),
        .dilation = values(dilation, dilation_len),
        .transposed = transposed != 0,
        .output_padding = values(output_padding, output_padding_len),
        .groups = groups,
    };
    *ret = convolve(*input, *weight, bias != nullptr ? *bias : nullptr, geometry).release();
  });
}

}  // namespace

std::span<const Operator> convolution_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_convolution", &convolution, {.images = {&kConvolutionImage}, .cudnn = true})};
  return kTable;
}

}  // namespace penstock::cuda_ops
