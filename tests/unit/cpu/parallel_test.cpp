#include "cpu/parallel.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace penstock::cpu {
namespace {

TEST(ForEachRange, RunsEveryTaskOnce) {
  for (const int workers : {1, 2, 3, 7}) {
    std::vector<std::atomic<int>> runs(5);
    std::vector<std::atomic<int>> worker_runs(static_cast<std::size_t>(workers));
    for_each_range(5, workers, [&](const TaskRange& range) noexcept {
      ++worker_runs[static_cast<std::size_t>(range.worker)];
      for (std::int64_t i = range.begin; i < range.end; ++i) ++runs[static_cast<std::size_t>(i)];
    });
    for (const auto& count : runs) EXPECT_EQ(count, 1) << workers;
    for (const auto& count : worker_runs) EXPECT_LE(count, 1) << workers;
  }
}

TEST(ForEachRange, RunsNothingForNoTask) {
  for_each_range(0, 2, [](const TaskRange&) noexcept { ADD_FAILURE(); });
}

}  // namespace
}  // namespace penstock::cpu
