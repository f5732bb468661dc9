#include "base/fail.hpp"
#include "cuda/context.hpp"
#include "cuda/sm_resource_impl.hpp"

#include <penstock/system.hpp>

#include <array>
#include <cstddef>

namespace penstock {
namespace {

int attribute(cuda::DeviceNumber number, int which, const std::string& what) {
  int value = 0;
  cuda::check(cuda::driver().device_get_attribute(&value, which, number), "cuDeviceGetAttribute", what);
  return value;
}

CudaDevice describe(int index) {
  const cuda::Driver& table = cuda::driver();
  const std::string what = fmt::format("cuda:{}", index);
  const cuda::DeviceNumber number = cuda::device_number(index);
  CudaDevice device;
  device.index = index;
  std::array<char, 256> name{};
  cuda::check(table.device_get_name(name.data(), static_cast<int>(name.size()), number), "cuDeviceGetName",
              what);
  device.name = name.data();
  device.compute_major = attribute(number, cuda::kComputeCapabilityMajor, what);
  device.compute_minor = attribute(number, cuda::kComputeCapabilityMinor, what);
  device.sm_count = static_cast<unsigned>(attribute(number, cuda::kMultiprocessorCount, what));
  std::size_t bytes = 0;
  cuda::check(table.device_total_mem(&bytes, number), "cuDeviceTotalMem", what);
  device.memory_bytes = bytes;
  try {
    const SmResource sms = SmResource::of_device(index);
    device.least_partition_sm_count = sms.least_sm_count();
    device.partition_step_sm_count = sms.step_sm_count();
  } catch (const Error& error) {
    if (error.code() != ErrorCode::Unsupported) throw;
    device.no_partitions_because = error.what();
  }
  return device;
}

}  // namespace

std::vector<CudaDevice> cuda_devices() {
  int count = 0;
  cuda::check(cuda::driver().device_get_count(&count), "cuDeviceGetCount", "the GPUs of this machine");
  std::vector<CudaDevice> devices;
  for (int index = 0; index < count; ++index) devices.push_back(describe(index));
  return devices;
}

CudaInfo cuda_info() {
  CudaInfo info;
  info.driver_version = cuda::opened_driver().version;
  info.driver_library = cuda::opened_driver().path;
  try {
    info.devices = cuda_devices();
  } catch (const Error& error) {
    info.problem = error.what();
  }
  return info;
}

}  // namespace penstock
