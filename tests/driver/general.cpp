#include "machine.hpp"

#include <cstring>
#include <string>

using namespace penstock::recording;

namespace {

struct ResultName {
  Result result;
  const char* name;
  const char* text;
};
constexpr ResultName kResults[]{
    {0, "CUDA_SUCCESS", "no error"},
    {1, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {3, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {100, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {101, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {200, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {201, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {400, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {401, "CUDA_ERROR_ILLEGAL_STATE", "the operation cannot be performed in the present state"},
    {500, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {600, "CUDA_ERROR_NOT_READY", "device not ready"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {719, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {800, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {801, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "operation not permitted when stream is capturing"},
    {901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "operation failed due to a previous error during capture"},
    {905, "CUDA_ERROR_STREAM_CAPTURE_ISOLATION", "dependency created on uncaptured work in another stream"},
    {914, "CUDA_ERROR_INVALID_RESOURCE_TYPE", "invalid resource type"},
    {915, "CUDA_ERROR_INVALID_RESOURCE_CONFIGURATION", "invalid resource configuration"},
    {999, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

const ResultName* find_result(Result result) {
  for (const ResultName& each : kResults) {
    if (each.result == result) return &each;
  }
  return nullptr;
}

int attribute_value(const Machine& machine, int attribute) {
  switch (attribute) {
    case kMaxThreadsPerBlock: return 1024;
    case kMaxSharedMemoryPerBlock: return 48 << 10;
    case kMultiprocessorCount: return static_cast<int>(machine.sm_count);
    case kComputeCapabilityMajor: return 9;
    case kComputeCapabilityMinor: return 0;
    case kMaxSharedMemoryPerBlockOptin: return 227 << 10;
    default: return 0;
  }
}

void require_device(const State& state, int device) {
  if (!state.initialized) throw Failure{kNotInitialized};
  if (device < 0 || device >= state.machine.devices) throw Failure{kInvalidDevice};
}

}  // namespace

// Of names and versions nothing can go wrong, so they are not among the calls that faults hit.
PENSTOCK_DRIVER_API cuDriverGetVersion(int* version) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  *version = state.machine.driver_version;
  return kSuccess;
}

PENSTOCK_DRIVER_API cuGetErrorName(Result result, const char** name) {
  const ResultName* const found = find_result(result);
  *name = found == nullptr ? nullptr : found->name;
  return found == nullptr ? kInvalidValue : kSuccess;
}

PENSTOCK_DRIVER_API cuGetErrorString(Result result, const char** text) {
  const ResultName* const found = find_result(result);
  *text = found == nullptr ? nullptr : found->text;
  return found == nullptr ? kInvalidValue : kSuccess;
}

PENSTOCK_DRIVER_API cuInit(unsigned flags) {
  return call("cuInit", [&](State& state) -> Result {
    if (flags != 0) return kInvalidValue;
    if (state.machine.devices == 0) return kNoDevice;
    state.initialized = true;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDeviceGetCount(int* count) {
  return call("cuDeviceGetCount", [&](State& state) -> Result {
    if (!state.initialized) return kNotInitialized;
    *count = state.machine.devices;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDeviceGet(DeviceNumber* device, int ordinal) {
  return call("cuDeviceGet", [&](State& state) -> Result {
    require_device(state, ordinal);
    *device = ordinal;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDeviceGetName(char* name, int bytes, DeviceNumber device) {
  return call("cuDeviceGetName", [&](State& state) -> Result {
    require_device(state, device);
    std::strncpy(name, "Recording GPU", static_cast<std::size_t>(bytes));
    name[bytes - 1] = '\0';
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDeviceGetAttribute(int* value, int attribute, DeviceNumber device) {
  return call("cuDeviceGetAttribute", [&](State& state) -> Result {
    require_device(state, device);
    *value = attribute_value(state.machine, attribute);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuDeviceTotalMem_v2(std::size_t* bytes, DeviceNumber device) {
  return call("cuDeviceTotalMem", [&](State& state) -> Result {
    require_device(state, device);
    *bytes = state.machine.memory_bytes;
    return kSuccess;
  });
}
