#include "cpu/result_layout.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace penstock::cpu {
namespace {

/// True where no element lies between the elements, and none twice.
bool is_dense(std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) {
  std::vector<std::pair<std::int64_t, std::int64_t>> dims;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != 1) dims.emplace_back(strides[i], sizes[i]);
  }
  std::sort(dims.begin(), dims.end());
  std::int64_t expected = 1;
  for (const auto& [stride, size] : dims) {
    if (stride != expected) return false;
    expected *= size;
  }
  return true;
}

/// Whether dimension `inner` should rather lie outside of `outer`; nothing can be told of a stride of 0.
enum class Order { Right, Wrong, Unknown };
Order order_of(std::size_t inner, std::size_t outer, std::span<const std::int64_t> sizes,
               std::span<const std::int64_t> strides) {
  if (strides[inner] == 0 || strides[outer] == 0) return Order::Unknown;
  if (strides[inner] != strides[outer]) {
    return strides[inner] < strides[outer] ? Order::Right : Order::Wrong;
  }
  return sizes[inner] > sizes[outer] ? Order::Wrong : Order::Unknown;
}

}  // namespace

std::vector<std::int64_t> dense_strides_like(std::span<const std::int64_t> sizes,
                                             std::span<const std::int64_t> strides) {
  if (is_dense(sizes, strides)) return {strides.begin(), strides.end()};
  // From the innermost dimension outward. An order that is not total rules std::sort out.
  std::vector<std::size_t> dims(sizes.size());
  for (std::size_t i = 0; i < dims.size(); ++i) dims[i] = dims.size() - 1 - i;
  for (std::size_t i = 1; i < dims.size(); ++i) {
    std::size_t at = i;
    for (std::size_t before = i; before-- > 0;) {
      const Order order = order_of(dims[before], dims[at], sizes, strides);
      if (order == Order::Right) break;
      if (order == Order::Unknown) continue;
      std::swap(dims[before], dims[at]);
      at = before;
    }
  }
  std::vector<std::int64_t> dense(sizes.size());
  std::int64_t stride = 1;
  for (const std::size_t dim : dims) {
    dense[dim] = stride;
    stride *= std::max<std::int64_t>(sizes[dim], 1);
  }
  return dense;
}

}  // namespace penstock::cpu
