#pragma once

#include "cpu/pooling.hpp"

#include <array>
#include <cstdint>

namespace penstock::cpu {

/// Depth, height and width; 1, or what changes nothing, where there is no depth.
using PoolValues = std::array<std::int64_t, 3>;

/// A window with one value for each of three dimensions.
struct PoolGeometry {
  PoolValues kernel{1, 1, 1};
  PoolValues stride{1, 1, 1};
  PoolValues padding{0, 0, 0};
  PoolValues dilation{1, 1, 1};
  PoolValues out{1, 1, 1};
};

/// Checks the window against the input. Errors: as max_pool_layout.
PoolGeometry pool_geometry(const tensor::TensorObject& input, const PoolWindow& window);

}  // namespace penstock::cpu
