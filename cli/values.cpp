#include "values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace penstock::cli {
namespace {

/// How a float narrower than 32 bits is laid out, and how it writes what is not a finite number.
struct SmallFloat {
  DType dtype;
  int exponent_bits;
  int mantissa_bits;
  int bias;
  enum class Special { Ieee, OnlyNan, NegativeZeroIsNan } special;
};
constexpr std::array kSmallFloats{
    SmallFloat{DType::Float16, 5, 10, 15, SmallFloat::Special::Ieee},
    SmallFloat{DType::BFloat16, 8, 7, 127, SmallFloat::Special::Ieee},
    SmallFloat{DType::Float8E5M2, 5, 2, 15, SmallFloat::Special::Ieee},
    SmallFloat{DType::Float8E4M3FN, 4, 3, 7, SmallFloat::Special::OnlyNan},
    SmallFloat{DType::Float8E5M2FNUZ, 5, 2, 16, SmallFloat::Special::NegativeZeroIsNan},
    SmallFloat{DType::Float8E4M3FNUZ, 4, 3, 8, SmallFloat::Special::NegativeZeroIsNan},
};

const SmallFloat* small_float(DType dtype) noexcept {
  const auto* row = std::find_if(kSmallFloats.begin(), kSmallFloats.end(),
                                 [&](const SmallFloat& f) { return f.dtype == dtype; });
  return row == kSmallFloats.end() ? nullptr : &*row;
}

template <class T>
T load(const std::byte* element) noexcept {
  T value;
  std::memcpy(&value, element, sizeof(T));
  return value;
}

double decode(const SmallFloat& layout, unsigned bits) noexcept {
  const int width = 1 + layout.exponent_bits + layout.mantissa_bits;
  const unsigned sign = bits >> (width - 1) & 1u;
  const unsigned exponent = bits >> layout.mantissa_bits & ((1u << layout.exponent_bits) - 1u);
  const unsigned mantissa = bits & ((1u << layout.mantissa_bits) - 1u);
  const bool top = exponent == (1u << layout.exponent_bits) - 1u;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  switch (layout.special) {
    case SmallFloat::Special::Ieee:
      if (top && mantissa != 0) return kNan;
      if (top) return sign != 0 ? -HUGE_VAL : HUGE_VAL;
      break;
    case SmallFloat::Special::OnlyNan:
      if (top && mantissa == (1u << layout.mantissa_bits) - 1u) return kNan;
      break;
    case SmallFloat::Special::NegativeZeroIsNan:
      if (bits == 1u << (width - 1)) return kNan;
      break;
  }
  const unsigned significand = exponent == 0 ? mantissa : mantissa | 1u << layout.mantissa_bits;
  const int power = std::max(static_cast<int>(exponent), 1) - layout.bias - layout.mantissa_bits;
  const double magnitude = std::ldexp(static_cast<double>(significand), power);
  return sign != 0 ? -magnitude : magnitude;
}

/// `value` is 0 or a number that the layout holds exactly, above its subnormal numbers.
unsigned encode(const SmallFloat& layout, double value) noexcept {
  if (value == 0) return 0;
  int power = 0;
  const double fraction = std::frexp(value, &power);  // In [0.5, 1).
  const auto significand = static_cast<unsigned>(std::ldexp(fraction, layout.mantissa_bits + 1));
  const auto exponent = static_cast<unsigned>(power - 1 + layout.bias);
  return exponent << layout.mantissa_bits | (significand & ((1u << layout.mantissa_bits) - 1u));
}

/// Uniform over the multiples of 2^-bits in [0, 1).
double uniform(std::mt19937_64& generator, int bits) noexcept {
  return std::ldexp(static_cast<double>(generator() >> (64 - bits)), -bits);
}

template <class T>
void store(std::byte* element, T value) noexcept {
  std::memcpy(element, &value, sizeof(T));
}

void store_uniform(std::byte* element, DType dtype, std::mt19937_64& generator) noexcept {
  if (dtype == DType::Float64) return store(element, uniform(generator, 53));
  if (dtype == DType::Float32) return store(element, static_cast<float>(uniform(generator, 24)));
  // A power of two alone has no numbers spread over [0, 1): one half.
  if (dtype == DType::Float8E8M0FNU) return store(element, std::uint8_t{126});
  const SmallFloat& layout = *small_float(dtype);
  const unsigned bits = encode(layout, uniform(generator, layout.mantissa_bits + 1));
  if (element_bytes(dtype) == 2) return store(element, static_cast<std::uint16_t>(bits));
  store(element, static_cast<std::uint8_t>(bits));
}

DType part_of(DType complex) noexcept {
  if (complex == DType::Complex32) return DType::Float16;
  return complex == DType::Complex64 ? DType::Float32 : DType::Float64;
}

}  // namespace

bool is_complex(DType dtype) noexcept {
  return dtype == DType::Complex32 || dtype == DType::Complex64 || dtype == DType::Complex128;
}

bool is_floating(DType dtype) noexcept {
  return dtype == DType::Float32 || dtype == DType::Float64 || dtype == DType::Float8E8M0FNU ||
         small_float(dtype) != nullptr;
}

bool is_integer(DType dtype) noexcept {
  return dtype != DType::Bool && !is_floating(dtype) && !is_complex(dtype) && element_bytes(dtype) != 0;
}

double number_at(const std::byte* element, DType dtype) noexcept {
  if (is_complex(dtype)) dtype = part_of(dtype);
  switch (dtype) {
    case DType::Float32: return load<float>(element);
    case DType::Float64: return load<double>(element);
    case DType::Bool:
    case DType::UInt8: return load<std::uint8_t>(element);
    case DType::Int8: return load<std::int8_t>(element);
    case DType::Int16: return load<std::int16_t>(element);
    case DType::UInt16: return load<std::uint16_t>(element);
    case DType::Int32: return load<std::int32_t>(element);
    case DType::UInt32: return load<std::uint32_t>(element);
    case DType::Int64: return static_cast<double>(load<std::int64_t>(element));
    case DType::UInt64: return static_cast<double>(load<std::uint64_t>(element));
    case DType::Float8E8M0FNU: {
      const auto bits = load<std::uint8_t>(element);
      return bits == 0xff ? std::numeric_limits<double>::quiet_NaN() : std::ldexp(1.0, bits - 127);
    }
    default: break;
  }
  const SmallFloat* layout = small_float(dtype);
  if (layout == nullptr) return 0;
  return decode(*layout,
                element_bytes(dtype) == 2 ? load<std::uint16_t>(element) : load<std::uint8_t>(element));
}

std::string text_at(const std::byte* element, DType dtype) {
  if (dtype == DType::Bool) return number_at(element, dtype) != 0 ? "true" : "false";
  // Wide integers are not exact as numbers of double precision.
  if (dtype == DType::Int64) return std::to_string(load<std::int64_t>(element));
  if (dtype == DType::UInt64) return std::to_string(load<std::uint64_t>(element));
  if (is_integer(dtype)) return fmt::format("{}", static_cast<std::int64_t>(number_at(element, dtype)));
  if (is_complex(dtype)) {
    const double imaginary = number_at(element + element_bytes(dtype) / 2, part_of(dtype));
    return fmt::format("{:.5g}{:+.5g}j", number_at(element, dtype), imaginary);
  }
  const double number = number_at(element, dtype);
  // The sign of a NaN says nothing.
  return std::isnan(number) ? "nan" : fmt::format("{:.5g}", number);
}

std::string preview(const TensorView& tensor, std::size_t count) {
  const auto* data = static_cast<const std::byte*>(tensor.data());
  const std::size_t bytes = element_bytes(tensor.dtype());
  const auto total = static_cast<std::size_t>(tensor.numel());
  if (tensor.rank() == 0) return text_at(data, tensor.dtype());
  std::string result = "[";
  for (std::size_t i = 0; i < std::min(count, total); ++i) {
    if (i > 0) result += ", ";
    result += text_at(data + i * bytes, tensor.dtype());
  }
  return result + (total > count ? ", ...]" : "]");
}

void fill(const Tensor& tensor, std::mt19937_64& generator) {
  auto* data = static_cast<std::byte*>(tensor.view().data());
  const DType dtype = tensor.dtype();
  const auto count = static_cast<std::size_t>(tensor.numel());
  const std::size_t bytes = element_bytes(dtype);
  if (!is_floating(dtype) && !is_complex(dtype)) {
    if (count > 0) std::memset(data, 0, count * bytes);
    return;
  }
  const DType part = is_complex(dtype) ? part_of(dtype) : dtype;
  const std::size_t part_bytes = element_bytes(part);
  for (std::size_t i = 0; i < count * bytes / part_bytes; ++i) {
    store_uniform(data + i * part_bytes, part, generator);
  }
}

}  // namespace penstock::cli
