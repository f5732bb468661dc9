#pragma once

#include "base/fail.hpp"

#include <penstock/dtype.hpp>

#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

#include <complex>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>
#include <type_traits>

// The C++ types of elements, and what operators do with them one by one.
namespace penstock::cpu {

using Half = Eigen::half;
using BFloat16 = Eigen::bfloat16;

/// A bool in memory. Any byte but 0 is true, which a C++ bool does not allow.
struct Boolean {
  std::uint8_t byte = 0;
  [[nodiscard]] bool value() const noexcept { return byte != 0; }
};

template <class T>
inline constexpr bool kIsNarrowFloat = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;
template <class T>
inline constexpr bool kIsFloating = std::is_floating_point_v<T> || kIsNarrowFloat<T>;
template <class T>
inline constexpr bool kIsComplex = false;
template <class T>
inline constexpr bool kIsComplex<std::complex<T>> = true;

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, Boolean>) return DType::Bool;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DType::UInt8;
  if constexpr (std::is_same_v<T, std::int8_t>) return DType::Int8;
  if constexpr (std::is_same_v<T, std::int16_t>) return DType::Int16;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::Int32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::Int64;
  if constexpr (std::is_same_v<T, std::uint16_t>) return DType::UInt16;
  if constexpr (std::is_same_v<T, std::uint32_t>) return DType::UInt32;
  if constexpr (std::is_same_v<T, std::uint64_t>) return DType::UInt64;
  if constexpr (std::is_same_v<T, Half>) return DType::Float16;
  if constexpr (std::is_same_v<T, BFloat16>) return DType::BFloat16;
  if constexpr (std::is_same_v<T, float>) return DType::Float32;
  if constexpr (std::is_same_v<T, double>) return DType::Float64;
  if constexpr (std::is_same_v<T, std::complex<float>>) return DType::Complex64;
  if constexpr (std::is_same_v<T, std::complex<double>>) return DType::Complex128;
}

template <class... Ts>
struct Types {};

template <class... As, class... Bs>
constexpr Types<As..., Bs...> operator+(Types<As...>, Types<Bs...>) {
  return {};
}

inline constexpr Types<std::uint8_t, std::int8_t, std::int16_t, std::int32_t, std::int64_t> kIntegers;
inline constexpr Types<std::uint16_t, std::uint32_t, std::uint64_t> kWideUnsigned;
inline constexpr Types<float, double, Half, BFloat16> kFloats;
inline constexpr Types<std::complex<float>, std::complex<double>> kComplex;
inline constexpr Types<Boolean> kBoolean;
/// What nearly every operator of PyTorch takes.
inline constexpr auto kNumbers = kIntegers + kFloats;
inline constexpr auto kOrdered = kNumbers + kWideUnsigned + kBoolean;
inline constexpr auto kAllTypes = kOrdered + kComplex;

/// Calls `work` with std::type_identity of the type of `dtype`, which is one of `types`.
/// Errors: Unsupported names the operator and the dtype.
template <class... Ts, class Work>
void with_type(std::string_view name, DType dtype, Types<Ts...>, Work&& work) {
  const bool found = ((dtype_of<Ts>() == dtype && (work(std::type_identity<Ts>{}), true)) || ...);
  if (!found) base::fail(ErrorCode::Unsupported, "{} is not implemented for {}", name, dtype_name(dtype));
}

/// Elements are read and written as bytes: a storage may hold another type than the tensor's.
template <class T>
T load(const std::byte* from) noexcept {
  T value;
  std::memcpy(static_cast<void*>(&value), from, sizeof(T));
  return value;
}

template <class T>
void store(std::byte* to, T value) noexcept {
  std::memcpy(to, static_cast<const void*>(&value), sizeof(T));
}

/// The type in which C++ compares and adds a T: float for 16-bit floats, std::uint8_t of 0 or 1 for bool.
template <class T>
using Plain = std::conditional_t<kIsNarrowFloat<T>, float,
                                 std::conditional_t<std::is_same_v<T, Boolean>, std::uint8_t, T>>;

template <class T>
Plain<T> plain(T value) noexcept {
  if constexpr (std::is_same_v<T, Boolean>) {
    return value.value() ? 1 : 0;
  } else {
    return static_cast<Plain<T>>(value);
  }
}

template <class T>
bool is_nan([[maybe_unused]] T value) noexcept {
  if constexpr (kIsFloating<T>) {
    // Comparison of a 16-bit float is that of its float.
    return !(plain(value) == plain(value));
  } else {
    return false;
  }
}

/// What every value but NaN is at least.
template <class T>
T lowest() noexcept {
  if constexpr (kIsFloating<T>) {
    return static_cast<T>(-std::numeric_limits<Plain<T>>::infinity());
  } else {
    return std::numeric_limits<T>::lowest();
  }
}

/// A floating value as an integer of type To, toward zero. C++ leaves values that do not fit undefined;
/// here, as x86 and so PyTorch have it, they become the smallest int32 or int64, cut down to To.
template <class To, class From>
To truncate(From value) noexcept {
  // Comparisons that are false of NaN.
  const auto wide = static_cast<double>(value);
  if constexpr (sizeof(To) < 4 || std::is_same_v<To, std::int32_t>) {
    const bool fits = wide > -2147483649.0 && wide < 2147483648.0;
    return static_cast<To>(fits ? static_cast<std::int32_t>(value)
                                : std::numeric_limits<std::int32_t>::min());
  } else {
    constexpr double kTwo63 = 9223372036854775808.0;
    if constexpr (std::is_same_v<To, std::uint64_t>) {
      if (wide >= kTwo63 && wide < 2 * kTwo63) return static_cast<To>(value);
    }
    const bool fits = wide >= -kTwo63 && wide < kTwo63;
    return static_cast<To>(fits ? static_cast<std::int64_t>(value)
                                : std::numeric_limits<std::int64_t>::min());
  }
}

/// `value` as torch.Tensor.to gives it: rounded to nearest even, truncated to integers, compared with 0
/// for bool. An imaginary part is dropped.
template <class To, class From>
To convert(From value) noexcept {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<To, Boolean>) {
    return Boolean{static_cast<std::uint8_t>(plain(value) != Plain<From>{} ? 1 : 0)};
  } else if constexpr (kIsComplex<From>) {
    if constexpr (kIsComplex<To>) {
      return To(value);
    } else {
      return convert<To>(value.real());
    }
  } else if constexpr (kIsComplex<To>) {
    return To(convert<typename To::value_type>(value));
  } else if constexpr (kIsNarrowFloat<To>) {
    return To(static_cast<float>(plain(value)));
  } else if constexpr (kIsFloating<From> && std::is_integral_v<To>) {
    return truncate<To>(plain(value));
  } else {
    return static_cast<To>(plain(value));
  }
}

}  // namespace penstock::cpu
