#include "cpu/convolution_shape.hpp"

#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <string_view>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;
using SpatialValues = std::array<std::int64_t, kMostSpatial>;

SpatialValues expand(std::string_view name, std::span<const std::int64_t> values, std::size_t spatial,
                     std::int64_t least) {
  if (values.size() != 1 && values.size() != spatial) {
    base::fail(ErrorCode::InvalidArgument, "convolution: {} has {} values for {} spatial dimensions", name,
               values.size(), spatial);
  }
  SpatialValues expanded{};
  for (std::size_t i = 0; i < spatial; ++i) {
    expanded[i] = values[values.size() == 1 ? 0 : i];
    // An upper bound far above any use, so that no sum below overflows.
    if (expanded[i] < least || expanded[i] > INT32_MAX) {
      base::fail(ErrorCode::InvalidArgument, "convolution: {} of {} cannot be", name, expanded[i]);
    }
  }
  return expanded;
}

void check_tensors(const TensorObject& input, const TensorObject& weight, const TensorObject* bias) {
  for (const TensorObject* tensor : {&input, &weight, bias}) {
    if (tensor == nullptr) continue;
    if (tensor->storage == nullptr || tensor->storage->device != input.storage->device) {
      base::fail(ErrorCode::InvalidArgument, "convolution: a tensor that is not where the input is");
    }
    if (tensor->dtype != input.dtype) {
      base::fail(ErrorCode::InvalidArgument, "convolution: {} and {} tensors do not go together",
                 dtype_name(input.dtype), dtype_name(tensor->dtype));
    }
  }
  if (input.rank != weight.rank || input.rank < 3 || input.rank > 5) {
    base::fail(ErrorCode::InvalidArgument,
               "convolution: input of sizes {} and weight of sizes {}: 3 to 5 dimensions are needed",
               sizes_text(input.sizes()), sizes_text(weight.sizes()));
  }
}

/// Channels of the result. Errors: InvalidArgument where channels and groups do not go together.
std::int64_t check_channels(const TensorObject& input, const TensorObject& weight, const TensorObject* bias,
                            const ConvolutionGeometry& geometry) {
  const std::int64_t groups = geometry.groups;
  const bool divides = groups > 0 && weight.size[0] % groups == 0;
  if (!divides ||
      (geometry.transposed ? weight.size[0] != input.size[1] : weight.size[1] * groups != input.size[1])) {
    base::fail(
        ErrorCode::InvalidArgument,
        "convolution: {} channels of an input of sizes {} do not fit a weight of sizes {} in {} groups",
        input.size[1], sizes_text(input.sizes()), sizes_text(weight.sizes()), groups);
  }
  const std::int64_t channels = geometry.transposed ? weight.size[1] * groups : weight.size[0];
  if (bias != nullptr && (bias->rank != 1 || bias->size[0] != channels)) {
    base::fail(ErrorCode::InvalidArgument, "convolution: bias of sizes {} for {} channels",
               sizes_text(bias->sizes()), channels);
  }
  return channels;
}

std::int64_t output_size(const ConvolutionShape& shape, std::size_t i, std::int64_t input,
                         std::int64_t kernel, bool transposed) {
  const std::int64_t reach = shape.dilation[i] * (kernel - 1) + 1;
  if (transposed) {
    return (input - 1) * shape.stride[i] - 2 * shape.padding[i] + reach + shape.output_padding[i];
  }
  const std::int64_t room = input + 2 * shape.padding[i] - reach;
  return room < 0 ? 0 : room / shape.stride[i] + 1;
}

struct FormatView {
  std::array<std::int64_t, 5> sizes{};
  std::array<std::int64_t, 5> strides{};
  std::size_t rank = 0;
};

/// One spatial dimension is looked at as two, the first of size 1, as PyTorch does.
FormatView format_view(const TensorObject& tensor, bool is_input) {
  FormatView view;
  view.rank = static_cast<std::size_t>(tensor.rank);
  std::copy_n(tensor.size.begin(), view.rank, view.sizes.begin());
  std::copy_n(tensor.stride.begin(), view.rank, view.strides.begin());
  if (tensor.rank != 3) return view;
  // An input of one spatial dimension is made contiguous first there.
  if (is_input && !tensor::is_contiguous(tensor.sizes(), tensor.strides())) {
    tensor::fill_contiguous_strides(tensor.sizes(), {view.strides.data(), 3});
  }
  view.rank = 4;
  view.sizes[3] = view.sizes[2];
  view.strides[3] = view.strides[2];
  view.sizes[2] = 1;
  view.strides[2] = view.sizes[3] * view.strides[3];
  return view;
}

bool is_channels_last(const FormatView& view) {
  return suggests_channels_last({view.sizes.data(), view.rank}, {view.strides.data(), view.rank});
}

}  // namespace

bool convolution_is_channels_last(const TensorObject& input, const TensorObject& weight) noexcept {
  return is_channels_last(format_view(input, true)) || is_channels_last(format_view(weight, false));
}

ConvolutionShape convolution_shape(const TensorObject& input, const TensorObject& weight,
                                   const TensorObject* bias, const ConvolutionGeometry& geometry) {
  check_tensors(input, weight, bias);
  ConvolutionShape shape;
  shape.spatial = static_cast<std::size_t>(input.rank) - 2;
  shape.stride = expand("stride", geometry.stride, shape.spatial, 1);
  shape.padding = expand("padding", geometry.padding, shape.spatial, 0);
  shape.dilation = expand("dilation", geometry.dilation, shape.spatial, 1);
  if (geometry.transposed) {
    shape.output_padding = expand("output_padding", geometry.output_padding, shape.spatial, 0);
  }
  shape.out[0] = input.size[0];
  shape.out[1] = check_channels(input, weight, bias, geometry);
  for (std::size_t i = 0; i < shape.spatial; ++i) {
    if (weight.size[i + 2] < 1 || weight.size[i + 2] > INT32_MAX || input.size[i + 2] > INT32_MAX) {
      base::fail(ErrorCode::InvalidArgument, "convolution: a weight of sizes {} over an input of sizes {}",
                 sizes_text(weight.sizes()), sizes_text(input.sizes()));
    }
    shape.out[i + 2] = output_size(shape, i, input.size[i + 2], weight.size[i + 2], geometry.transposed);
    if (shape.out[i + 2] < 1) {
      base::fail(
          ErrorCode::InvalidArgument,
          "convolution: an input of sizes {} with padding {} is too small for a weight of sizes {} with "
          "dilation {}",
          sizes_text(input.sizes()), shape.padding[i], sizes_text(weight.sizes()), shape.dilation[i]);
    }
    if (geometry.transposed && shape.output_padding[i] >= std::max(shape.stride[i], shape.dilation[i])) {
      base::fail(ErrorCode::InvalidArgument,
                 "convolution: output_padding {} must be smaller than stride {} or dilation {}",
                 shape.output_padding[i], shape.stride[i], shape.dilation[i]);
    }
  }
  return shape;
}

}  // namespace penstock::cpu
