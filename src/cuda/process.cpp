#include "cuda/driver.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

// When the driver may not be called: it is gone while a process exits, and was never there in its children.
namespace penstock::cuda {
namespace {

std::atomic<bool> forked{false};
std::atomic<bool> exiting{false};

void note_fork() noexcept { forked.store(true, std::memory_order_relaxed); }
void note_exit() noexcept { exiting.store(true, std::memory_order_relaxed); }

/// The objects of the main thread end when the process begins to exit, before any static object is destroyed,
/// also before those that were made later than the handler of `atexit`.
struct MainThreadEnd {
  bool used = false;
  ~MainThreadEnd() {
    if (::gettid() == ::getpid()) note_exit();
  }
};
thread_local MainThreadEnd main_thread_end;

}  // namespace

void note_driver_use() noexcept {
  static const bool registered =
      ::pthread_atfork(nullptr, nullptr, &note_fork) == 0 && std::atexit(&note_exit) == 0;
  main_thread_end.used = registered;
}

bool is_forked_child() noexcept { return forked.load(std::memory_order_relaxed); }

bool may_call_driver() noexcept { return !is_forked_child() && !exiting.load(std::memory_order_relaxed); }

}  // namespace penstock::cuda
