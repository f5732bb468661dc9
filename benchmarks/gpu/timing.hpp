#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

// What both sides of a GPU benchmark do alike.
namespace bench {

using Clock = std::chrono::steady_clock;

inline double microseconds(Clock::duration elapsed) {
  return std::chrono::duration<double, std::micro>(elapsed).count();
}

inline void print_list(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.2f", i == 0 ? "" : ", ", values[i]);
  std::printf("]");
}

/// Prints one JSON object: host microseconds a call of each block, and microseconds of each call with its
/// wait. Blocks are short, and the stream is empty when one starts: a full queue would be waited for.
template <class Call, class Wait>
void time_calls(int blocks, Call&& call, Wait&& wait) {
  constexpr int kCalls = 20;
  const auto start = Clock::now();
  // Clocks of the GPU and caches of the host settle in this time.
  while (microseconds(Clock::now() - start) < 3e5) {
    call();
    wait();
  }
  std::vector<double> host;
  std::vector<double> latency;
  for (int block = 0; block < blocks; ++block) {
    const auto begin = Clock::now();
    for (int i = 0; i < kCalls; ++i) call();
    host.push_back(microseconds(Clock::now() - begin) / kCalls);
    wait();
    for (int i = 0; i < kCalls; ++i) {
      const auto one = Clock::now();
      call();
      wait();
      latency.push_back(microseconds(Clock::now() - one));
    }
  }
  std::printf("{");
  print_list("host_us", host);
  std::printf(", ");
  print_list("latency_us", latency);
  std::printf("}\n");
}

}  // namespace bench
