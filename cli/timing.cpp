#include "timing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <system_error>

namespace penstock::cli {
namespace {

std::int64_t first_begin(const std::vector<std::vector<Sample>>& samples) {
  std::int64_t first = INT64_MAX;
  for (const auto& session : samples) {
    if (!session.empty()) first = std::min(first, session.front().begin_ns);
  }
  return first;
}

double milliseconds(std::int64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1e6; }

Distribution distribution_of(std::vector<std::int64_t> values, const std::vector<double>& percentiles) {
  std::sort(values.begin(), values.end());
  const auto count = static_cast<double>(values.size());
  const auto percentile = [&](double percent) {
    const double rank = std::clamp(std::ceil(percent / 100 * count), 1.0, count);
    return static_cast<double>(values[static_cast<std::size_t>(rank) - 1]);
  };
  Distribution result{.min_ns = static_cast<double>(values.front()),
                      .mean_ns = std::accumulate(values.begin(), values.end(), 0.0) / count,
                      .median_ns = percentile(50),
                      .max_ns = static_cast<double>(values.back()),
                      .percentiles = {}};
  for (const double percent : percentiles) result.percentiles.emplace_back(percent, percentile(percent));
  return result;
}

}  // namespace

Summary summarize(const Samples& samples, const std::vector<double>& percentiles) {
  std::vector<std::int64_t> latencies;
  std::vector<std::int64_t> enqueue;
  std::vector<std::int64_t> gpu;
  std::int64_t last = INT64_MIN;
  for (const auto& session : samples.of_sessions) {
    for (const Sample& sample : session) {
      latencies.push_back(sample.end_ns - sample.begin_ns);
      enqueue.push_back(sample.device.enqueue_ns);
      gpu.push_back(sample.device.gpu_ns);
      last = std::max(last, sample.end_ns);
    }
  }
  Summary summary;
  summary.count = static_cast<std::int64_t>(latencies.size());
  summary.wall_ns = static_cast<double>(last - first_begin(samples.of_sessions));
  summary.per_second = static_cast<double>(summary.count) / std::max(summary.wall_ns, 1.0) * 1e9;
  summary.latency = distribution_of(std::move(latencies), percentiles);
  if (samples.on_cuda) {
    summary.device = {.enqueue = distribution_of(std::move(enqueue), percentiles),
                      .gpu = distribution_of(std::move(gpu), percentiles)};
  }
  return summary;
}

void export_times(const std::filesystem::path& path, const Samples& samples) {
  const auto fail = [&] {
    throw std::runtime_error(
        fmt::format("{}: cannot be written: {}", path.string(), std::generic_category().message(errno)));
  };
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "we"));
  if (file == nullptr) fail();
  const std::int64_t first = first_begin(samples.of_sessions);
  const char* separator = "[\n";
  for (std::size_t i = 0; i < samples.of_sessions.size(); ++i) {
    for (const Sample& sample : samples.of_sessions[i]) {
      const double latency = milliseconds(sample.end_ns - sample.begin_ns);
      fmt::print(
          file.get(),
          "{}{{\"session\": {}, \"startComputeMs\": {:.6f}, \"endComputeMs\": {:.6f}, \"computeMs\": {:.6f}, "
          "\"latencyMs\": {:.6f}",
          separator, i, milliseconds(sample.begin_ns - first), milliseconds(sample.end_ns - first), latency,
          latency);
      if (samples.on_cuda) {
        fmt::print(file.get(), ", \"enqueueMs\": {:.6f}, \"gpuMs\": {:.6f}, \"replayed\": {}",
                   milliseconds(sample.device.enqueue_ns), milliseconds(sample.device.gpu_ns),
                   sample.device.replayed);
      }
      fmt::print(file.get(), "}}");
      separator = ",\n";
    }
  }
  fmt::print(file.get(), "\n]\n");
  if (std::ferror(file.get()) != 0 || std::fclose(file.release()) != 0) fail();
}

}  // namespace penstock::cli
