#include "cuda_ops/pool.hpp"

#include "base/fail.hpp"
#include "cpu/pooling_shape.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <numeric>

namespace penstock::cuda_ops {
namespace {

using kernels::Pool;
using tensor::TensorObject;

/// Sizes and strides as [batch, channels, depth, height, width].
void as_five(const TensorObject& tensor, std::size_t spatial, std::array<std::int64_t, 5>& size,
             std::array<std::int64_t, 5>& stride) {
  size = {1, 1, 1, 1, 1};
  stride = {};
  const auto rank = static_cast<std::size_t>(tensor.rank);
  const std::size_t leading = rank - spatial;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t to = i < leading ? 2 - leading + i : 5 - rank + i;
    size[to] = tensor.size[i];
    stride[to] = tensor.stride[i];
  }
}

Pool arguments_of(const TensorObject& out, const TensorObject& input, std::size_t spatial) {
  check_device("pooling", input);
  Pool pool{};
  pool.self = input.data;
  pool.out = out.data;
  pool.dtype = element_of("pooling", input.dtype);
  pool.is_adaptive = 1;
  pool.count = out.numel;
  as_five(input, spatial, pool.size, pool.stride);
  as_five(out, spatial, pool.out_size, pool.out_stride);
  // Neighbors in memory are neighbors in a warp.
  std::iota(pool.order.begin(), pool.order.end(), 0);
  std::ranges::stable_sort(pool.order, std::ranges::greater{},
                           [&](int dim) { return pool.out_stride[static_cast<std::size_t>(dim)]; });
  return pool;
}

Pool window_arguments(const TensorObject& out, const TensorObject& input, const cpu::PoolWindow& window) {
  const cpu::PoolGeometry geometry = cpu::pool_geometry(input, window);
  Pool pool = arguments_of(out, input, window.spatial);
  pool.is_adaptive = 0;
  pool.kernel = geometry.kernel;
  pool.step = geometry.stride;
  pool.padding = geometry.padding;
  pool.dilation = geometry.dilation;
  return pool;
}

void take_largest(const shim::CudaCall& call, const Pool& pool, DType dtype) {
  static constexpr Kernel kFloat32(kPoolImage, "penstock_max_pool_float32");
  static constexpr Kernel kFloat64(kPoolImage, "penstock_max_pool_float64");
  static constexpr Kernel kFloat16(kPoolImage, "penstock_max_pool_float16");
  static constexpr Kernel kBFloat16(kPoolImage, "penstock_max_pool_bfloat16");
  static constexpr Kernel kInteger(kPoolImage, "penstock_max_pool_integer");
  const Grid grid = grid_for(call, pool.count);
  switch (dtype) {
    case DType::Float32: return kFloat32.launch(call, grid, pool);
    case DType::Float64: return kFloat64.launch(call, grid, pool);
    case DType::Float16: return kFloat16.launch(call, grid, pool);
    case DType::BFloat16: return kBFloat16.launch(call, grid, pool);
    default: return kInteger.launch(call, grid, pool);
  }
}

void take_average(const shim::CudaCall& call, const Pool& pool, DType dtype) {
  static constexpr Kernel kFloat32(kPoolImage, "penstock_average_pool_float32");
  static constexpr Kernel kFloat64(kPoolImage, "penstock_average_pool_float64");
  static constexpr Kernel kFloat16(kPoolImage, "penstock_average_pool_float16");
  static constexpr Kernel kBFloat16(kPoolImage, "penstock_average_pool_bfloat16");
  static constexpr Kernel kInteger(kPoolImage, "penstock_average_pool_integer");
  const Grid grid = grid_for(call, pool.count);
  switch (dtype) {
    case DType::Float32: return kFloat32.launch(call, grid, pool);
    case DType::Float64: return kFloat64.launch(call, grid, pool);
    case DType::Float16: return kFloat16.launch(call, grid, pool);
    case DType::BFloat16: return kBFloat16.launch(call, grid, pool);
    default: return kInteger.launch(call, grid, pool);
  }
}

kernels::PadKind kind_of(cpu::PadMode mode) {
  switch (mode) {
    case cpu::PadMode::Reflect: return kernels::PadKind::Reflect;
    case cpu::PadMode::Replicate: return kernels::PadKind::Replicate;
    case cpu::PadMode::Circular: return kernels::PadKind::Circular;
    case cpu::PadMode::Constant: break;
  }
  return kernels::PadKind::Constant;
}

}  // namespace

void max_pool(const shim::CudaCall& call, const TensorObject& out, const TensorObject& indices,
              const TensorObject& input, const cpu::PoolWindow& window) {
  check_dtype("max_pool", input.dtype, number_dtypes());
  if (out.numel == 0) return;
  Pool pool = window_arguments(out, input, window);
  pool.indices = reinterpret_cast<std::int64_t*>(indices.data);
  take_largest(call, pool, input.dtype);
}

void average_pool(const shim::CudaCall& call, const TensorObject& out, const TensorObject& input,
                  const cpu::PoolWindow& window, const cpu::AverageOptions& options) {
  if (input.dtype != DType::Int64) check_dtype("avg_pool", input.dtype, float_dtypes());
  if (out.numel == 0) return;
  Pool pool = window_arguments(out, input, window);
  pool.counts_padding = options.count_include_pad ? 1 : 0;
  pool.divisor = options.divisor.value_or(0);
  take_average(call, pool, input.dtype);
}

void adaptive_average_pool(const shim::CudaCall& call, const TensorObject& out, const TensorObject& input,
                           std::size_t spatial) {
  check_dtype("adaptive_avg_pool", input.dtype, float_dtypes());
  if (out.numel != 0) take_average(call, arguments_of(out, input, spatial), input.dtype);
}

void adaptive_max_pool(const shim::CudaCall& call, const TensorObject& out, const TensorObject& indices,
                       const TensorObject& input, std::size_t spatial) {
  check_dtype("adaptive_max_pool", input.dtype, float_dtypes());
  if (out.numel == 0) return;
  Pool pool = arguments_of(out, input, spatial);
  pool.indices = reinterpret_cast<std::int64_t*>(indices.data);
  take_largest(call, pool, input.dtype);
}

void pad(const shim::CudaCall& call, const TensorObject& out, const TensorObject& input,
         const PadAmounts& amounts) {
  static constexpr Kernel kPad(kPoolImage, "penstock_pad");
  check_device("pad", input);
  if (out.numel == 0) return;
  const auto rank = static_cast<std::size_t>(out.rank);
  kernels::Pad pad{};
  if (rank > pad.size.size()) {
    base::fail(ErrorCode::Unsupported,
               "pad on a GPU of a tensor of sizes {}; at most {} dimensions are possible",
               tensor::sizes_text(input.sizes()), pad.size.size());
  }
  pad.self = input.data;
  pad.out = out.data;
  pad.dtype = element_of("pad", input.dtype);
  pad.element_bytes = static_cast<int>(element_bytes(input.dtype));
  pad.kind = kind_of(amounts.mode);
  pad.value = fill_value(amounts.value);
  // Not joined: each dimension has amounts of its own. The innermost in memory comes last.
  std::array<std::size_t, kernels::kMostDims> order{};
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order.begin(), order.begin() + out.rank, std::ranges::greater{},
                           [&](std::size_t dim) { return out.stride[dim]; });
  pad.walk.rank = out.rank;
  pad.walk.count = out.numel;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::size_t dim = order[i];
    const std::size_t pair = rank - 1 - dim;
    pad.walk.size[i] = out.size[dim];
    pad.walk.stride[0][i] = out.stride[dim];
    pad.size[i] = input.size[dim];
    pad.stride[i] = input.stride[dim];
    if (2 * pair < amounts.amounts.size()) {
      pad.before[i] = amounts.amounts[2 * pair];
      pad.after[i] = amounts.amounts[2 * pair + 1];
    }
  }
  kPad.launch(call, grid_for(call, out.numel), pad);
}

}  // namespace penstock::cuda_ops
