#pragma once

#include <penstock/tensor.hpp>

#include <cstddef>

namespace penstock::tensor {

/// Bytes from the first element of a view to behind its last: a view overflows nowhere.
[[nodiscard]] std::size_t reached_bytes(const TensorView& view) noexcept;

}  // namespace penstock::tensor
