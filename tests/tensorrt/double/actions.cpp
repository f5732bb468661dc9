#include "actions.hpp"

#include "recording_driver.hpp"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace penstock::trt_double {
namespace {

using recording::KernelLaunch;

enum : int { kFloat = 0, kHalf = 1, kInt8 = 2, kInt32 = 3, kBool = 4, kBFloat16 = 7 };

/// Parameters in their order. They have no gaps but at the end.
class Parameters {
 public:
  explicit Parameters(const KernelLaunch& launch) : rest_(launch.parameters) {}

  template <class T>
  T next() {
    T value{};
    if (rest_.size() >= sizeof value) {
      std::memcpy(&value, rest_.data(), sizeof value);
      rest_ = rest_.subspan(sizeof value);
    }
    return value;
  }

 private:
  std::span<const std::byte> rest_;
};

template <class T>
T at(const void* data, std::int64_t index) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + index * static_cast<std::int64_t>(sizeof value),
              sizeof value);
  return value;
}

template <class T>
void put(void* data, std::int64_t index, T value) {
  std::memcpy(static_cast<char*>(data) + index * static_cast<std::int64_t>(sizeof value), &value,
              sizeof value);
}

double of_half(std::uint16_t bits) {
  constexpr int kBias = 15;
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  double value = 0;
  if (exponent == 31) {
    value = fraction != 0 ? NAN : INFINITY;
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -kBias - 9);
  } else {
    value = std::ldexp(fraction + 1024, exponent - kBias - 10);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

/// Rounded to the nearest, ties to even.
std::uint16_t to_half(double value) {
  constexpr double kLeastNormal = 0x1p-14;
  constexpr double kTooLarge = 65520;
  const auto sign = static_cast<std::uint16_t>(std::signbit(value) ? 0x8000 : 0);
  const double magnitude = std::fabs(value);
  if (std::isnan(value)) return 0x7fff;
  if (magnitude >= kTooLarge) return static_cast<std::uint16_t>(sign | 0x7c00);
  if (magnitude < kLeastNormal) {
    return static_cast<std::uint16_t>(sign | static_cast<int>(std::nearbyint(magnitude * 0x1p24)));
  }
  int exponent = 0;
  const double fraction = std::frexp(magnitude, &exponent);  // of [0.5, 1)
  const int bits = static_cast<int>(std::nearbyint(fraction * 2048)) - 1024;
  return static_cast<std::uint16_t>(sign | (((exponent + 14) << 10) + bits));
}

double of_bfloat16(std::uint16_t bits) {
  const std::uint32_t wide = std::uint32_t{bits} << 16;
  return at<float>(&wide, 0);
}

std::uint16_t to_bfloat16(double value) {
  const auto narrow = static_cast<float>(value);
  const auto bits = at<std::uint32_t>(&narrow, 0);
  if (std::isnan(value)) return 0x7fff;
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

double load(int type, const void* data, std::int64_t index) {
  switch (type) {
    case kFloat: return at<float>(data, index);
    case kHalf: return of_half(at<std::uint16_t>(data, index));
    case kInt8: return at<std::int8_t>(data, index);
    case kInt32: return at<std::int32_t>(data, index);
    case kBool: return at<std::uint8_t>(data, index) != 0 ? 1 : 0;
    case kBFloat16: return of_bfloat16(at<std::uint16_t>(data, index));
    default: return static_cast<double>(at<std::int64_t>(data, index));
  }
}

void store(int type, void* data, std::int64_t index, double value) {
  switch (type) {
    case kFloat: return put(data, index, static_cast<float>(value));
    case kHalf: return put(data, index, to_half(static_cast<float>(value)));
    case kInt8: return put(data, index, static_cast<std::int8_t>(value));
    case kInt32: return put(data, index, static_cast<std::int32_t>(value));
    case kBool: return put(data, index, static_cast<std::uint8_t>(value != 0));
    case kBFloat16: return put(data, index, to_bfloat16(value));
    default: return put(data, index, static_cast<std::int64_t>(value));
  }
}

void affine(const KernelLaunch& launch) {
  constexpr int kInputs = 4;
  Parameters parameters(launch);
  void* const out = parameters.next<void*>();
  const void* inputs[kInputs];
  for (const void*& each : inputs) each = parameters.next<const void*>();
  const auto count = parameters.next<std::int64_t>();
  const auto scale = parameters.next<double>();
  const auto bias = parameters.next<double>();
  const int types = parameters.next<int>();
  for (std::int64_t i = 0; i < count; ++i) {
    double sum = 0;
    for (int input = 0; input < kInputs; ++input) {
      if (inputs[input] != nullptr) sum += load(types >> (4 * (input + 1)) & 15, inputs[input], i);
    }
    store(types & 15, out, i, scale * sum + bias);
  }
}

void smid(const KernelLaunch& launch) {
  Parameters parameters(launch);
  void* const out = parameters.next<void*>();
  const auto count = parameters.next<std::int64_t>();
  unsigned sms = 1;
  const char* const bracket = launch.resource == nullptr ? nullptr : std::strchr(launch.resource, '(');
  if (bracket == nullptr || std::sscanf(bracket, "(%u SMs)", &sms) != 1 || sms == 0) sms = 1;
  for (std::int64_t i = 0; i < count; ++i) put(out, i, static_cast<std::int32_t>(i % sms));
}

void count_values(const KernelLaunch& launch) {
  Parameters parameters(launch);
  void* const result = parameters.next<void*>();
  const void* const in = parameters.next<const void*>();
  const auto count = parameters.next<std::int64_t>();
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) found += at<float>(in, i) != 0 ? 1 : 0;
  put(result, 0, found);
}

void compact(const KernelLaunch& launch) {
  Parameters parameters(launch);
  void* const out = parameters.next<void*>();
  const void* const in = parameters.next<const void*>();
  const auto count = parameters.next<std::int64_t>();
  const int type = parameters.next<int>();
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = at<float>(in, i);
    if (value != 0) store(type, out, found++, type == kFloat ? value : static_cast<double>(i));
  }
}

void append(const KernelLaunch& launch) {
  Parameters parameters(launch);
  void* const cache = parameters.next<void*>();
  const void* const x = parameters.next<const void*>();
  const auto count = parameters.next<std::int64_t>();
  const auto x_count = parameters.next<std::int64_t>();
  const int type = parameters.next<int>();
  for (std::int64_t i = 0; i < count; ++i) {
    store(type, cache, i, load(type, cache, i) + load(type, x, i % x_count));
  }
}

void fill(const KernelLaunch& launch) {
  Parameters parameters(launch);
  void* const out = parameters.next<void*>();
  const auto count = parameters.next<std::int64_t>();
  const auto value = parameters.next<double>();
  const int type = parameters.next<int>();
  for (std::int64_t i = 0; i < count; ++i) store(type, out, i, value);
}

}  // namespace

void add_kernel_actions() {
  penstock_recording_kernel("penstock_double_affine", &affine);
  penstock_recording_kernel("penstock_double_smid", &smid);
  penstock_recording_kernel("penstock_double_count", &count_values);
  penstock_recording_kernel("penstock_double_compact", &compact);
  penstock_recording_kernel("penstock_double_append", &append);
  penstock_recording_kernel("penstock_double_fill", &fill);
}

}  // namespace penstock::trt_double
