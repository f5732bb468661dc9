#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace penstock::cpu {

/// Strides without gaps for `sizes`, in the order of memory that `strides` have: what torch.empty_like
/// gives. Source: infer_dense_strides in aten/src/ATen/ExpandUtils.cpp.
std::vector<std::int64_t> dense_strides_like(std::span<const std::int64_t> sizes,
                                             std::span<const std::int64_t> strides);

}  // namespace penstock::cpu
