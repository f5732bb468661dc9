#pragma once

#include <penstock/export.hpp>

#include <cstdint>
#include <string>

namespace penstock {

/// Kind of device. The values are those of PyTorch's DeviceType, which is what a package writes.
enum class DeviceType : std::int32_t { Cpu = 0, Cuda = 1 };

/// A device: its kind and, for CUDA, its ordinal. The CPU is always index 0.
struct Device {
  DeviceType type = DeviceType::Cpu;
  std::int32_t index = 0;  ///< Of the process's visible devices.

  friend bool operator==(const Device&, const Device&) = default;
};

/// "cpu", "cuda:0". Host-only. Thread: thread-safe. Errors: none.
PENSTOCK_API std::string to_string(Device device);

/// Parses "cpu", "cuda" or "cuda:N". Host-only. Thread: thread-safe.
/// Errors: InvalidArgument names the text and the accepted forms.
PENSTOCK_API Device device_from_string(const std::string& text);

}  // namespace penstock
