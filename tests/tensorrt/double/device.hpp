#pragma once

#include "cuda/driver.hpp"

#include <array>
#include <cstddef>
#include <memory>
#include <string>

// The driver, opened by name as the host does, and the kernels.
namespace penstock::trt_double {

/// What went wrong with CUDA, in words.
struct CudaProblem {
  std::string text;
};

/// Of the driver's functions those that are called, by the names under which they are exported.
struct DriverTable {
#define PENSTOCK_DOUBLE_DRIVER(X)                             \
  X(init, cuInit)                                             \
  X(get_error_name, cuGetErrorName)                           \
  X(device_get_attribute, cuDeviceGetAttribute)               \
  X(device_primary_ctx_retain, cuDevicePrimaryCtxRetain)      \
  X(device_primary_ctx_release, cuDevicePrimaryCtxRelease_v2) \
  X(ctx_get_current, cuCtxGetCurrent)                         \
  X(ctx_push_current, cuCtxPushCurrent_v2)                    \
  X(ctx_pop_current, cuCtxPopCurrent_v2)                      \
  X(ctx_get_device, cuCtxGetDevice)                           \
  X(stream_create_with_priority, cuStreamCreateWithPriority)  \
  X(stream_destroy, cuStreamDestroy_v2)                       \
  X(stream_synchronize, cuStreamSynchronize)                  \
  X(stream_wait_event, cuStreamWaitEvent)                     \
  X(stream_is_capturing, cuStreamIsCapturing)                 \
  X(event_create, cuEventCreate)                              \
  X(event_destroy, cuEventDestroy_v2)                         \
  X(event_record, cuEventRecord)                              \
  X(event_elapsed_time, cuEventElapsedTime)                   \
  X(mem_alloc, cuMemAlloc_v2)                                 \
  X(mem_free, cuMemFree_v2)                                   \
  X(memcpy_dtoh_async, cuMemcpyDtoHAsync_v2)                  \
  X(memset_d8_async, cuMemsetD8Async)                         \
  X(module_load_data, cuModuleLoadData)                       \
  X(module_unload, cuModuleUnload)                            \
  X(module_get_function, cuModuleGetFunction)                 \
  X(launch_kernel, cuLaunchKernel)
#define PENSTOCK_DOUBLE_MEMBER(member, exported) decltype(cuda::Driver::member) member = nullptr;
  PENSTOCK_DOUBLE_DRIVER(PENSTOCK_DOUBLE_MEMBER)
#undef PENSTOCK_DOUBLE_MEMBER
};

/// Throws CudaProblem where there is none.
const DriverTable& driver();

/// Throws CudaProblem where a call has not succeeded.
void check(cuda::Result result, const char* call);

/// The device of the current context. Throws CudaProblem where none is current.
int current_device();

enum class Kernel { Affine, Smid, Count, Compact, Append, Fill };
inline constexpr std::array<const char*, 6> kKernelNames{"penstock_double_affine", "penstock_double_smid",
                                                         "penstock_double_count",  "penstock_double_compact",
                                                         "penstock_double_append", "penstock_double_fill"};

/// The kernels in the primary context of a device, which is retained as long.
class DeviceCode {
 public:
  /// The one of the device, loaded where nobody has it.
  static std::shared_ptr<const DeviceCode> of(int device);
  explicit DeviceCode(int device);
  ~DeviceCode();
  DeviceCode(const DeviceCode&) = delete;
  DeviceCode& operator=(const DeviceCode&) = delete;

  [[nodiscard]] int device() const { return device_; }
  [[nodiscard]] cuda::ContextHandle primary() const { return primary_; }
  [[nodiscard]] cuda::FunctionHandle function(Kernel kernel) const {
    return functions_[static_cast<std::size_t>(kernel)];
  }

 private:
  int device_;
  cuda::ContextHandle primary_ = nullptr;
  cuda::ModuleHandle module_ = nullptr;
  std::array<cuda::FunctionHandle, kKernelNames.size()> functions_{};
};

/// A context that is current until the end of the scope.
class Pushed {
 public:
  explicit Pushed(cuda::ContextHandle context);
  ~Pushed();
  Pushed(const Pushed&) = delete;
  Pushed& operator=(const Pushed&) = delete;
};

/// Device memory of the primary context.
class Memory {
 public:
  Memory() = default;
  Memory(std::shared_ptr<const DeviceCode> code, std::size_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  [[nodiscard]] cuda::DevicePointer address() const { return address_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<const DeviceCode> code_;
  cuda::DevicePointer address_ = 0;
  std::size_t bytes_ = 0;
};

class Event {
 public:
  Event(const DeviceCode& code, unsigned flags);
  ~Event();
  Event(Event&& other) noexcept;
  Event& operator=(Event&&) = delete;
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  [[nodiscard]] cuda::EventHandle handle() const { return handle_; }

 private:
  cuda::EventHandle handle_ = nullptr;
};

/// A stream of the primary context.
class OwnStream {
 public:
  explicit OwnStream(const DeviceCode& code);
  ~OwnStream();
  OwnStream(OwnStream&& other) noexcept;
  OwnStream& operator=(OwnStream&&) = delete;
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  [[nodiscard]] cuda::StreamHandle handle() const { return handle_; }

 private:
  cuda::StreamHandle handle_ = nullptr;
};

}  // namespace penstock::trt_double
