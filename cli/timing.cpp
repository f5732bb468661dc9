#include "timing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <memory>
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

}  // namespace

Summary summarize(const std::vector<std::vector<Sample>>& samples, const std::vector<double>& percentiles) {
  std::vector<std::int64_t> latencies;
  std::int64_t last = INT64_MIN;
  double sum = 0;
  for (const auto& session : samples) {
    for (const Sample& sample : session) {
      latencies.push_back(sample.end_ns - sample.begin_ns);
      sum += static_cast<double>(latencies.back());
      last = std::max(last, sample.end_ns);
    }
  }
  std::sort(latencies.begin(), latencies.end());
  Summary summary;
  const auto count = static_cast<double>(latencies.size());
  summary.count = static_cast<std::int64_t>(latencies.size());
  summary.wall_ns = static_cast<double>(last - first_begin(samples));
  summary.per_second = count / std::max(summary.wall_ns, 1.0) * 1e9;
  summary.min_ns = static_cast<double>(latencies.front());
  summary.mean_ns = sum / count;
  summary.max_ns = static_cast<double>(latencies.back());
  for (const double percent : percentiles) {
    const double rank = std::clamp(std::ceil(percent / 100 * count), 1.0, count);
    summary.percentiles.emplace_back(percent,
                                     static_cast<double>(latencies[static_cast<std::size_t>(rank) - 1]));
  }
  return summary;
}

void export_times(const std::filesystem::path& path, const std::vector<std::vector<Sample>>& samples) {
  const auto fail = [&] {
    throw std::runtime_error(
        fmt::format("{}: cannot be written: {}", path.string(), std::generic_category().message(errno)));
  };
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file(std::fopen(path.c_str(), "we"));
  if (file == nullptr) fail();
  const std::int64_t first = first_begin(samples);
  const auto milliseconds = [](std::int64_t ns) { return static_cast<double>(ns) / 1e6; };
  const char* separator = "[\n";
  for (std::size_t i = 0; i < samples.size(); ++i) {
    for (const Sample& sample : samples[i]) {
      fmt::print(
          file.get(),
          "{}{{\"session\": {}, \"startComputeMs\": {:.6f}, \"endComputeMs\": {:.6f}, \"computeMs\": {:.6f}, "
          "\"latencyMs\": {:.6f}}}",
          separator, i, milliseconds(sample.begin_ns - first), milliseconds(sample.end_ns - first),
          milliseconds(sample.end_ns - sample.begin_ns), milliseconds(sample.end_ns - sample.begin_ns));
      separator = ",\n";
    }
  }
  fmt::print(file.get(), "\n]\n");
  if (std::ferror(file.get()) != 0 || std::fclose(file.release()) != 0) fail();
}

}  // namespace penstock::cli
