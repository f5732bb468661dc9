#include "cuda/context.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"

#include <map>
#include <mutex>

namespace penstock::cuda {
namespace {

struct Contexts {
  std::mutex mutex;
  std::map<int, std::weak_ptr<const PrimaryContext>> by_device;
};

// Never destroyed: objects that outlive main may still hold a context.
Contexts& contexts() {
  static auto& kept = *new Contexts;
  return kept;
}

std::string device_text(int device) { return fmt::format("cuda:{}", device); }

}  // namespace

DeviceNumber device_number(int device) {
  const Driver& table = driver();
  int count = 0;
  check(table.device_get_count(&count), "cuDeviceGetCount", "the GPUs of this machine");
  if (device < 0 || device >= count) {
    base::fail(ErrorCode::NotFound, "{}: there is no such GPU; {}", device_text(device),
               count == 0   ? std::string("CUDA sees none")
               : count == 1 ? std::string("CUDA sees one, cuda:0")
                            : fmt::format("CUDA sees {}, cuda:0 to cuda:{}", count, count - 1));
  }
  DeviceNumber number = 0;
  check(table.device_get(&number, device), "cuDeviceGet", device_text(device));
  return number;
}

PrimaryContext::PrimaryContext(int device) : device_(device), number_(device_number(device)) {
  check(driver().device_primary_ctx_retain(&handle_, number_), "cuDevicePrimaryCtxRetain",
        device_text(device));
}

PrimaryContext::~PrimaryContext() {
  if (!may_call_driver()) return;
  const Result result = opened_driver().table.device_primary_ctx_release(number_);
  if (result != kSuccess) report_failed_release(result, "cuDevicePrimaryCtxRelease", "the context of a GPU");
}

std::shared_ptr<const PrimaryContext> primary_context(int device) {
  // Each thread that makes something: the main one may not be the first.
  note_driver_use();
  Contexts& all = contexts();
  const std::lock_guard lock(all.mutex);
  std::weak_ptr<const PrimaryContext>& kept = all.by_device[device];
  if (auto found = kept.lock()) {
    static_cast<void>(driver());
    return found;
  }
  auto made = std::make_shared<const PrimaryContext>(device);
  kept = made;
  return made;
}

ContextScope::ContextScope(ContextHandle context) {
  check(driver().ctx_push_current(context), "cuCtxPushCurrent", "the context of a GPU");
}

ContextScope::~ContextScope() {
  ContextHandle popped = nullptr;
  const Result result = opened_driver().table.ctx_pop_current(&popped);
  if (result != kSuccess) report_failed_release(result, "cuCtxPopCurrent", "the context of a GPU");
}

ContextHandle current_context() {
  ContextHandle context = nullptr;
  check(driver().ctx_get_current(&context), "cuCtxGetCurrent", "this thread");
  return context;
}

void report_failed_release(Result result, const char* name, const char* what) noexcept {
  try {
    base::log(LogLevel::Error, fmt::format("{}: {} failed: {}", what, name, error_text(result)));
  } catch (...) {
    base::log(LogLevel::Error, "a CUDA resource could not be given back, nor the reason be told");
  }
}

}  // namespace penstock::cuda
