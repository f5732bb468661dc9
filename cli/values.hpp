#pragma once

#include <penstock/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>

// Single elements of tensors of any dtype: to numbers, to text, from random bits.
namespace penstock::cli {

[[nodiscard]] bool is_floating(DType dtype) noexcept;
[[nodiscard]] bool is_complex(DType dtype) noexcept;
[[nodiscard]] bool is_integer(DType dtype) noexcept;

/// An element as a number; the real part of a complex one.
[[nodiscard]] double number_at(const std::byte* element, DType dtype) noexcept;

/// An element in a few characters: "0.12345", "-7", "true", "1+2j".
[[nodiscard]] std::string text_at(const std::byte* element, DType dtype);

/// The first elements in row-major order: "[0.1, 0.2, ...]", or the value of a scalar. `tensor` is row-major.
[[nodiscard]] std::string preview(const TensorView& tensor, std::size_t count);

/// Floats uniform in [0, 1), each of them exact in its dtype, so that the same seed gives the same
/// numbers on every machine; integers 0, booleans false.
void fill(const Tensor& tensor, std::mt19937_64& generator);

}  // namespace penstock::cli
