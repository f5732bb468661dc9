// CUDA objects that live as long as the program, which no call of the driver may end: the driver is shutting
// down by then. Needs a process of its own, and the end of it.
#include "cuda/driver.hpp"
#include "recording_driver.hpp"

#include <penstock/partition.hpp>

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>

namespace {

constexpr int kFailed = 1;

/// How often the log has it.
int count(const char* text) {
  int found = 0;
  for (const char* at = penstock_recording_log(); (at = std::strstr(at, text)) != nullptr; ++at) ++found;
  return found;
}

/// Made first, so destroyed last.
struct LastLook {
  ~LastLook() {
    // The stream of the thread was destroyed; nothing of what is left is.
    const bool right = count("cuStreamDestroy") == 1 && count("cuEventDestroy") == 0 &&
                       count("cuGreenCtxDestroy") == 0 && count("cuDevicePrimaryCtxRelease") == 0 &&
                       count("cuStreamCreateWithPriority") == 3 && count("cuGreenCtxStreamCreate") == 1;
    if (right) return;
    std::printf("%s", penstock_recording_log());
    std::fflush(stdout);
    ::_exit(kFailed);
  }
} last_look;

std::optional<penstock::Stream> before_main;
std::optional<penstock::GreenContext> green_before_main;

}  // namespace

int main() {
  ::setenv("PENSTOCK_LIBCUDA", PENSTOCK_RECORDING_DRIVER, 1);
  // A thread that ends is not the process that ends. It is the first to use the driver, and leaves its
  // context.
  std::thread([] {
    green_before_main = penstock::GreenContext::create(penstock::SmResource::of_device().split("32,rest")[0]);
    static_cast<void>(penstock::Stream::create());
  }).join();
  before_main = penstock::Stream::create();
  static const penstock::Stream in_main = penstock::Stream::create();
  static const penstock::Event event_in_main = penstock::Event::create();
  static const penstock::Stream in_partition = green_before_main->create_stream();
  event_in_main.record(in_main);
  return penstock::cuda::may_call_driver() ? 0 : kFailed;
}
