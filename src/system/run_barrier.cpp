#include "system/run_barrier.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace penstock::system {
namespace {

bool membarrier(int command) noexcept { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

}  // namespace

bool RunBarrier::is_one_sided() noexcept {
  static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  return registered;
}

void RunBarrier::pass_heavy() noexcept {
  if (is_one_sided()) {
    membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
  } else {
    // An exchange by the other side is a fence, and so is this one.
    static std::atomic<bool> fence{false};
    fence.exchange(true, std::memory_order_seq_cst);
  }
}

}  // namespace penstock::system
