#pragma once

#include "cuda_ops/convolution.hpp"
#include "cuda_ops/lane_state.hpp"
#include "cuda_ops/product.hpp"

namespace penstock::cuda_ops {

struct LaneState::Plans {
  // A model of dynamic shapes must not make plans without end.
  static constexpr std::size_t kMost = 512;
  ProductPlans products{kMost};
  ConvolutionPlans convolutions{kMost};
};

}  // namespace penstock::cuda_ops
