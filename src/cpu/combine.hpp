#pragma once

#include "cpu/element.hpp"

#include <algorithm>

// How operators put one more element to what they have, in the types of cpu/element.hpp.
namespace penstock::cpu {

/// The unsigned type in which integers add and multiply: overflow wraps around, as PyTorch's does.
template <class T>
using Wrapping = std::conditional_t<(sizeof(T) < 4), std::uint32_t, std::make_unsigned_t<T>>;

template <class T>
T sum_of(T a, T b) noexcept {
  if constexpr (std::is_same_v<T, Boolean>) {
    return Boolean{static_cast<std::uint8_t>(a.value() || b.value() ? 1 : 0)};
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
  } else {
    return static_cast<T>(plain(a) + plain(b));
  }
}

template <class T>
T product_of(T a, T b) noexcept {
  if constexpr (std::is_same_v<T, Boolean>) {
    return Boolean{static_cast<std::uint8_t>(a.value() && b.value() ? 1 : 0)};
  } else if constexpr (std::is_integral_v<T>) {
    return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
  } else {
    return static_cast<T>(plain(a) * plain(b));
  }
}

/// The larger; NaN where one is.
template <class T>
T larger_of(T a, T b) noexcept {
  if (is_nan(b)) return b;
  return !is_nan(a) && plain(a) < plain(b) ? b : a;
}

/// The smaller; NaN where one is.
template <class T>
T smaller_of(T a, T b) noexcept {
  if (is_nan(b)) return b;
  return !is_nan(a) && plain(b) < plain(a) ? b : a;
}

}  // namespace penstock::cpu
