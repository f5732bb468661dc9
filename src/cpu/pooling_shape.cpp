#include "cpu/pooling_shape.hpp"

#include "base/fail.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <string_view>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;

void expand(std::string_view name, std::span<const std::int64_t> values, const PoolWindow& window,
            std::int64_t least, PoolValues& expanded) {
  if (values.size() != 1 && values.size() != window.spatial) {
    base::fail(ErrorCode::InvalidArgument, "pooling: {} must be one value or {}, not {}", name,
               window.spatial, values.size());
  }
  for (std::size_t i = 0; i < window.spatial; ++i) {
    const std::int64_t value = values[values.size() == 1 ? 0 : i];
    // An upper bound far above any use, so that no sum below overflows.
    if (value < least || value > INT32_MAX) {
      base::fail(ErrorCode::InvalidArgument, "pooling: {} should be {} {}, but got {}", name,
                 least == 0 ? "at least" : "greater than", least == 0 ? 0 : least - 1, value);
    }
    expanded[3 - window.spatial + i] = value;
  }
}

void check_input(const TensorObject& input, std::size_t spatial) {
  const auto rank = static_cast<std::size_t>(input.rank);
  bool fits = rank == spatial + 1 || rank == spatial + 2;
  for (std::size_t i = rank - spatial; fits && i < rank; ++i) {
    fits = input.size[i] >= 1 && input.size[i] <= INT32_MAX;
  }
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument,
               "pooling: an input of {} or {} dimensions is needed, the last {} of them not empty, but got "
               "sizes {}",
               spatial + 1, spatial + 2, spatial, sizes_text(input.sizes()));
  }
}

std::int64_t output_size(std::int64_t input, std::int64_t kernel, std::int64_t stride, std::int64_t padding,
                         std::int64_t dilation, bool ceil_mode) {
  const std::int64_t room = input + 2 * padding - dilation * (kernel - 1) - 1 + (ceil_mode ? stride - 1 : 0);
  if (room < 0) return 0;
  std::int64_t size = room / stride + 1;
  // No window begins in the padding after the end.
  if (ceil_mode && (size - 1) * stride >= input + padding) --size;
  return size;
}

/// The input's sizes with other spatial ones, row-major.
PoolLayout plain_layout(const TensorObject& input, std::span<const std::int64_t> spatial) {
  const auto sizes = input.sizes();
  PoolLayout layout;
  layout.sizes.assign(sizes.begin(), sizes.end() - static_cast<std::ptrdiff_t>(spatial.size()));
  layout.sizes.append(spatial.begin(), spatial.end());
  layout.strides.resize(layout.sizes.size());
  tensor::fill_contiguous_strides(layout.sizes, layout.strides);
  return layout;
}

/// Channels-last where an input of a batch is.
void keep_format(const TensorObject& input, std::size_t spatial, PoolLayout& layout) {
  if (static_cast<std::size_t>(input.rank) == spatial + 2 &&
      suggests_channels_last(input.sizes(), input.strides())) {
    fill_channels_last_strides(layout.sizes, layout.strides);
  }
}

/// Channels-last where an input without a batch lies so without gaps.
void keep_format_of_one(const TensorObject& input, PoolLayout& layout) {
  std::array<std::int64_t, 5> sizes{1};
  std::array<std::int64_t, 5> strides{};
  std::copy_n(input.size.begin(), 4, sizes.begin() + 1);
  fill_channels_last_strides(sizes, strides);
  for (std::size_t i = 0; i < 4; ++i) {
    if (input.size[i] != 1 && input.stride[i] != strides[i + 1]) return;
  }
  std::copy_n(layout.sizes.begin(), 4, sizes.begin() + 1);
  fill_channels_last_strides(sizes, strides);
  std::copy_n(strides.begin() + 1, 4, layout.strides.begin());
}

std::span<const std::int64_t> spatial_part(const PoolValues& values, std::size_t spatial) {
  return std::span(values).last(spatial);
}

}  // namespace

PoolGeometry pool_geometry(const TensorObject& input, const PoolWindow& window) {
  check_input(input, window.spatial);
  PoolGeometry geometry;
  expand("kernel size", window.kernel, window, 1, geometry.kernel);
  expand("stride", window.stride.empty() ? window.kernel : window.stride, window, 1, geometry.stride);
  expand("padding", window.padding, window, 0, geometry.padding);
  if (!window.dilation.empty()) expand("dilation", window.dilation, window, 1, geometry.dilation);
  for (std::size_t i = 3 - window.spatial; i < 3; ++i) {
    if (geometry.padding[i] > geometry.kernel[i] / 2) {
      base::fail(ErrorCode::InvalidArgument,
                 "pooling: pad should be smaller than or equal to half of kernel size, but got pad={} and "
                 "kernel_size={}",
                 geometry.padding[i], geometry.kernel[i]);
    }
    const auto dim = static_cast<std::size_t>(input.rank) - 3 + i;
    geometry.out[i] = output_size(input.size[dim], geometry.kernel[i], geometry.stride[i],
                                  geometry.padding[i], geometry.dilation[i], window.ceil_mode);
    if (geometry.out[i] < 1) {
      base::fail(
          ErrorCode::InvalidArgument,
          "pooling: an input of sizes {} is too small for a kernel of {} with dilation {}: Output size "
          "is too small",
          sizes_text(input.sizes()), geometry.kernel[i], geometry.dilation[i]);
    }
  }
  return geometry;
}

PoolLayout max_pool_layout(const TensorObject& input, const PoolWindow& window) {
  const PoolGeometry geometry = pool_geometry(input, window);
  PoolLayout layout = plain_layout(input, spatial_part(geometry.out, window.spatial));
  if (window.spatial == 3 && input.rank == 4) {
    keep_format_of_one(input, layout);
  } else {
    keep_format(input, window.spatial, layout);
  }
  return layout;
}

PoolLayout average_pool_layout(const TensorObject& input, const PoolWindow& window,
                               const AverageOptions& options) {
  if (options.divisor && *options.divisor == 0) {
    base::fail(ErrorCode::InvalidArgument, "pooling: divisor must be not zero");
  }
  const PoolGeometry geometry = pool_geometry(input, window);
  if (window.spatial == 3) {
    // Of three dimensions PyTorch wants the kernel to fit without its padding.
    const auto sizes = input.sizes().last(3);
    for (std::size_t i = 0; i < 3; ++i) {
      if (sizes[i] >= geometry.kernel[i]) continue;
      base::fail(ErrorCode::InvalidArgument, "pooling: input image of sizes {} smaller than kernel size {}",
                 sizes_text(sizes), sizes_text(geometry.kernel));
    }
  }
  PoolLayout layout = plain_layout(input, spatial_part(geometry.out, window.spatial));
  if (window.spatial == 2) keep_format(input, 2, layout);
  return layout;
}

PoolLayout adaptive_pool_layout(const TensorObject& input, std::span<const std::int64_t> output_size,
                                std::size_t spatial) {
  check_input(input, spatial);
  if (output_size.size() != spatial) {
    base::fail(ErrorCode::InvalidArgument, "adaptive pooling: output_size must have {} values, not {}",
               spatial, output_size.size());
  }
  for (const std::int64_t size : output_size) {
    if (size < 0 || size > INT32_MAX) {
      base::fail(ErrorCode::InvalidArgument,
                 "adaptive pooling: elements of output_size must be greater than or equal to 0, but got {}",
                 size);
    }
  }
  PoolLayout layout = plain_layout(input, output_size);
  if (spatial == 2) keep_format(input, 2, layout);
  return layout;
}

}  // namespace penstock::cpu
