#pragma once

#include "cuda/cupti_abi.hpp"

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace penstock::cuda {

/// A kernel, copy or fill that was put on a device, as CUPTI tells of it.
struct Activity {
  enum class Kind { Kernel, Copy, Fill };
  Kind kind = Kind::Kernel;
  std::string name;  ///< Of the kernel; "device to host" and the like of a copy.
  int device = 0;
  std::uint32_t context = 0;  ///< CUPTI's number; as `stream`.
  std::uint32_t stream = 0;
  std::uint32_t call = 0;  ///< Number of the call that put it there: later ones are higher.
};

struct ActivityContext {
  bool is_green = false;
  unsigned sm_count = 0;  ///< Of a green one.
};

/// What a trace has seen.
struct Activities {
  std::vector<Activity> work;                         ///< In the order of the calls.
  std::map<std::uint32_t, ActivityContext> contexts;  ///< By number.
  std::map<std::uint32_t, std::uint64_t> regions;     ///< Of calls that were made in one, by number.
  std::size_t dropped = 0;                            ///< Records that CUPTI had to leave out.
};

/// All that this process puts on its devices while the trace lives, seen by CUPTI. There is one at a time: a
/// second one waits for the end of the first.
/// Thread: one caller. Lifetime: `functions` is kept.
class ActivityTrace {
 public:
  /// Errors: Incompatible where the version of CUPTI is not known; Unsupported where another tool uses it;
  /// Cuda with CUPTI's words.
  explicit ActivityTrace(const cupti::Functions& functions);
  ~ActivityTrace();
  ActivityTrace(const ActivityTrace&) = delete;
  ActivityTrace& operator=(const ActivityTrace&) = delete;

  /// CUPTI's number of a context; 0 where it does not tell.
  [[nodiscard]] std::uint32_t context_number(ContextHandle context) const noexcept;

  /// Ends the trace. What is not done by then may be missing. Blocking. Errors: Cuda, OutOfMemory.
  [[nodiscard]] Activities finish();

 private:
  friend class ActivityRegion;
  void end() noexcept;

  const cupti::Functions& functions_;
  std::unique_lock<std::mutex> alone_;
  cupti::Subscriber subscriber_ = nullptr;
  Activities seen_;
};

/// The calls of this thread while it lives. Thread: one.
class ActivityRegion {
 public:
  /// Errors: Cuda.
  explicit ActivityRegion(const ActivityTrace& trace);
  ~ActivityRegion();
  ActivityRegion(const ActivityRegion&) = delete;
  ActivityRegion& operator=(const ActivityRegion&) = delete;
  /// As in Activities::regions.
  [[nodiscard]] std::uint64_t number() const noexcept { return number_; }

 private:
  const cupti::Functions& functions_;
  std::uint64_t number_;
};

}  // namespace penstock::cuda
