#pragma once

#include <cstdint>
#include <span>

namespace penstock::cuda_ops {

/// Strides of a dense tensor of these sizes whose dimensions lie in memory in the order of `like`'s strides,
/// as PyTorch's empty_like makes them. Source: infer_dense_strides in aten/src/ATen/ExpandUtils.cpp.
void fill_dense_strides(std::span<const std::int64_t> sizes, std::span<const std::int64_t> like,
                        std::span<std::int64_t> strides) noexcept;

}  // namespace penstock::cuda_ops
