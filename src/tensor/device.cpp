#include <penstock/device.hpp>

#include "base/fail.hpp"

#include <charconv>
#include <string_view>

namespace penstock {

std::string to_string(Device device) {
  if (device.type == DeviceType::Cpu) return "cpu";
  if (device.type == DeviceType::Cuda) return fmt::format("cuda:{}", device.index);
  return fmt::format("device type {}", static_cast<std::int32_t>(device.type));
}

Device device_from_string(const std::string& text) {
  if (text == "cpu") return {};
  if (text == "cuda") return {DeviceType::Cuda, 0};
  constexpr std::string_view kPrefix = "cuda:";
  if (text.starts_with(kPrefix) && text.size() > kPrefix.size() && text[kPrefix.size()] != '-') {
    std::int32_t index = 0;
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data() + kPrefix.size(), end, index);
    if (error == std::errc{} && rest == end) return {DeviceType::Cuda, index};
  }
  base::fail(ErrorCode::InvalidArgument, "\"{}\" is not a device: use \"cpu\", \"cuda\" or \"cuda:N\"", text);
}

}  // namespace penstock
