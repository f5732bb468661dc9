#pragma once

#include "device.cuh"

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif

// Elements whose dtype is known when a kernel runs. All threads of a launch take the same way through these
// switches, and kernels that move data wait for memory: one kernel for all dtypes costs little.
namespace penstock::kernels {

// The larger switches are functions of their own, so that kernels with several of them stay small.
#ifdef __CUDACC__
#define PENSTOCK_APART __device__ __noinline__
#else
#define PENSTOCK_APART inline
#endif

#ifdef __CUDACC__
__device__ inline float float_of_half(std::uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
__device__ inline std::uint16_t half_of_float(float value) { return __half_as_ushort(__float2half_rn(value)); }
__device__ inline float float_of_bfloat16(std::uint16_t bits) {
  return __bfloat162float(__ushort_as_bfloat16(bits));
}
__device__ inline std::uint16_t bfloat16_of_float(float value) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(value));
}
#endif

/// 16-bit floats, told apart.
struct Half {
  std::uint16_t bits;
};
struct BFloat16 {
  std::uint16_t bits;
};

__device__ inline float wide(Half value) { return float_of_half(value.bits); }
__device__ inline float wide(BFloat16 value) { return float_of_bfloat16(value.bits); }
template <class T>
__device__ T wide(T value) {
  return value;
}

template <class T>
struct Narrow {
  template <class W>
  static __device__ T of(W value) {
    return static_cast<T>(value);
  }
};
template <>
struct Narrow<Half> {
  static __device__ Half of(float value) { return {half_of_float(value)}; }
};
template <>
struct Narrow<BFloat16> {
  static __device__ BFloat16 of(float value) { return {bfloat16_of_float(value)}; }
};

/// Any element: an integer, or what a double holds exactly.
struct Number {
  enum Kind : int { Signed, Unsigned, Real, Complex };
  Kind kind;
  std::int64_t integer;
  double real;
  double imaginary;
};

__device__ inline Number number_of(std::int64_t value) { return {Number::Signed, value, 0, 0}; }
__device__ inline Number number_of(double value) { return {Number::Real, 0, value, 0}; }

__device__ inline bool is_integer(Element dtype) {
  switch (dtype) {
    case Element::Float16:
    case Element::BFloat16:
    case Element::Float32:
    case Element::Float64:
    case Element::Complex64:
    case Element::Complex128: return false;
    default: return true;
  }
}

PENSTOCK_APART std::int64_t load_integer(Element dtype, const void* data, std::int64_t i) {
  switch (dtype) {
    case Element::Bool: return static_cast<const std::uint8_t*>(data)[i] != 0 ? 1 : 0;
    case Element::UInt8: return static_cast<const std::uint8_t*>(data)[i];
    case Element::Int8: return static_cast<const std::int8_t*>(data)[i];
    case Element::Int16: return static_cast<const std::int16_t*>(data)[i];
    case Element::UInt16: return static_cast<const std::uint16_t*>(data)[i];
    case Element::Int32: return static_cast<const std::int32_t*>(data)[i];
    case Element::UInt32: return static_cast<const std::uint32_t*>(data)[i];
    default: return static_cast<const std::int64_t*>(data)[i];
  }
}

PENSTOCK_APART double load_real(Element dtype, const void* data, std::int64_t i) {
  switch (dtype) {
    case Element::Float16: return float_of_half(static_cast<const std::uint16_t*>(data)[i]);
    case Element::BFloat16: return float_of_bfloat16(static_cast<const std::uint16_t*>(data)[i]);
    case Element::Float32: return static_cast<const float*>(data)[i];
    case Element::Float64: return static_cast<const double*>(data)[i];
    case Element::Complex64: return static_cast<const float*>(data)[2 * i];
    case Element::Complex128: return static_cast<const double*>(data)[2 * i];
    case Element::UInt64: return static_cast<double>(static_cast<const std::uint64_t*>(data)[i]);
    default: return static_cast<double>(load_integer(dtype, data, i));
  }
}

__device__ inline double load_imaginary(Element dtype, const void* data, std::int64_t i) {
  switch (dtype) {
    case Element::Complex64: return static_cast<const float*>(data)[2 * i + 1];
    case Element::Complex128: return static_cast<const double*>(data)[2 * i + 1];
    default: return 0;
  }
}

__device__ inline Number load_number(Element dtype, const void* data, std::int64_t i) {
  switch (dtype) {
    case Element::Complex64:
    case Element::Complex128:
      return {Number::Complex, 0, load_real(dtype, data, i), load_imaginary(dtype, data, i)};
    case Element::UInt64: return {Number::Unsigned, load_integer(dtype, data, i), 0, 0};
    default: break;
  }
  if (is_integer(dtype)) return number_of(load_integer(dtype, data, i));
  return number_of(load_real(dtype, data, i));
}

__device__ inline bool is_nonzero(Element dtype, const void* data, std::int64_t i) {
  if (is_integer(dtype)) return load_integer(dtype, data, i) != 0;
  return load_real(dtype, data, i) != 0 || load_imaginary(dtype, data, i) != 0;
}

/// Toward zero. What does not fit is undefined in C++; it becomes the smallest int32 or int64, cut down to the
/// dtype, as on the CPU.
__device__ inline std::int64_t truncated(Element dtype, double value) {
  constexpr double kTwo63 = 9223372036854775808.0;
  switch (dtype) {
    case Element::UInt64:
      if (value >= kTwo63 && value < 2 * kTwo63) {
        return static_cast<std::int64_t>(static_cast<std::uint64_t>(value));
      }
      break;
    case Element::Int64:
    case Element::UInt32: break;
    default: return value > -2147483649.0 && value < 2147483648.0 ? static_cast<std::int32_t>(value) : INT32_MIN;
  }
  return value >= -kTwo63 && value < kTwo63 ? static_cast<std::int64_t>(value) : INT64_MIN;
}

__device__ inline double real_of(const Number& number) {
  switch (number.kind) {
    case Number::Signed: return static_cast<double>(number.integer);
    case Number::Unsigned: return static_cast<double>(static_cast<std::uint64_t>(number.integer));
    default: return number.real;
  }
}

/// Rounded once: a double in between would round large integers twice.
__device__ inline float float_of(const Number& number) {
  switch (number.kind) {
    case Number::Signed: return static_cast<float>(number.integer);
    case Number::Unsigned: return static_cast<float>(static_cast<std::uint64_t>(number.integer));
    default: return static_cast<float>(number.real);
  }
}

PENSTOCK_APART void store_integer(Element dtype, void* data, std::int64_t i, std::int64_t value) {
  switch (dtype) {
    case Element::UInt8:
    case Element::Int8: static_cast<std::uint8_t*>(data)[i] = static_cast<std::uint8_t>(value); return;
    case Element::Int16:
    case Element::UInt16: static_cast<std::uint16_t*>(data)[i] = static_cast<std::uint16_t>(value); return;
    case Element::Int32:
    case Element::UInt32: static_cast<std::uint32_t*>(data)[i] = static_cast<std::uint32_t>(value); return;
    default: static_cast<std::int64_t*>(data)[i] = value; return;
  }
}

/// As torch.Tensor.to: rounded to nearest even, truncated to integers, compared with 0 for bool. An imaginary
/// part is dropped.
PENSTOCK_APART void store_number(Element dtype, void* data, std::int64_t i, const Number& number) {
  const bool is_integral = number.kind == Number::Signed || number.kind == Number::Unsigned;
  switch (dtype) {
    case Element::Bool: {
      const bool value = is_integral ? number.integer != 0 : number.real != 0 || number.imaginary != 0;
      static_cast<std::uint8_t*>(data)[i] = value ? 1 : 0;
      return;
    }
    case Element::Float16: static_cast<std::uint16_t*>(data)[i] = half_of_float(float_of(number)); return;
    case Element::BFloat16: static_cast<std::uint16_t*>(data)[i] = bfloat16_of_float(float_of(number)); return;
    case Element::Float32: static_cast<float*>(data)[i] = float_of(number); return;
    case Element::Float64: static_cast<double*>(data)[i] = real_of(number); return;
    case Element::Complex64:
      static_cast<float*>(data)[2 * i] = float_of(number);
      static_cast<float*>(data)[2 * i + 1] = static_cast<float>(number.imaginary);
      return;
    case Element::Complex128:
      static_cast<double*>(data)[2 * i] = real_of(number);
      static_cast<double*>(data)[2 * i + 1] = number.imaginary;
      return;
    default:
      store_integer(dtype, data, i, is_integral ? number.integer : truncated(dtype, number.real));
      return;
  }
}

__device__ inline Number number_of(const FillValue& value) {
  return value.is_integer != 0 ? number_of(value.integer) : number_of(value.real);
}

/// 16 bytes that need no alignment of their own beyond 8.
struct Sixteen {
  std::uint64_t low;
  std::uint64_t high;
};

PENSTOCK_APART void move_element(int bytes, void* to, std::int64_t to_place, const void* from,
                                    std::int64_t from_place) {
  switch (bytes) {
    case 1:
      static_cast<std::uint8_t*>(to)[to_place] = static_cast<const std::uint8_t*>(from)[from_place];
      return;
    case 2:
      static_cast<std::uint16_t*>(to)[to_place] = static_cast<const std::uint16_t*>(from)[from_place];
      return;
    case 4:
      static_cast<std::uint32_t*>(to)[to_place] = static_cast<const std::uint32_t*>(from)[from_place];
      return;
    case 8:
      static_cast<std::uint64_t*>(to)[to_place] = static_cast<const std::uint64_t*>(from)[from_place];
      return;
    default: static_cast<Sixteen*>(to)[to_place] = static_cast<const Sixteen*>(from)[from_place]; return;
  }
}

__device__ inline int bytes_of(Element dtype) {
  switch (dtype) {
    case Element::Bool:
    case Element::UInt8:
    case Element::Int8: return 1;
    case Element::Int16:
    case Element::UInt16:
    case Element::Float16:
    case Element::BFloat16: return 2;
    case Element::Int32:
    case Element::UInt32:
    case Element::Float32: return 4;
    case Element::Complex128: return 16;
    default: return 8;
  }
}

}  // namespace penstock::kernels
