#include "base/log.hpp"

#include <memory>
#include <mutex>

namespace penstock {
namespace {

struct LogState {
  std::mutex mutex;
  std::shared_ptr<const LogCallback> callback;
};

// Never destroyed: objects that outlive main may still report.
LogState& log_state() {
  static LogState* state = new LogState;
  return *state;
}

}  // namespace

void set_log_callback(LogCallback callback) {
  auto next = callback ? std::make_shared<const LogCallback>(std::move(callback)) : nullptr;
  LogState& state = log_state();
  const std::lock_guard lock(state.mutex);
  state.callback.swap(next);
}

namespace base {

void log(LogLevel level, std::string_view message) noexcept {
  try {
    std::shared_ptr<const LogCallback> callback;
    {
      LogState& state = log_state();
      const std::lock_guard lock(state.mutex);
      callback = state.callback;
    }
    if (callback) (*callback)(level, message);
  } catch (...) {
    // A log callback must not throw; one that does is not allowed to end the program.
    return;
  }
}

}  // namespace base
}  // namespace penstock
