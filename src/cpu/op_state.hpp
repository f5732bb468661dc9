#pragma once

#include <memory>

namespace penstock::cpu {

/// What the CPU operators of one session keep between runs: prepared primitives and scratch memory.
/// Thread: one caller at a time.
class OpState {
 public:
  OpState();
  ~OpState();
  OpState(const OpState&) = delete;
  OpState& operator=(const OpState&) = delete;

  struct Impl;
  [[nodiscard]] Impl& impl() noexcept { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Where an operator runs.
struct OpContext {
  OpState& state;
  int threads = 1;  ///< Upper bound for this call.
};

}  // namespace penstock::cpu
