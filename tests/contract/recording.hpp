#pragma once

#include "cpu/op_state.hpp"
#include "tensor/tensor_object.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock::contract {

/// A recording of libtorch's answers, as tests/contract/recording.py writes it.
struct Recording {
  nlohmann::json cases;
  std::vector<std::byte> answers;
};

/// Reads NAME.json and NAME.bin. Throws where they cannot be read.
Recording read_recording(const std::string& name);

/// A tensor with the strides of `spec` and the values that recording.py's `tensor` gives; NaN everywhere
/// where `is_nan`. The storage is freed with it.
tensor::TensorObjectPtr make_input(const nlohmann::json& spec, DType dtype, bool is_nan = false);

/// A tensor of those sizes and strides, filled with a pattern that no answer has.
tensor::TensorObjectPtr make_output(const std::vector<std::int64_t>& sizes,
                                    const std::vector<std::int64_t>& strides, DType dtype);

/// The elements of a tensor in logical order; integers are exact up to 2^53.
std::vector<double> logical_values(const tensor::TensorObject& tensor);

/// The recorded answer of `one`, with `count` elements.
std::vector<double> recorded_values(const Recording& recording, const nlohmann::json& one, std::size_t count);

/// Fails the current test where `actual` is not `expected`, within a tolerance of the dtype relative to
/// the largest expected magnitude; integers are equal.
void expect_values(const std::vector<double>& actual, const std::vector<double>& expected, DType dtype,
                   const std::string& context);

}  // namespace penstock::contract
