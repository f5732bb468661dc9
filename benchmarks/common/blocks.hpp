#pragma once

#include <chrono>
#include <cstdio>
#include <vector>

namespace bench {

/// Times `blocks` blocks of `calls` calls each, after as many unmeasured calls as one tenth of them, and
/// prints nanoseconds a call of every block as one JSON array. Reading the clock takes as long as a
/// small part of a call, so calls are not timed one by one.
template <class Call>
void time_blocks(int blocks, int calls, Call&& call) {
  using Clock = std::chrono::steady_clock;
  for (int i = 0; i < blocks * calls / 10; ++i) call();
  std::vector<double> times;
  times.reserve(static_cast<std::size_t>(blocks));
  for (int block = 0; block < blocks; ++block) {
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) call();
    const std::chrono::duration<double, std::nano> elapsed = Clock::now() - start;
    times.push_back(elapsed.count() / calls);
  }
  std::printf("[");
  for (std::size_t i = 0; i < times.size(); ++i) std::printf("%s%.1f", i == 0 ? "" : ", ", times[i]);
  std::printf("]\n");
}

}  // namespace bench
