#pragma once

#include "timing.hpp"

#include <penstock/session.hpp>
#include <penstock/stream.hpp>

#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::cli {

/// How long sessions run: both bounds hold, where both are given.
struct RunGoal {
  double warm_up_ms = 0;
  std::int64_t iterations = 0;
  std::int64_t nanoseconds = 0;
};

/// A session with the stream that it runs on, whose runs are timed. Thread: one caller at a time.
class TimedSession {
 public:
  /// Without a stream it is on the CPU.
  TimedSession(Session session, std::optional<StreamView> stream);

  /// One run from call to result, on the stream where there is one. Blocking. Errors: as the session's.
  Sample run(const std::vector<TensorView>& inputs);
  [[nodiscard]] const Session& session() const noexcept { return session_; }

 private:
  struct OnStream {
    StreamView stream;
    Event before;
    Event behind;
  };
  Session session_;
  std::optional<OnStream> device_;
};

/// Runs every session on a thread of its own, all timed from the same moment on; one list of samples a
/// session. The first error of any of them ends them all and is thrown.
std::vector<std::vector<Sample>> run_sessions(std::vector<TimedSession>& sessions,
                                              const std::vector<TensorView>& inputs, const RunGoal& goal);

}  // namespace penstock::cli
