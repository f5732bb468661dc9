#pragma once

#include "cpu/dims.hpp"
#include "cpu/op_state.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace penstock::cpu {

/// A window that moves over 2 or 3 spatial dimensions: one value a dimension, or one for all of them.
struct PoolWindow {
  std::size_t spatial = 2;
  std::span<const std::int64_t> kernel;
  std::span<const std::int64_t> stride;  ///< Empty: as the kernel.
  std::span<const std::int64_t> padding;
  std::span<const std::int64_t> dilation;  ///< Empty: 1.
  bool ceil_mode = false;                  ///< A last window may reach past the end.
};

/// What an average is divided by.
struct AverageOptions {
  bool count_include_pad = true;
  std::optional<std::int64_t> divisor;  ///< Instead of the number of elements.
};

/// Sizes and strides of a pool's results.
struct PoolLayout {
  Dims sizes;
  Dims strides;
};

/// Results of the pools below for `input`, [channels, spatial...] or [batch, channels, spatial...].
/// Errors: InvalidArgument, in PyTorch's words where a window does not fit.
PoolLayout max_pool_layout(const tensor::TensorObject& input, const PoolWindow& window);
PoolLayout average_pool_layout(const tensor::TensorObject& input, const PoolWindow& window,
                               const AverageOptions& options);
PoolLayout adaptive_pool_layout(const tensor::TensorObject& input, std::span<const std::int64_t> output_size,
                                std::size_t spatial);

/// The largest element under the window, and where it is in the row-major spatial dimensions of the input.
/// What is not a number is largest; of equal ones the first counts; under a window that has no element in
/// the input the value is the lowest, and the place where the window begins. `out` and `indices` are made as
/// `max_pool_layout` says. Errors: as there; Unsupported dtype.
/// Source: torch.ops.aten.max_pool2d_with_indices, max_pool3d_with_indices.
void max_pool(OpContext& context, tensor::TensorObject& out, tensor::TensorObject& indices,
              const tensor::TensorObject& input, const PoolWindow& window);

/// The average under the window. Source: torch.ops.aten.avg_pool2d, avg_pool3d.
void average_pool(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& input,
                  const PoolWindow& window, const AverageOptions& options);

/// Averages and largest elements of parts of about equal size, as many as `out` has.
/// Source: torch.ops.aten._adaptive_avg_pool2d, adaptive_max_pool2d and those of 3 dimensions.
void adaptive_average_pool(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& input,
                           std::size_t spatial);
void adaptive_max_pool(OpContext& context, tensor::TensorObject& out, tensor::TensorObject& indices,
                       const tensor::TensorObject& input, std::size_t spatial);

/// A window is moved over 3 dimensions where `stride` and `padding` are given; they change nothing, but are
/// checked.
struct Unpool {
  std::size_t spatial = 2;
  std::span<const std::int64_t> output_size;
  std::span<const std::int64_t> stride;   ///< Of 3 dimensions only.
  std::span<const std::int64_t> padding;  ///< Of 3 dimensions only.
};

/// The result of `max_unpool`. Errors: InvalidArgument, in PyTorch's words.
PoolLayout max_unpool_layout(const tensor::TensorObject& input, const tensor::TensorObject& indices,
                             const Unpool& unpool);

/// Each element of `input` at its place in the row-major spatial dimensions of `out`, and zeros elsewhere; of
/// several for one place the last counts. Errors: as above, InvalidArgument for a place that is none.
/// Source: torch.ops.aten.max_unpool2d, max_unpool3d.
void max_unpool(tensor::TensorObject& out, const tensor::TensorObject& input,
                const tensor::TensorObject& indices, const Unpool& unpool);

}  // namespace penstock::cpu
