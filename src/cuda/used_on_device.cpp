#include "cuda/used_on_device.hpp"

#include "cuda/graph.hpp"

#include <atomic>
#include <memory>
#include <utility>

namespace penstock::cuda {
namespace {

/// What was put by, the last one first. Without a lock: the driver's thread adds to it.
std::atomic<UsedOnDevice*>& put_by_first() noexcept {
  static std::atomic<UsedOnDevice*> first{nullptr};
  return first;
}

}  // namespace

void UsedOnDevice::put_by(UsedOnDevice* used) noexcept {
  used->next_ = put_by_first().load(std::memory_order_relaxed);
  while (!put_by_first().compare_exchange_weak(used->next_, used, std::memory_order_release,
                                               std::memory_order_relaxed)) {
  }
}

void let_go_of_used() noexcept {
  if (put_by_first().load(std::memory_order_relaxed) == nullptr) return;
  // Memory is given back, which concerns nobody's capture.
  const CaptureModeScope relaxed(kCaptureRelaxed);
  UsedOnDevice* in_use = nullptr;
  // What goes may have had the last share of something else.
  while (UsedOnDevice* each = put_by_first().exchange(nullptr, std::memory_order_acquire)) {
    while (each != nullptr) {
      UsedOnDevice* const next = each->next_;
      if (each->is_done()) {
        delete each;
      } else {
        each->next_ = std::exchange(in_use, each);
      }
      each = next;
    }
  }
  while (in_use != nullptr) UsedOnDevice::put_by(std::exchange(in_use, in_use->next_));
}

}  // namespace penstock::cuda
