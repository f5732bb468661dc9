// Arithmetic that packages call: inductor writes its own code for all but complex numbers. Computed in float64 and
// rounded once, as the kernel waits for memory.

#include "element.cuh"

#include <math.h>

using namespace penstock::kernels;

namespace {

__device__ Number complex_of(double real, double imaginary) { return {Number::Complex, 0, real, imaginary}; }

__device__ bool is_integral(const Number& number) {
  return number.kind == Number::Signed || number.kind == Number::Unsigned;
}

/// Overflow wraps around.
__device__ Number integer_of(std::uint64_t value) { return number_of(static_cast<std::int64_t>(value)); }

__device__ Number sum_of(Element dtype, const Number& a, const Number& b, const FillValue& factor) {
  if (dtype == Element::Bool) {
    return number_of(std::int64_t{a.integer != 0 || (factor.real != 0 && b.integer != 0) ? 1 : 0});
  }
  if (is_integral(a)) {
    return integer_of(static_cast<std::uint64_t>(a.integer) +
                      static_cast<std::uint64_t>(factor.integer) * static_cast<std::uint64_t>(b.integer));
  }
  const double real = a.real + factor.real * b.real;
  return a.kind == Number::Complex ? complex_of(real, a.imaginary + factor.real * b.imaginary) : number_of(real);
}

__device__ Number product_of(const Number& a, const Number& b) {
  if (is_integral(a)) return integer_of(static_cast<std::uint64_t>(a.integer) * static_cast<std::uint64_t>(b.integer));
  if (a.kind != Number::Complex) return number_of(a.real * b.real);
  return complex_of(a.real * b.real - a.imaginary * b.imaginary, a.real * b.imaginary + a.imaginary * b.real);
}

__device__ Number magnitude_of(const Number& a) {
  if (a.kind == Number::Complex) return number_of(hypot(a.real, a.imaginary));
  if (!is_integral(a)) return number_of(fabs(a.real));
  if (a.kind == Number::Unsigned || a.integer >= 0) return a;
  // The smallest has no positive counterpart and stays.
  return integer_of(std::uint64_t{0} - static_cast<std::uint64_t>(a.integer));
}

__device__ Number angle_of(const Number& a) {
  constexpr double kPi = 3.14159265358979323846;
  if (a.kind == Number::Complex) return number_of(atan2(a.imaginary, a.real));
  return number_of(isnan(a.real) ? a.real : a.real < 0 ? kPi : 0.0);
}

__device__ Number result_of(const Calculation& calculation, const Number& a, const Number& b) {
  switch (calculation.kind) {
    case Arithmetic::Sum: return sum_of(calculation.dtype, a, b, calculation.factor);
    case Arithmetic::Product: return product_of(a, b);
    case Arithmetic::Magnitude: return magnitude_of(a);
    case Arithmetic::Angle: return angle_of(a);
    default: return complex_of(a.real * cos(b.real), a.real * sin(b.real));
  }
}

}  // namespace

PENSTOCK_KERNEL(penstock_arithmetic, Calculation calculation) {
  for_each_place(calculation.walk, [&](std::int64_t, const std::int64_t (&place)[3]) {
    const Number a = load_number(calculation.dtype, calculation.a, place[1]);
    const Number b = load_number(calculation.dtype, calculation.b, place[2]);
    store_number(calculation.out_dtype, calculation.out, place[0], result_of(calculation, a, b));
  });
}
