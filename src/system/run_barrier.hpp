#pragma once

#include <atomic>

namespace penstock::system {

/// A fence of two sides: many threads pass the light side often, one thread the heavy side rarely. Whatever
/// the threads of the light side wrote before it, or what the thread of the heavy side wrote before it, is
/// seen by the other behind its side: not both can miss the other's. Where the kernel can run a fence on all
/// threads of the process (membarrier), the light side costs nothing.
/// Thread: thread-safe.
class RunBarrier {
 public:
  /// True where the light side needs no fence of its own. Asked once a process.
  static bool is_one_sided() noexcept;

  /// Sets a flag of this thread's and passes the light side.
  static void set(std::atomic<bool>& flag, bool value, bool one_sided) noexcept {
    if (one_sided) {
      flag.store(value, std::memory_order_release);
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      flag.exchange(value, std::memory_order_seq_cst);
    }
  }

  /// The heavy side.
  static void pass_heavy() noexcept;
};

}  // namespace penstock::system
