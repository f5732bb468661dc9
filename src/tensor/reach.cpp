#include "tensor/reach.hpp"

#include "tensor/layout.hpp"

namespace penstock::tensor {

std::size_t reached_bytes(const TensorView& view) noexcept {
  const std::int64_t extent = checked_extent(view.sizes(), view.strides()).value_or(0);
  return static_cast<std::size_t>(extent) * element_bytes(view.dtype());
}

}  // namespace penstock::tensor
