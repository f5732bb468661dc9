#include "model/versions.hpp"

#include <algorithm>
#include <utility>

namespace penstock::model {

std::shared_ptr<Container> Versions::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void Versions::publish(std::shared_ptr<Container> version) {
  // Deleted when the mutex is free again: a container's end takes its time.
  std::vector<std::shared_ptr<Container>> unused;
  {
    const std::lock_guard lock(mutex_);
    unused.reserve(uses_.size() + 1);
    unused.push_back(std::exchange(current_, std::move(version)));
    number_.fetch_add(1, std::memory_order_seq_cst);
  }
  // From here on a run either is seen to have begun, or sees the new number and takes the new version.
  system::RunBarrier::pass_heavy();
  const std::lock_guard lock(mutex_);
  for (VersionUse* const use : uses_) {
    // Sessions that have come since have no old version; there is no room for more than were counted.
    if (use->is_running_.load(std::memory_order_seq_cst) || use->held_ == nullptr || use->held_ == current_ ||
        unused.size() == unused.capacity()) {
      continue;
    }
    unused.push_back(std::move(use->held_));
    use->held_ = nullptr;
    use->number_.store(0, std::memory_order_relaxed);
  }
}

void Versions::end() noexcept {
  std::shared_ptr<Container> last;
  const std::lock_guard lock(mutex_);
  last = std::exchange(current_, nullptr);
}

VersionUse::VersionUse(Versions& versions)
    : versions_(versions), one_sided_(system::RunBarrier::is_one_sided()) {
  const std::lock_guard lock(versions_.mutex_);
  versions_.uses_.push_back(this);
}

VersionUse::~VersionUse() {
  const std::lock_guard lock(versions_.mutex_);
  std::erase(versions_.uses_, this);
}

void VersionUse::drop() noexcept {
  std::shared_ptr<Container> old;
  const std::lock_guard lock(versions_.mutex_);
  old = std::exchange(held_, nullptr);
  number_.store(0, std::memory_order_relaxed);
}

void VersionUse::take() noexcept {
  std::shared_ptr<Container> old;
  const std::lock_guard lock(versions_.mutex_);
  old = std::exchange(held_, versions_.current_);
  number_.store(versions_.number_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

void VersionUse::let_go() noexcept {
  std::shared_ptr<Container> old;
  const std::lock_guard lock(versions_.mutex_);
  if (held_ == versions_.current_) return;
  old = std::exchange(held_, nullptr);
  number_.store(0, std::memory_order_relaxed);
}

}  // namespace penstock::model
