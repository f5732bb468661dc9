#pragma once

#include "model/container.hpp"
#include "system/run_barrier.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace penstock::model {

class VersionUse;

/// The version of a model's weights that runs take, and the sessions that take it.
/// docs/design/0007-weights.md says how versions come and go. Thread: thread-safe.
class Versions {
 public:
  Versions() = default;
  ~Versions() = default;
  Versions(const Versions&) = delete;
  Versions& operator=(const Versions&) = delete;

  /// The version that a run takes now; null before the first one.
  [[nodiscard]] std::shared_ptr<Container> current() const;

  /// Puts a version in place. Runs that have begun end with the one that they began with. Every other is let
  /// go of before this returns. Errors: OutOfMemory, and then the
  /// version is as it was.
  void publish(std::shared_ptr<Container> version);

  /// Lets go of the current version, when there are no more runs. Errors: none.
  void end() noexcept;

 private:
  friend class VersionUse;

  mutable std::mutex mutex_;
  std::shared_ptr<Container> current_;
  std::vector<VersionUse*> uses_;
  /// Counts versions. Changes under the mutex; on a cache line of its own, as every run reads it.
  alignas(64) std::atomic<std::uint64_t> number_{0};
};

/// One session's hold on the version that it runs. Thread: one caller at a time.
class alignas(64) VersionUse {
 public:
  /// `versions` outlives this. Errors: OutOfMemory.
  explicit VersionUse(Versions& versions);
  ~VersionUse();
  VersionUse(const VersionUse&) = delete;
  VersionUse& operator=(const VersionUse&) = delete;

  /// Begins a run: the version that is to be used until `end`. Takes no lock but where the version is new.
  [[nodiscard]] Container& begin() noexcept {
    system::RunBarrier::set(is_running_, true, one_sided_);
    if (versions_.number_.load(std::memory_order_seq_cst) != number_.load(std::memory_order_relaxed)) take();
    return *held_;
  }

  /// The version of the run that is on, to be held beyond it.
  [[nodiscard]] const std::shared_ptr<Container>& held() const noexcept { return held_; }

  /// Lets go of the version between runs. Errors: none.
  void drop() noexcept;

  /// The number of that version: no other version of the model ever has it.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_.load(std::memory_order_relaxed); }

  /// Ends it. The version is let go of where it is not the current one any more.
  void end() noexcept {
    system::RunBarrier::set(is_running_, false, one_sided_);
    if (versions_.number_.load(std::memory_order_seq_cst) != number_.load(std::memory_order_relaxed))
      let_go();
  }

 private:
  friend class Versions;

  void take() noexcept;
  void let_go() noexcept;

  Versions& versions_;
  std::shared_ptr<Container> held_;  ///< Changed by others under the mutex, while no run is on.
  std::atomic<std::uint64_t> number_{0};
  std::atomic<bool> is_running_{false};
  bool one_sided_;
};

/// One run.
class VersionScope {
 public:
  explicit VersionScope(VersionUse& use) noexcept : use_(use), container_(use.begin()) {}
  ~VersionScope() { use_.end(); }
  VersionScope(const VersionScope&) = delete;
  VersionScope& operator=(const VersionScope&) = delete;

  [[nodiscard]] Container& container() const noexcept { return container_; }

 private:
  VersionUse& use_;
  Container& container_;
};

}  // namespace penstock::model
