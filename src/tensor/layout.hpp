#pragma once

#include <penstock/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace penstock::tensor {

/// Product of the sizes; nothing for a negative size or overflow.
std::optional<std::int64_t> checked_numel(std::span<const std::int64_t> sizes) noexcept;

/// Elements from the first to one past the last that sizes and non-negative strides reach: 0 where
/// there is no element; nothing for a negative size or stride, or overflow.
std::optional<std::int64_t> checked_extent(std::span<const std::int64_t> sizes,
                                           std::span<const std::int64_t> strides) noexcept;

/// Writes row-major strides, with 1 in the place of a zero size, as PyTorch does.
/// Errors: none; sizes are known to be valid.
void fill_contiguous_strides(std::span<const std::int64_t> sizes, std::span<std::int64_t> strides) noexcept;

/// True where elements lie in row-major order without gaps.
bool is_contiguous(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) noexcept;

/// True where two elements may lie at one address: where dimensions, taken from the smallest stride to the
/// largest, do not each step past all that lies inside. False is certain, true is not.
bool may_overlap_itself(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) noexcept;

/// Copies elements between two host tensors of the same sizes and element size.
void copy_strided(void* destination, std::span<const std::int64_t> destination_strides, const void* source,
                  std::span<const std::int64_t> source_strides, std::span<const std::int64_t> sizes,
                  std::size_t element_bytes) noexcept;

/// "[2, 3]".
std::string sizes_text(std::span<const std::int64_t> sizes);

}  // namespace penstock::tensor
