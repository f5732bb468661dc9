#pragma once

#include <penstock/tensor.hpp>

#include <string>
#include <vector>

namespace penstock::cli {

/// How the outputs of two runs of one model differ.
struct Difference {
  /// What no number tells: other sizes, NaN or infinity in one of them alone. Empty: nothing.
  std::string in_kind;
  /// The largest difference of finite numbers beside the largest number of that output.
  double of_largest = 0;
  /// Some number is neither 0, nor NaN, nor infinite: without one, equal outputs mean nothing.
  bool tells = false;
};

/// Of row-major tensors in host memory, as many in both.
[[nodiscard]] Difference difference(const std::vector<Tensor>& first, const std::vector<Tensor>& second);

}  // namespace penstock::cli
