#pragma once

#include <dlfcn.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <vector>

// What both sides of a GPU benchmark do alike.
namespace bench {

using Clock = std::chrono::steady_clock;

inline double microseconds(Clock::duration elapsed) {
  return std::chrono::duration<double, std::micro>(elapsed).count();
}

/// Bytes of the GPU that are not free, of all processes. Asked of the driver itself, by both sides alike.
inline std::size_t used_bytes() {
  void* const library = ::dlopen("libcuda.so.1", RTLD_NOW);
  const auto call = [&](const char* name, auto... arguments) {
    using Function = int (*)(decltype(arguments)...);
    const auto function = library == nullptr ? nullptr : reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr || function(arguments...) != 0) throw std::runtime_error(name);
  };
  void* context = nullptr;
  std::size_t free = 0;
  std::size_t total = 0;
  call("cuDevicePrimaryCtxRetain", &context, 0);
  call("cuCtxPushCurrent_v2", context);
  call("cuMemGetInfo_v2", &free, &total);
  call("cuCtxPopCurrent_v2", &context);
  call("cuDevicePrimaryCtxRelease_v2", 0);
  return total - free;
}

/// Tells whoever started the program that the first output is there.
inline void tell_first_output() {
  std::puts("first");
  std::fflush(stdout);
}

constexpr int kCalls = 20;

/// Clocks of the GPU and caches of the host settle in this time.
template <class Call, class Wait>
void settle(Call&& call, Wait&& wait) {
  const auto start = Clock::now();
  while (microseconds(Clock::now() - start) < 3e5) {
    call();
    wait();
  }
}

/// Microseconds of the GPU for one call: between an event in front of some that follow each other and one
/// behind them. `time` records the first, makes the calls, records the second and gives milliseconds.
template <class Time>
std::vector<double> gpu_times(int blocks, Time&& time) {
  std::vector<double> times;
  for (int block = 0; block < blocks; ++block) times.push_back(time(kCalls) * 1000 / kCalls);
  return times;
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
  settle(call, wait);
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
  std::printf(", \"used_bytes\": %zu}\n", used_bytes());
}

}  // namespace bench
