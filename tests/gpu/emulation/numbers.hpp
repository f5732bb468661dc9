#pragma once

#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

#include <complex>
#include <cstdint>

namespace penstock::emulation {

enum class Number { Float16, BFloat16, Float32, Float64, Complex64, Complex128 };

inline std::complex<double> load(const void* data, std::int64_t i, Number number) {
  switch (number) {
    case Number::Float16: return static_cast<double>(static_cast<const Eigen::half*>(data)[i]);
    case Number::BFloat16: return static_cast<double>(static_cast<const Eigen::bfloat16*>(data)[i]);
    case Number::Float32: return static_cast<const float*>(data)[i];
    case Number::Float64: return static_cast<const double*>(data)[i];
    case Number::Complex64: return static_cast<const std::complex<float>*>(data)[i];
    default: return static_cast<const std::complex<double>*>(data)[i];
  }
}

inline void store(void* data, std::int64_t i, Number number, std::complex<double> value) {
  switch (number) {
    case Number::Float16:
      static_cast<Eigen::half*>(data)[i] = Eigen::half(static_cast<float>(value.real()));
      return;
    case Number::BFloat16:
      static_cast<Eigen::bfloat16*>(data)[i] = Eigen::bfloat16(static_cast<float>(value.real()));
      return;
    case Number::Float32: static_cast<float*>(data)[i] = static_cast<float>(value.real()); return;
    case Number::Float64: static_cast<double*>(data)[i] = value.real(); return;
    case Number::Complex64: static_cast<std::complex<float>*>(data)[i] = std::complex<float>(value); return;
    default: static_cast<std::complex<double>*>(data)[i] = value; return;
  }
}

/// A value as TF32 holds it: with 10 bits behind the point.
inline double to_tf32(double value) {
  if (value == 0 || !std::isfinite(value)) return value;
  int exponent = 0;
  const double fraction = std::frexp(value, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 11)), exponent - 11);
}

}  // namespace penstock::emulation
