#pragma once

#include "element.cuh"

#include <math.h>

// Elements that several threads combine into one: a word in memory is exchanged until nobody was in between.
namespace penstock::kernels {

/// What changes nothing.
__device__ inline Number identity_of(Reduce reduce, Element dtype) {
  switch (reduce) {
    case Reduce::Product: return number_of(std::int64_t{1});
    case Reduce::Maximum:
    case Reduce::Minimum: break;
    default: return number_of(std::int64_t{0});
  }
  const bool is_least = reduce == Reduce::Maximum;
  if (!is_integer(dtype)) return number_of(is_least ? -HUGE_VAL : HUGE_VAL);
  switch (dtype) {
    case Element::Bool: return number_of(std::int64_t{is_least ? 0 : 1});
    case Element::UInt8: return number_of(std::int64_t{is_least ? 0 : UINT8_MAX});
    case Element::Int8: return number_of(std::int64_t{is_least ? INT8_MIN : INT8_MAX});
    case Element::Int16: return number_of(std::int64_t{is_least ? INT16_MIN : INT16_MAX});
    case Element::Int32: return number_of(std::int64_t{is_least ? INT32_MIN : INT32_MAX});
    default: return number_of(is_least ? INT64_MIN : INT64_MAX);
  }
}

__device__ inline double combine(Reduce reduce, double a, double b) {
  switch (reduce) {
    case Reduce::Product: return a * b;
    case Reduce::Maximum: return b != b || (a == a && a < b) ? b : a;
    case Reduce::Minimum: return b != b || (a == a && b < a) ? b : a;
    default: return a + b;
  }
}

/// Overflow wraps around.
__device__ inline std::int64_t combine(Reduce reduce, std::int64_t a, std::int64_t b) {
  switch (reduce) {
    case Reduce::Product:
      return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
    case Reduce::Maximum: return a < b ? b : a;
    case Reduce::Minimum: return b < a ? b : a;
    default: return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
  }
}

/// Element `i` combined with `value`, without regard to other threads. Doubles hold what float32 and 16-bit
/// floats give exactly, or round it once more to no effect.
__device__ inline void combine_element(Reduce reduce, Element dtype, void* data, std::int64_t i, const Number& value) {
  if (!is_integer(dtype)) {
    store_number(dtype, data, i, number_of(combine(reduce, load_real(dtype, data, i), real_of(value))));
    return;
  }
  const std::int64_t sum = combine(reduce, load_integer(dtype, data, i), value.integer);
  // A bool that is counted is still true.
  store_number(dtype, data, i, number_of(sum));
}

/// The same for one element in a word, atomically. `byte` is where it begins in there.
template <class Word>
__device__ void combine_in_word(Reduce reduce, Element dtype, Word* word, int byte, const Number& value) {
  Word seen = *word;
  while (true) {
    Word changed = seen;
    combine_element(reduce, dtype, reinterpret_cast<unsigned char*>(&changed) + byte, 0, value);
    const Word found = atomicCAS(word, seen, changed);
    if (found == seen) return;
    seen = found;
  }
}

/// Combines element `i` with `value`, whatever other threads do with it. Complex numbers are only added.
__device__ inline void combine_atomically(Reduce reduce, Element dtype, void* data, std::int64_t i,
                                          const Number& value) {
  if (reduce == Reduce::Sum) {
    switch (dtype) {
      case Element::Float32: atomicAdd(static_cast<float*>(data) + i, static_cast<float>(value.real)); return;
      case Element::Float64: atomicAdd(static_cast<double*>(data) + i, value.real); return;
      case Element::Int64:
      case Element::UInt64:
        atomicAdd(static_cast<unsigned long long*>(data) + i, static_cast<unsigned long long>(value.integer));
        return;
      case Element::Complex64:
        atomicAdd(static_cast<float*>(data) + 2 * i, static_cast<float>(value.real));
        atomicAdd(static_cast<float*>(data) + 2 * i + 1, static_cast<float>(value.imaginary));
        return;
      case Element::Complex128:
        atomicAdd(static_cast<double*>(data) + 2 * i, value.real);
        atomicAdd(static_cast<double*>(data) + 2 * i + 1, value.imaginary);
        return;
      default: break;
    }
  }
  const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(data) + static_cast<std::uintptr_t>(i) * bytes_of(dtype);
  if (bytes_of(dtype) == 8) {
    combine_in_word(reduce, dtype, reinterpret_cast<unsigned long long*>(address), 0, value);
  } else {
    auto* const word = reinterpret_cast<unsigned*>(address & ~std::uintptr_t{3});
    combine_in_word(reduce, dtype, word, static_cast<int>(address & 3), value);
  }
}

}  // namespace penstock::kernels
