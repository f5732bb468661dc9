#include "base/fail.hpp"
#include "cpu/convolution_shape.hpp"
#include "cpu/pooling.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;

void check_values(std::string_view name, std::span<const std::int64_t> values, std::size_t spatial) {
  if (values.size() == spatial) return;
  base::fail(ErrorCode::InvalidArgument,
             "There should be exactly {} elements ({}) in {}, but got {} elements.",
             spatial == 2 ? "two" : "three", spatial == 2 ? "height, width" : "depth, height, width", name,
             values.size());
}

void check_input(const TensorObject& input, const TensorObject& indices, std::size_t spatial) {
  const auto rank = static_cast<std::size_t>(input.rank);
  if (rank != spatial + 1 && rank != spatial + 2) {
    base::fail(
        ErrorCode::InvalidArgument,
        "Input to max_unpooling{}d should be a {}d or {}d Tensor, but got a tensor with {} dimensions.",
        spatial, spatial + 1, spatial + 2, rank);
  }
  if (indices.dtype != DType::Int64) {
    base::fail(ErrorCode::InvalidArgument, "elements in indices should be type int64 but got: {}",
               dtype_name(indices.dtype));
  }
  if (!std::ranges::equal(input.sizes(), indices.sizes())) {
    base::fail(ErrorCode::InvalidArgument,
               "Expected shape of indices to be same as that of the input tensor ({}) but got indices tensor "
               "with shape: {}",
               sizes_text(input.sizes()), sizes_text(indices.sizes()));
  }
  for (std::size_t dim = rank - spatial - 1; dim < rank; ++dim) {
    if (input.size[dim] != 0) continue;
    base::fail(
        ErrorCode::InvalidArgument,
        "max_unpooling{}d: Expected input to have non-zero size for non-batch dimensions, but input has "
        "sizes {} with dimension {} being empty",
        spatial, sizes_text(input.sizes()), dim);
  }
}

}  // namespace

PoolLayout max_unpool_layout(const TensorObject& input, const TensorObject& indices, const Unpool& unpool) {
  check_values("output_size", unpool.output_size, unpool.spatial);
  if (unpool.spatial == 3) {
    check_values("stride", unpool.stride, 3);
    check_values("padding", unpool.padding, 3);
    if (std::ranges::min(unpool.stride) <= 0) {
      base::fail(ErrorCode::InvalidArgument, "strides should be greater than zero, but got stride: {}",
                 sizes_text(unpool.stride));
    }
  }
  check_input(input, indices, unpool.spatial);
  if (std::ranges::min(unpool.output_size) < 0) {
    base::fail(ErrorCode::InvalidArgument,
               "max_unpooling{}d(): output_size must contain non-negative spatial dimensions, but got "
               "output_size={}",
               unpool.spatial, sizes_text(unpool.output_size));
  }
  Dims sizes(input.sizes().begin(), input.sizes().end());
  std::ranges::copy(unpool.output_size, sizes.end() - static_cast<std::ptrdiff_t>(unpool.spatial));
  ResultLayout layout = contiguous_layout(sizes);
  if (input.rank == 4 && unpool.spatial == 2 && suggests_channels_last(input.sizes(), input.strides())) {
    fill_channels_last_strides(layout.sizes, layout.strides);
  }
  return {layout.sizes, layout.strides};
}

}  // namespace penstock::cpu
