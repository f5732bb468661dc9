#include "tensor/layout.hpp"

#include "base/checked.hpp"
#include "tensor/tensor_object.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::tensor {
namespace {

/// One dimension of a copy; strides in bytes.
struct CopyDim {
  std::int64_t size;
  std::int64_t to;
  std::int64_t from;
};

struct CopyPlan {
  std::array<CopyDim, kRoomForDims> dims;
  std::size_t rank = 0;
};

/// Drops dimensions of size 1, orders the others by where they go and merges neighbors, so that a
/// contiguous copy ends as one dimension.
CopyPlan plan_copy(std::span<const std::int64_t> sizes, std::span<const std::int64_t> to,
                   std::span<const std::int64_t> from, std::int64_t element) noexcept {
  CopyPlan sorted;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == 1) continue;
    const CopyDim dim{sizes[i], to[i] * element, from[i] * element};
    std::size_t place = sorted.rank++;
    while (place > 0 && (sorted.dims[place - 1].to < dim.to ||
                         (sorted.dims[place - 1].to == dim.to && sorted.dims[place - 1].from < dim.from))) {
      sorted.dims[place] = sorted.dims[place - 1];
      --place;
    }
    sorted.dims[place] = dim;
  }
  CopyPlan plan;
  for (std::size_t i = 0; i < sorted.rank; ++i) {
    const CopyDim& dim = sorted.dims[i];
    if (plan.rank > 0) {
      CopyDim& outer = plan.dims[plan.rank - 1];
      if (outer.to == dim.to * dim.size && outer.from == dim.from * dim.size) {
        outer = {outer.size * dim.size, dim.to, dim.from};
        continue;
      }
    }
    plan.dims[plan.rank++] = dim;
  }
  return plan;
}

/// Copies rows x columns elements of kBytes in tiles, so that where one side runs along rows and the
/// other along columns each cache line is used while it is there.
template <std::size_t kBytes>
void copy_tiles(std::byte* to, const std::byte* from, CopyDim rows, CopyDim columns) noexcept {
  constexpr std::int64_t kTile = 32;
  const std::int64_t row_step = columns.from > rows.from ? std::min(kTile, rows.size) : rows.size;
  const std::int64_t column_step = columns.from > rows.from ? std::min(kTile, columns.size) : columns.size;
  for (std::int64_t row0 = 0; row0 < rows.size; row0 += row_step) {
    const std::int64_t row_end = std::min(row0 + row_step, rows.size);
    for (std::int64_t column0 = 0; column0 < columns.size; column0 += column_step) {
      const std::int64_t column_end = std::min(column0 + column_step, columns.size);
      for (std::int64_t row = row0; row < row_end; ++row) {
        for (std::int64_t column = column0; column < column_end; ++column) {
          std::memcpy(to + row * rows.to + column * columns.to,
                      from + row * rows.from + column * columns.from, kBytes);
        }
      }
    }
  }
}

void copy_rectangle(std::byte* to, const std::byte* from, CopyDim rows, CopyDim columns,
                    std::size_t element) noexcept {
  const auto step = static_cast<std::int64_t>(element);
  if (columns.to == step && columns.from == step) {
    for (std::int64_t row = 0; row < rows.size; ++row) {
      std::memmove(to + row * rows.to, from + row * rows.from,
                   static_cast<std::size_t>(columns.size) * element);
    }
    return;
  }
  switch (element) {
    case 1: return copy_tiles<1>(to, from, rows, columns);
    case 2: return copy_tiles<2>(to, from, rows, columns);
    case 4: return copy_tiles<4>(to, from, rows, columns);
    case 8: return copy_tiles<8>(to, from, rows, columns);
    case 16: return copy_tiles<16>(to, from, rows, columns);
    default: break;
  }
  for (std::int64_t row = 0; row < rows.size; ++row) {
    for (std::int64_t column = 0; column < columns.size; ++column) {
      std::memmove(to + row * rows.to + column * columns.to, from + row * rows.from + column * columns.from,
                   element);
    }
  }
}

}  // namespace

std::optional<std::int64_t> checked_numel(std::span<const std::int64_t> sizes) noexcept {
  std::int64_t count = 1;
  bool overflow = false;
  bool empty = false;
  for (const std::int64_t size : sizes) {
    if (size < 0) return std::nullopt;
    empty |= size == 0;
    overflow |= __builtin_mul_overflow(count, size, &count);
  }
  if (empty) return 0;
  if (overflow) return std::nullopt;
  return count;
}

std::optional<std::int64_t> checked_extent(std::span<const std::int64_t> sizes,
                                           std::span<const std::int64_t> strides) noexcept {
  if (sizes.size() != strides.size()) return std::nullopt;
  std::int64_t extent = 1;
  bool overflow = false;
  bool empty = false;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || strides[i] < 0) return std::nullopt;
    empty |= sizes[i] == 0;
    std::int64_t reach = 0;
    overflow |= __builtin_mul_overflow(sizes[i] - 1, strides[i], &reach);
    overflow |= __builtin_add_overflow(extent, reach, &extent);
  }
  if (empty) return 0;
  if (overflow) return std::nullopt;
  return extent;
}

void fill_contiguous_strides(std::span<const std::int64_t> sizes, std::span<std::int64_t> strides) noexcept {
  std::int64_t stride = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    strides[i] = stride;
    // A tensor without elements may have sizes whose product overflows; its strides are not used.
    std::int64_t next = 0;
    if (!__builtin_mul_overflow(stride, std::max<std::int64_t>(sizes[i], 1), &next)) stride = next;
  }
}

bool is_contiguous(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) noexcept {
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return true;
  std::int64_t expected = 1;
  for (std::size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 1) continue;
    if (strides[i] != expected) return false;
    expected *= sizes[i];
  }
  return true;
}

bool may_overlap_itself(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) noexcept {
  std::array<std::size_t, kRoomForDims> order;
  std::size_t count = 0;
  for (std::size_t dim = 0; dim < sizes.size(); ++dim) {
    if (sizes[dim] == 0) return false;
    if (sizes[dim] != 1) order[count++] = dim;
  }
  std::sort(order.begin(), order.begin() + count,
            [&](std::size_t a, std::size_t b) { return strides[a] < strides[b]; });
  std::int64_t reach = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t dim = order[i];
    if (strides[dim] <= reach) return true;
    reach += (sizes[dim] - 1) * strides[dim];
  }
  return false;
}

void copy_strided(void* destination, std::span<const std::int64_t> destination_strides, const void* source,
                  std::span<const std::int64_t> source_strides, std::span<const std::int64_t> sizes,
                  std::size_t element_bytes) noexcept {
  if (std::find(sizes.begin(), sizes.end(), 0) != sizes.end()) return;
  const auto element = static_cast<std::int64_t>(element_bytes);
  const CopyPlan plan = plan_copy(sizes, destination_strides, source_strides, element);
  auto* to = static_cast<std::byte*>(destination);
  const auto* from = static_cast<const std::byte*>(source);
  if (plan.rank == 0) {
    std::memmove(to, from, element_bytes);
    return;
  }
  constexpr CopyDim kOne{1, 0, 0};
  const CopyDim columns = plan.dims[plan.rank - 1];
  const CopyDim rows = plan.rank > 1 ? plan.dims[plan.rank - 2] : kOne;
  const std::size_t outer = plan.rank > 2 ? plan.rank - 2 : 0;
  std::array<std::int64_t, kRoomForDims> index;
  std::fill_n(index.begin(), outer, 0);
  while (true) {
    copy_rectangle(to, from, rows, columns, element_bytes);
    std::size_t dim = outer;
    while (dim > 0) {
      const CopyDim& moved = plan.dims[dim - 1];
      to += moved.to;
      from += moved.from;
      if (++index[dim - 1] < moved.size) break;
      to -= moved.to * moved.size;
      from -= moved.from * moved.size;
      index[--dim] = 0;
    }
    if (dim == 0) return;
  }
}

std::string sizes_text(std::span<const std::int64_t> sizes) {
  return fmt::format("[{}]", fmt::join(sizes.begin(), sizes.end(), ", "));
}

}  // namespace penstock::tensor
