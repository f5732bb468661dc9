#include "difference.hpp"

#include "values.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace penstock::cli {
namespace {

bool are_alike(double left, double right) {
  if (std::isnan(left) || std::isnan(right)) return std::isnan(left) && std::isnan(right);
  if (std::isinf(left) || std::isinf(right)) return left == right;
  return true;
}

void add(Difference& to, std::size_t output, const TensorView& first, const TensorView& second) {
  if (first.dtype() != second.dtype() || !std::ranges::equal(first.sizes(), second.sizes())) {
    to.in_kind = fmt::format("output {} is {}[{}], and then {}[{}]", output, dtype_name(first.dtype()),
                             fmt::join(first.sizes(), ", "), dtype_name(second.dtype()),
                             fmt::join(second.sizes(), ", "));
    return;
  }
  const auto* const left = static_cast<const std::byte*>(first.data());
  const auto* const right = static_cast<const std::byte*>(second.data());
  const std::size_t bytes = element_bytes(first.dtype());
  double largest = 0;
  double most = 0;
  for (std::int64_t k = 0; k < first.numel(); ++k) {
    const std::size_t at = static_cast<std::size_t>(k) * bytes;
    const double of_left = number_at(left + at, first.dtype());
    const double of_right = number_at(right + at, first.dtype());
    if (!are_alike(of_left, of_right)) {
      to.in_kind = fmt::format("element {} of output {} is {}, and then {}", k, output, of_left, of_right);
      return;
    }
    if (!std::isfinite(of_left)) continue;
    largest = std::max(largest, std::abs(of_left - of_right));
    most = std::max({most, std::abs(of_left), std::abs(of_right)});
  }
  to.tells = to.tells || most > 0;
  if (most > 0) to.of_largest = std::max(to.of_largest, largest / most);
}

}  // namespace

Difference difference(const std::vector<Tensor>& first, const std::vector<Tensor>& second) {
  Difference found;
  for (std::size_t i = 0; i < first.size() && found.in_kind.empty(); ++i)
    add(found, i, first[i].view(), second[i].view());
  return found;
}

}  // namespace penstock::cli
