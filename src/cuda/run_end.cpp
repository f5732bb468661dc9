#include "cuda/run_end.hpp"

#include "cuda/graph.hpp"

#include <utility>

namespace penstock::cuda {

RunEnd::RunEnd(std::shared_ptr<const PrimaryContext> context) : context_(std::move(context)) {
  check(driver().event_create(&event_, kEventDisableTiming), "cuEventCreate", "an event of a session");
}

RunEnd::~RunEnd() {
  release(*context_, "cuEventDestroy", "a session",
          [this](const Driver& table) { return table.event_destroy(event_); });
}

Result RunEnd::record(StreamHandle stream) noexcept {
  const Driver& table = opened_driver().table;
  Result result = table.event_record(event_, stream);
  // Once more, since there is nothing else that could take its place.
  if (result != kSuccess && !is_sticky(result)) result = table.event_record(event_, stream);
  is_lost_.store(result != kSuccess, std::memory_order_relaxed);
  return result;
}

bool RunEnd::is_done() const noexcept {
  if (is_lost()) return false;
  if (!may_call_driver()) return true;
  const CaptureModeScope relaxed(kCaptureRelaxed);
  // Any other answer is that of a device on which nothing runs any more.
  return opened_driver().table.event_query(event_) != kNotReady;
}

Result RunEnd::wait() const noexcept {
  Result result = kSuccess;
  if (!may_call_driver()) return result;
  const CaptureModeScope relaxed(kCaptureRelaxed);
  const Driver& table = opened_driver().table;
  if (!is_lost()) return table.event_synchronize(event_);
  // Nothing else is known of that run's stream, which may be gone.
  const bool pushed = table.ctx_push_current(context_->handle()) == kSuccess;
  result = table.ctx_synchronize();
  ContextHandle ignored = nullptr;
  if (pushed) table.ctx_pop_current(&ignored);
  is_lost_.store(false, std::memory_order_relaxed);
  return result;
}

}  // namespace penstock::cuda
