#include "contract/recording.hpp"

#include "contract/machine.hpp"
#include "tensor/layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <stdexcept>

namespace penstock::contract {
namespace {

using Dims = std::vector<std::int64_t>;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

float half_to_float(std::uint16_t bits) {
  const int exponent = bits >> 10U & 31;
  const int mantissa = bits & 1023;
  float value = 0;
  if (exponent == 31) {
    value = mantissa != 0 ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  } else if (exponent == 0) {
    value = std::ldexp(static_cast<float>(mantissa), -24);
  } else {
    value = std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  }
  return (bits & 0x8000U) != 0 ? -value : value;
}

/// Bits of a small value that is exact in float16: at most 11 significant bits, no subnormal.
std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits >> 16U & 0x8000U;
  if (std::isnan(value)) return 0x7E00U;
  if (value == 0) return static_cast<std::uint16_t>(sign);
  const std::uint32_t exponent = (bits >> 23U & 255U) - 112U;
  return static_cast<std::uint16_t>(sign | exponent << 10U | (bits >> 13U & 1023U));
}

template <class T>
void put(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(T));
}

template <class T>
T get(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

void store(std::byte* to, double value, DType dtype) {
  const auto integer = std::isnan(value) ? std::int64_t{0} : static_cast<std::int64_t>(value);
  const auto single = static_cast<float>(value);
  switch (dtype) {
    case DType::Float32: return put(to, single);
    case DType::Float64: return put(to, value);
    case DType::BFloat16:
      return put(to, static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(single) >> 16U));
    case DType::Float16: return put(to, float_to_half(single));
    case DType::Int64: return put(to, integer);
    case DType::Int32: return put(to, static_cast<std::int32_t>(integer));
    case DType::Int16: return put(to, static_cast<std::int16_t>(integer));
    default: return put(to, static_cast<std::int8_t>(integer));
  }
}

double load(const std::byte* from, DType dtype) {
  switch (dtype) {
    case DType::Float32: return get<float>(from);
    case DType::Float64: return get<double>(from);
    case DType::BFloat16:
      return std::bit_cast<float>(static_cast<std::uint32_t>(get<std::uint16_t>(from)) << 16U);
    case DType::Float16: return half_to_float(get<std::uint16_t>(from));
    case DType::Int64: return static_cast<double>(get<std::int64_t>(from));
    case DType::Int32: return get<std::int32_t>(from);
    case DType::Int16: return get<std::int16_t>(from);
    case DType::UInt8: return get<std::uint8_t>(from);
    default: return get<std::int8_t>(from);
  }
}

/// The hash of recording.py's `values`.
double value_at(std::int64_t index, std::int64_t seed) {
  auto mixed = static_cast<std::uint32_t>(index * 2654435761 + seed * 40503);
  mixed = (mixed ^ mixed >> 15U) * 2246822519U;
  return static_cast<double>(mixed >> 25U) - 64;
}

bool is_floating(DType dtype) {
  return dtype == DType::Float32 || dtype == DType::Float64 || dtype == DType::BFloat16 ||
         dtype == DType::Float16;
}

tensor::TensorObjectPtr make_strided(const Dims& sizes, const Dims& strides, DType dtype) {
  const auto extent = static_cast<std::size_t>(tensor::checked_extent(sizes, strides).value());
  tensor::Storage* storage = tensor::allocate_host_storage(extent * element_bytes(dtype));
  tensor::TensorObjectPtr made(tensor::make_tensor(storage, {dtype, sizes, strides, 0}));
  storage->drop();
  return made;
}

}  // namespace

Recording read_recording(const std::string& name) {
  const std::string stem = recordings_folder() + "/" + name;
  Recording recording;
  recording.cases = nlohmann::json::parse(read_file(stem + ".json")).at("cases");
  const std::string bytes = read_file(stem + ".bin");
  recording.answers.resize(bytes.size());
  std::memcpy(recording.answers.data(), bytes.data(), bytes.size());
  return recording;
}

tensor::TensorObjectPtr make_input(const nlohmann::json& spec, DType dtype, bool is_nan) {
  auto made = make_strided(spec.at("sizes").get<Dims>(), spec.at("strides").get<Dims>(), dtype);
  const std::size_t element = element_bytes(dtype);
  const std::size_t count = made->storage->bytes / element;
  const auto seed = spec.at("seed").get<std::int64_t>();
  for (std::size_t i = 0; i < count; ++i) {
    double value = value_at(static_cast<std::int64_t>(i), seed);
    if (is_floating(dtype)) value = is_nan ? std::numeric_limits<double>::quiet_NaN() : value / 64;
    store(made->data + i * element, value, dtype);
  }
  return made;
}

tensor::TensorObjectPtr make_output(const Dims& sizes, const Dims& strides, DType dtype) {
  auto made = make_strided(sizes, strides, dtype);
  // All bits set is NaN in every floating type.
  if (made->storage->bytes != 0) std::memset(made->storage->data, 0xFF, made->storage->bytes);
  return made;
}

std::vector<double> logical_values(const tensor::TensorObject& tensor) {
  const std::size_t element = element_bytes(tensor.dtype);
  Dims strides(static_cast<std::size_t>(tensor.rank));
  tensor::fill_contiguous_strides(tensor.sizes(), strides);
  std::vector<std::byte> bytes(static_cast<std::size_t>(tensor.numel) * element);
  tensor::copy_strided(bytes.data(), strides, tensor.data, tensor.strides(), tensor.sizes(), element);
  std::vector<double> values;
  for (std::size_t at = 0; at < bytes.size(); at += element)
    values.push_back(load(bytes.data() + at, tensor.dtype));
  return values;
}

std::vector<double> recorded_values(const Recording& recording, const nlohmann::json& one,
                                    std::size_t count) {
  const DType dtype = dtype_from_name(one.at("answer_dtype").get<std::string>()).value();
  const std::size_t element = element_bytes(dtype);
  const auto offset = one.at("offset").get<std::size_t>();
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    if (offset + (i + 1) * element > recording.answers.size()) throw std::runtime_error("short recording");
    values.push_back(load(recording.answers.data() + offset + i * element, dtype));
  }
  return values;
}

void expect_values(const std::vector<double>& actual, const std::vector<double>& expected, DType dtype,
                   const std::string& context) {
  ASSERT_EQ(actual.size(), expected.size()) << context;
  double largest = 0;
  for (const double value : expected) largest = std::max(largest, std::abs(value));
  double tolerance = 0;
  if (dtype == DType::Float32) tolerance = 2e-4;
  if (dtype == DType::Float64) tolerance = 1e-10;
  if (dtype == DType::BFloat16) tolerance = 2e-2;
  if (dtype == DType::Float16) tolerance = 5e-3;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    // Written so that a NaN fails.
    if (std::abs(actual[i] - expected[i]) <= tolerance * largest) continue;
    ADD_FAILURE() << context << ": element " << i << " is " << actual[i] << ", not " << expected[i];
    return;
  }
}

}  // namespace penstock::contract
