#pragma once

#include "cuda/context.hpp"

#include <atomic>
#include <memory>

namespace penstock::cuda {

/// The end of the last run of a lane: an event that is recorded behind each of its runs. Shared with all that
/// may not go before the work of these runs is done. The driver is not asked to wait for that itself: what it
/// gives back passes over a graph that is alone on a stream of a green context.
/// Thread: `record` one caller at a time; the rest thread-safe. Disturbs no capture.
class RunEnd {
 public:
  /// With the device's context current. Errors: Cuda.
  explicit RunEnd(std::shared_ptr<const PrimaryContext> context);
  ~RunEnd();
  RunEnd(const RunEnd&) = delete;
  RunEnd& operator=(const RunEnd&) = delete;

  [[nodiscard]] EventHandle event() const noexcept { return event_; }

  /// Behind what is on the stream. Errors: none; the driver's answer is returned. The run before is the last
  /// one that is known of then.
  Result record(StreamHandle stream) noexcept;
  /// True where the last run could not be recorded: what is told of the end is that of one before.
  [[nodiscard]] bool is_lost() const noexcept { return is_lost_.load(std::memory_order_relaxed); }

  /// Whether all runs are done. Errors: none.
  [[nodiscard]] bool is_done() const noexcept;
  /// Waits until all runs are done. Errors: none; the driver's answer is returned.
  Result wait() const noexcept;

 private:
  std::shared_ptr<const PrimaryContext> context_;
  EventHandle event_ = nullptr;
  mutable std::atomic<bool> is_lost_{false};
};

}  // namespace penstock::cuda
