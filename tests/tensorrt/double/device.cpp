#include "device.hpp"

#include "control.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

/// The kernels, as nvcc compiled them.
extern "C" const unsigned char penstock_double_image[] __attribute__((visibility("hidden")));

namespace penstock::trt_double {
namespace {

struct Opened {
  DriverTable table;
  std::string problem;
};

template <class Function>
void find(void* library, const char* name, Function& function, std::string& problem) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) problem = std::string("the CUDA driver has no ") + name;
}

Opened open_driver() {
  Opened opened;
  const char* const named = std::getenv("PENSTOCK_LIBCUDA");
  const char* const path = named != nullptr && *named != '\0' ? named : "libcuda.so.1";
  void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    opened.problem = std::string("Cuda Runtime (there is no CUDA driver: ") + dlerror() + ")";
    return opened;
  }
#define PENSTOCK_DOUBLE_FIND(member, exported) find(library, #exported, opened.table.member, opened.problem);
  PENSTOCK_DOUBLE_DRIVER(PENSTOCK_DOUBLE_FIND)
#undef PENSTOCK_DOUBLE_FIND
  if (opened.problem.empty() && opened.table.init(0) != cuda::kSuccess) {
    opened.problem = "Cuda Runtime (no CUDA-capable device is detected)";
  }
  return opened;
}

}  // namespace

const DriverTable& driver() {
  static const Opened& opened = *new Opened(open_driver());
  if (!opened.problem.empty()) throw CudaProblem{opened.problem};
  return opened.table;
}

void check(cuda::Result result, const char* call) {
  if (result == cuda::kSuccess) return;
  const char* name = nullptr;
  if (driver().get_error_name(result, &name) != cuda::kSuccess || name == nullptr) name = "an unknown error";
  throw CudaProblem{std::string("Cuda Driver (") + call + " answered " + name + ")"};
}

int current_device() {
  int device = 0;
  cuda::ContextHandle current = nullptr;
  check(driver().ctx_get_current(&current), "cuCtxGetCurrent");
  if (current == nullptr) throw CudaProblem{"Cuda Runtime (no context is current on this thread)"};
  check(driver().ctx_get_device(&device), "cuCtxGetDevice");
  return device;
}

std::shared_ptr<const DeviceCode> DeviceCode::of(int device) {
  static std::mutex& mutex = *new std::mutex;
  static auto& known = *new std::map<int, std::weak_ptr<const DeviceCode>>;
  const std::lock_guard lock(mutex);
  std::shared_ptr<const DeviceCode> code = known[device].lock();
  if (code == nullptr) known[device] = code = std::make_shared<const DeviceCode>(device);
  return code;
}

DeviceCode::DeviceCode(int device) : device_(device) {
  check(driver().device_primary_ctx_retain(&primary_, device), "cuDevicePrimaryCtxRetain");
  try {
    const Pushed pushed(primary_);
    check(driver().module_load_data(&module_, penstock_double_image), "cuModuleLoadData");
    for (std::size_t i = 0; i < functions_.size(); ++i) {
      check(driver().module_get_function(&functions_[i], module_, kKernelNames[i]), "cuModuleGetFunction");
    }
  } catch (const CudaProblem&) {
    if (module_ != nullptr) static_cast<void>(driver().module_unload(module_));
    static_cast<void>(driver().device_primary_ctx_release(device));
    throw;
  }
}

DeviceCode::~DeviceCode() {
  try {
    const Pushed pushed(primary_);
    static_cast<void>(driver().module_unload(module_));
  } catch (const CudaProblem&) {  // The process may be at its end.
  }
  static_cast<void>(driver().device_primary_ctx_release(device_));
}

Pushed::Pushed(cuda::ContextHandle context) { check(driver().ctx_push_current(context), "cuCtxPushCurrent"); }

Pushed::~Pushed() {
  cuda::ContextHandle popped = nullptr;
  static_cast<void>(driver().ctx_pop_current(&popped));
}

Memory::Memory(std::shared_ptr<const DeviceCode> code, std::size_t bytes)
    : code_(std::move(code)), bytes_(bytes) {
  const Pushed pushed(code_->primary());
  check(driver().mem_alloc(&address_, bytes), "cuMemAlloc");
  count_bytes(static_cast<std::ptrdiff_t>(bytes));
}

Memory::~Memory() {
  if (address_ == 0) return;
  count_bytes(-static_cast<std::ptrdiff_t>(bytes_));
  try {
    const Pushed pushed(code_->primary());
    static_cast<void>(driver().mem_free(address_));
  } catch (const CudaProblem&) {  // The process may be at its end.
  }
}

Memory::Memory(Memory&& other) noexcept
    : code_(std::move(other.code_)),
      address_(std::exchange(other.address_, 0)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(code_, other.code_);
  std::swap(address_, other.address_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

Event::Event(const DeviceCode& code, unsigned flags) {
  const Pushed pushed(code.primary());
  check(driver().event_create(&handle_, flags), "cuEventCreate");
}

Event::~Event() {
  if (handle_ != nullptr) static_cast<void>(driver().event_destroy(handle_));
}

Event::Event(Event&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

OwnStream::OwnStream(const DeviceCode& code) {
  const Pushed pushed(code.primary());
  check(driver().stream_create_with_priority(&handle_, cuda::kStreamNonBlocking, 0),
        "cuStreamCreateWithPriority");
}

OwnStream::~OwnStream() {
  if (handle_ != nullptr) static_cast<void>(driver().stream_destroy(handle_));
}

OwnStream::OwnStream(OwnStream&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

}  // namespace penstock::trt_double
