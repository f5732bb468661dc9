#pragma once

#include "timing.hpp"

#include <penstock/session.hpp>

#include <cstdint>
#include <vector>

namespace penstock::cli {

/// How long sessions run: both bounds hold, where both are given.
struct RunGoal {
  double warm_up_ms = 0;
  std::int64_t iterations = 0;
  std::int64_t nanoseconds = 0;
};

/// Runs every session on a thread of its own, all timed from the same moment on; one list of samples a
/// session. The first error of any of them ends them all and is thrown.
std::vector<std::vector<Sample>> run_sessions(std::vector<Session>& sessions,
                                              const std::vector<TensorView>& inputs, const RunGoal& goal);

}  // namespace penstock::cli
