#include "cuda/driver.hpp"

#include "base/fail.hpp"
#include "system/dynamic_library.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace penstock::cuda {
namespace {

constexpr int kLeastVersion = 12000;
constexpr const char* kLibrary = "libcuda.so.1";
constexpr const char* kVariable = "PENSTOCK_LIBCUDA";

using GetProcAddress = Result (*)(const char* name, void** address, int version, unsigned long long flags,
                                  int* status);

/// Functions whose plain exported name is an older interface, kept by the driver for old programs.
constexpr const char* kSecondVersions[]{"cuDeviceTotalMem",
                                        "cuDevicePrimaryCtxRelease",
                                        "cuCtxPushCurrent",
                                        "cuCtxPopCurrent",
                                        "cuStreamDestroy",
                                        "cuEventDestroy",
                                        "cuMemAlloc",
                                        "cuMemFree",
                                        "cuMemGetInfo",
                                        "cuMemcpyHtoDAsync",
                                        "cuMemcpyDtoHAsync",
                                        "cuMemcpyDtoDAsync",
                                        "cuStreamBeginCapture",
                                        "cuStreamGetCaptureInfo",
                                        "cuGraphKernelNodeGetParams",
                                        "cuGraphExecKernelNodeSetParams"};

std::string exported_name(const char* name) {
  for (const char* each : kSecondVersions) {
    if (std::strcmp(each, name) == 0) return std::string(name) + "_v2";
  }
  return name;
}

std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

/// The function, or null where this driver has none of that version.
void* find_function(const system::DynamicLibrary& library, GetProcAddress get, const DriverFunction& wanted) {
  if (get == nullptr) return library.find(exported_name(wanted.name).c_str());
  void* address = nullptr;
  int status = 0;
  const Result result = get(wanted.name, &address, wanted.version, 0, &status);
  return result == kSuccess && status == 0 ? address : nullptr;
}

/// Names of functions that every driver of CUDA 12.0 has and this one does not.
std::string fill(Driver& table, const system::DynamicLibrary& library) {
  const auto get = reinterpret_cast<GetProcAddress>(library.find("cuGetProcAddress_v2"));
  std::string missing;
  for (const DriverFunction& wanted : driver_functions()) {
    void* const address = find_function(library, get, wanted);
    std::memcpy(reinterpret_cast<char*>(&table) + wanted.offset, &address, sizeof address);
    if (address == nullptr && wanted.version <= kLeastVersion) {
      missing += (missing.empty() ? "" : ", ") + std::string(wanted.name);
    }
  }
  return missing;
}

void set_problem(OpenedDriver& opened, ErrorCode code, std::string problem, Result result = kSuccess) {
  opened.code = code;
  opened.problem = std::move(problem);
  opened.result = result;
}

std::string text_of(const Driver& table, Result result) {
  const char* name = nullptr;
  const char* text = nullptr;
  if (table.get_error_name == nullptr || table.get_error_name(result, &name) != kSuccess || name == nullptr) {
    return fmt::format("CUresult {}", result);
  }
  if (table.get_error_string == nullptr || table.get_error_string(result, &text) != kSuccess ||
      text == nullptr) {
    return name;
  }
  return fmt::format("{} ({})", name, text);
}

void initialize(OpenedDriver& opened) {
  const Result result = opened.table.init(0);
  if (result == kSuccess) return;
  if (result == kNoDevice) {
    set_problem(
        opened, ErrorCode::NotFound,
        fmt::format("{}: there is no GPU that CUDA can use; where there should be one, look at nvidia-smi "
                    "and at CUDA_VISIBLE_DEVICES",
                    opened.path),
        result);
    return;
  }
  set_problem(
      opened, ErrorCode::Cuda,
      fmt::format("{}: cuInit failed: {}; nvidia-smi tells whether the driver works, and a process that "
                  "was forked from one that had used CUDA cannot use it",
                  opened.path, text_of(opened.table, result)),
      result);
}

std::vector<std::string> driver_names() {
  const char* path = std::getenv(kVariable);
  if (path != nullptr && *path != '\0') return {path};
  return {kLibrary};
}

/// Libraries that stay open until the process ends.
const system::DynamicLibrary& keep_open(const std::vector<std::string>& names) {
  static std::mutex& mutex = *new std::mutex;
  static auto& kept = *new std::vector<std::unique_ptr<const system::DynamicLibrary>>;
  const std::lock_guard lock(mutex);
  return *kept.emplace_back(std::make_unique<const system::DynamicLibrary>(names));
}

}  // namespace

OpenedDriver open_driver(const std::vector<std::string>& names) {
  OpenedDriver opened;
  // Kept open: the driver's threads and exit handlers live as long as the process.
  const system::DynamicLibrary& library = keep_open(names);
  if (!library.is_open()) {
    set_problem(
        opened, ErrorCode::NotFound,
        fmt::format("there is no CUDA driver: {}; install NVIDIA's driver of CUDA {} or later, or name "
                    "its libcuda.so.1 in {}",
                    library.reasons(), version_text(kLeastVersion), kVariable));
    return opened;
  }
  opened.path = library.path();
  const auto get_version = reinterpret_cast<Result (*)(int*)>(library.find("cuDriverGetVersion"));
  if (get_version == nullptr || get_version(&opened.version) != kSuccess) {
    set_problem(opened, ErrorCode::Incompatible,
                fmt::format("{} is no CUDA driver; {} names a libcuda.so.1", opened.path, kVariable));
    return opened;
  }
  if (opened.version < kLeastVersion) {
    set_problem(opened, ErrorCode::Incompatible,
                fmt::format("{} is a driver of CUDA {}; install one of CUDA {} or later", opened.path,
                            version_text(opened.version), version_text(kLeastVersion)));
    return opened;
  }
  if (const std::string missing = fill(opened.table, library); !missing.empty()) {
    set_problem(opened, ErrorCode::Incompatible,
                fmt::format("{} says that it is a driver of CUDA {}, and does not have {}; install NVIDIA's "
                            "driver again",
                            opened.path, version_text(opened.version), missing));
    return opened;
  }
  initialize(opened);
  return opened;
}

const OpenedDriver& opened_driver() noexcept {
  static const auto& opened = *new OpenedDriver([] {
    note_driver_use();
    return open_driver(driver_names());
  }());
  return opened;
}

const Driver& driver() {
  const OpenedDriver& opened = opened_driver();
  if (!opened.problem.empty()) throw Error(opened.code, opened.problem, opened.result);
  if (is_forked_child()) {
    base::fail(
        ErrorCode::Cuda,
        "this process was forked from one that had used CUDA, and CUDA cannot be used in it; fork before "
        "the first use of CUDA, or start a new program");
  }
  return opened.table;
}

bool has_driver() noexcept { return opened_driver().problem.empty() && !is_forked_child(); }

int driver_version() {
  static_cast<void>(driver());
  return opened_driver().version;
}

std::string error_text(Result result) { return text_of(opened_driver().table, result); }

bool is_sticky(Result result) noexcept {
  switch (result) {
    case 214:  // CUDA_ERROR_ECC_UNCORRECTABLE
    case 220:  // CUDA_ERROR_NVLINK_UNCORRECTABLE
    case 226:  // CUDA_ERROR_CONTAINED
    case 700:  // CUDA_ERROR_ILLEGAL_ADDRESS
    case 702:  // CUDA_ERROR_LAUNCH_TIMEOUT
    case 710:  // CUDA_ERROR_ASSERT
    case 714:  // CUDA_ERROR_HARDWARE_STACK_ERROR
    case 715:  // CUDA_ERROR_ILLEGAL_INSTRUCTION
    case 716:  // CUDA_ERROR_MISALIGNED_ADDRESS
    case 717:  // CUDA_ERROR_INVALID_ADDRESS_SPACE
    case 718:  // CUDA_ERROR_INVALID_PC
    case 719:  // CUDA_ERROR_LAUNCH_FAILED
    case 721:  // CUDA_ERROR_TENSOR_MEMORY_LEAK
      return true;
    default: return false;
  }
}

void check(Result result, const char* call, const std::string& what) {
  if (result == kSuccess) return;
  std::string message = fmt::format("{}: {} failed: {}", what, call, error_text(result));
  if (is_sticky(result)) {
    message +=
        "; a kernel has failed, and nothing can run on this device in this process any more, in no partition "
        "of it: start the process again";
  }
  throw Error(result == kOutOfMemory ? ErrorCode::OutOfMemory : ErrorCode::Cuda, message, result);
}

}  // namespace penstock::cuda
