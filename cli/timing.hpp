#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <utility>
#include <vector>

namespace penstock::cli {

/// Nanoseconds of a clock that never goes back.
inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// When one run began and ended, by `now_ns`.
struct Sample {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
};

/// The figures of all runs of all sessions.
struct Summary {
  std::int64_t count = 0;
  double wall_ns = 0;  ///< From the first begin to the last end.
  double per_second = 0;
  double min_ns = 0;
  double mean_ns = 0;
  double max_ns = 0;
  /// By nearest rank: the smallest time that so many percent of the runs took at most.
  std::vector<std::pair<double, double>> percentiles;
};

/// At least one session has at least one sample.
Summary summarize(const std::vector<std::vector<Sample>>& samples, const std::vector<double>& percentiles);

/// A JSON list of runs with trtexec's keys, in milliseconds since the first run began.
/// Throws where the file cannot be written.
void export_times(const std::filesystem::path& path, const std::vector<std::vector<Sample>>& samples);

}  // namespace penstock::cli
