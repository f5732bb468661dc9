#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

namespace penstock::cli {

/// Nanoseconds of a clock that never goes back.
inline std::int64_t now_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// What a run on CUDA took of either side.
struct DeviceTimes {
  std::int64_t enqueue_ns = 0;  ///< Until the host had put the run on its stream.
  std::int64_t gpu_ns = 0;      ///< On the device, between events before and behind the run.
  bool replayed = false;        ///< From a CUDA graph.
};

/// When one run began and ended, by `now_ns`.
struct Sample {
  std::int64_t begin_ns = 0;
  std::int64_t end_ns = 0;
  DeviceTimes device;  ///< Zeros on the CPU.
};

/// How one figure is distributed over all runs.
struct Distribution {
  double min_ns = 0;
  double mean_ns = 0;
  double median_ns = 0;
  double max_ns = 0;
  /// By nearest rank: the smallest time that so many percent of the runs took at most.
  std::vector<std::pair<double, double>> percentiles;
};

/// The two sides of runs on CUDA.
struct DeviceSummary {
  Distribution enqueue;
  Distribution gpu;

  /// The GPU waits for the host. Its events lie around the host's calls, so that its time is hardly ever
  /// below the host's: this is said from eight tenths of it on, as trtexec does.
  [[nodiscard]] bool bound_by_host() const noexcept { return enqueue.median_ns >= 0.8 * gpu.median_ns; }
};

/// The figures of all runs of all sessions.
struct Summary {
  std::int64_t count = 0;
  double wall_ns = 0;  ///< From the first begin to the last end.
  double per_second = 0;
  Distribution latency;
  std::optional<DeviceSummary> device;  ///< Nothing on the CPU.
};

/// The samples of a measurement, one list a session, and how they are to be summed up. At least one session
/// has at least one sample.
struct Samples {
  std::vector<std::vector<Sample>> of_sessions;
  bool on_cuda = false;
};

Summary summarize(const Samples& samples, const std::vector<double>& percentiles);

/// A JSON list of runs with trtexec's keys, in milliseconds since the first run began.
/// Throws where the file cannot be written.
void export_times(const std::filesystem::path& path, const Samples& samples);

}  // namespace penstock::cli
