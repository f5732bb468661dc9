#include "cuda_ops/dense_strides.hpp"

#include "tensor/tensor_object.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::cuda_ops {
namespace {

/// Positive where `outer` lies inside `inner`; 0 where strides do not tell.
int compare(std::span<const std::int64_t> sizes, std::span<const std::int64_t> like, std::size_t inner,
            std::size_t outer) noexcept {
  if (like[inner] == 0 || like[outer] == 0) return 0;
  if (like[inner] != like[outer]) return like[inner] < like[outer] ? -1 : 1;
  return sizes[inner] > sizes[outer] ? 1 : 0;
}

}  // namespace

void fill_dense_strides(std::span<const std::int64_t> sizes, std::span<const std::int64_t> like,
                        std::span<std::int64_t> strides) noexcept {
  std::array<std::size_t, tensor::kRoomForDims> order;
  const std::size_t rank = sizes.size();
  for (std::size_t i = 0; i < rank; ++i) order[i] = rank - 1 - i;
  // Insertion, in which a dimension that does not tell is passed over.
  for (std::size_t i = 1; i < rank; ++i) {
    std::size_t moved = i;
    for (std::size_t at = i; at-- > 0;) {
      const int comparison = compare(sizes, like, order[at], order[moved]);
      if (comparison < 0) break;
      if (comparison > 0) {
        std::swap(order[at], order[moved]);
        moved = at;
      }
    }
  }
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    strides[order[i]] = stride;
    stride *= std::max<std::int64_t>(sizes[order[i]], 1);
  }
}

}  // namespace penstock::cuda_ops
