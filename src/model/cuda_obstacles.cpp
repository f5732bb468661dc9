#include "model/cuda_obstacles.hpp"

#include "cuda/driver.hpp"
#include "shim/cuda_call.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace penstock::model {
namespace {

struct Capability {
  int major = 0;
  int minor = 0;
};

int attribute(cuda::DeviceNumber device, cuda::DeviceAttribute which) {
  int value = 0;
  cuda::check(cuda::driver().device_get_attribute(&value, which, device), "cuDeviceGetAttribute", "a GPU");
  return value;
}

/// Errors: Cuda.
std::vector<Capability> capabilities_here() {
  const cuda::Driver& driver = cuda::driver();
  std::vector<Capability> found;
  int count = 0;
  cuda::check(driver.device_get_count(&count), "cuDeviceGetCount", "the GPUs of this machine");
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cuda::DeviceNumber device = 0;
    cuda::check(driver.device_get(&device, ordinal), "cuDeviceGet", fmt::format("cuda:{}", ordinal));
    found.push_back(
        {attribute(device, cuda::kComputeCapabilityMajor), attribute(device, cuda::kComputeCapabilityMinor)});
  }
  return found;
}

}  // namespace

int stated_capability(const ModelInfo& info) {
  const auto stated = info.metadata.find("AOTI_COMPUTE_CAPABILITY");
  return stated == info.metadata.end() ? 0 : std::atoi(stated->second.c_str());
}

bool runs_on(int wanted, int major, int minor) noexcept {
  constexpr int kMajor = 10;
  return wanted <= 0 || (wanted / kMajor == major && wanted % kMajor <= minor);
}

std::vector<std::string> cuda_obstacles(const ModelInfo& info, bool has_portable_kernels) {
  std::vector<std::string> obstacles;
  if (info.device != DeviceType::Cuda) return obstacles;
  if (shim::cuda_operators() == nullptr) obstacles.push_back(shim::cuda_operators_missing());
  if (!cuda::has_driver()) {
    obstacles.push_back("needs a CUDA device; " + cuda::opened_driver().problem);
    return obstacles;
  }
  const int wanted = stated_capability(info);
  std::vector<Capability> capabilities;
  try {
    capabilities = capabilities_here();
  } catch (const Error& error) {
    obstacles.push_back(fmt::format("needs a CUDA device, and none can be asked: {}", error.what()));
    return obstacles;
  }
  std::string here;
  for (const Capability& capability : capabilities) {
    if (has_portable_kernels || runs_on(wanted, capability.major, capability.minor)) return obstacles;
    here += fmt::format("{}{}.{}", here.empty() ? "" : ", ", capability.major, capability.minor);
  }
  obstacles.push_back(fmt::format(
      "has kernels for GPUs of compute capability {}.{}, this machine's have {}; compile the package on "
      "such a GPU, or with inductor_configs={{'aot_inductor.emit_multi_arch_kernel': True}}",
      wanted / 10, wanted % 10, here));
  return obstacles;
}

}  // namespace penstock::model
