#pragma once

#include "cuda/driver.hpp"

#include <memory>
#include <string>

namespace penstock::cuda {

/// The primary context of a device, which CUDA's runtime and all libraries use too. Held by whatever was made
/// in it. Thread: thread-safe.
class PrimaryContext {
 public:
  /// Errors: as `primary_context`.
  explicit PrimaryContext(int device);
  ~PrimaryContext();
  PrimaryContext(const PrimaryContext&) = delete;
  PrimaryContext& operator=(const PrimaryContext&) = delete;

  [[nodiscard]] int device() const noexcept { return device_; }
  [[nodiscard]] DeviceNumber number() const noexcept { return number_; }
  [[nodiscard]] ContextHandle handle() const noexcept { return handle_; }

 private:
  int device_;
  DeviceNumber number_ = 0;
  ContextHandle handle_ = nullptr;
};

/// The primary context of the device with this ordinal: retained once, released with its last holder.
/// Blocking the first time (it is created then).
/// Errors: NotFound names the devices that there are; as `driver`; Cuda; OutOfMemory.
std::shared_ptr<const PrimaryContext> primary_context(int device);

/// The driver's number of the device with this ordinal. Errors: NotFound names the devices that there are.
DeviceNumber device_number(int device);

/// Makes a context current on this thread, and the one before it again at the end.
/// Thread: one thread. A green context may be current on one thread only: prefer its primary context.
class ContextScope {
 public:
  /// Errors: Cuda.
  explicit ContextScope(ContextHandle context);
  explicit ContextScope(const PrimaryContext& context) : ContextScope(context.handle()) {}
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;
};

/// The context that is current on this thread; null: none. Errors: as `driver`.
ContextHandle current_context();

/// Gives back something of the driver from a destructor: `call` with the primary context current, and without
/// regard to captures, which it does not disturb so, unless the process exits or is a forked child. A failure
/// goes to the log, once, as "`what`: `name` failed: ...". Errors: none.
template <class Call>
void release(const PrimaryContext& context, const char* name, const char* what, Call&& call) noexcept;

/// Logs a failure of a destructor. Errors: none.
void report_failed_release(Result result, const char* name, const char* what) noexcept;

template <class Call>
void release(const PrimaryContext& context, const char* name, const char* what, Call&& call) noexcept {
  if (!may_call_driver()) return;
  const Driver& table = opened_driver().table;
  int mode = kCaptureRelaxed;
  const bool relaxed = table.thread_exchange_stream_capture_mode(&mode) == kSuccess;
  const bool pushed = table.ctx_push_current(context.handle()) == kSuccess;
  const Result result = call(table);
  ContextHandle ignored = nullptr;
  if (pushed) table.ctx_pop_current(&ignored);
  if (relaxed) table.thread_exchange_stream_capture_mode(&mode);
  if (result != kSuccess) report_failed_release(result, name, what);
}

}  // namespace penstock::cuda
