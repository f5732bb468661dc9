#pragma once

namespace penstock::system {

/// Begins and ends a range of this thread's time, for a tool of NVTX that watches (Nsight Systems, for one).
/// Nothing where there is none, and then nothing is opened for it. Ranges of a thread are nested.
/// Thread: thread-safe. Errors: none.
void push_range(const char* name) noexcept;
void pop_range() noexcept;

/// A range that lasts as long as it lives.
class Range {
 public:
  explicit Range(const char* name) noexcept { push_range(name); }
  ~Range() { pop_range(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

}  // namespace penstock::system
