#pragma once

#include "cuda/activity_trace.hpp"
#include "session/lanes.hpp"

#include <penstock/audit.hpp>

#include <cstddef>
#include <map>
#include <optional>

namespace penstock::session {

/// What CUPTI sees of a run and of the rest of the process. It numbers streams and contexts by itself: a fill
/// of one byte that is put on the run's stream before the run tells which numbers are the run's.
/// Thread: one run, from its start to its end.
class ProcessAudit {
 public:
  /// Stream-ordered. Errors: NotFound says where CUPTI was looked for; as cuda::ActivityTrace.
  ProcessAudit(LaneRun& run, const model::CudaModel& model);

  /// What the run's thread does from now on is of the call that entry `index` of AuditLevel::Model tells of.
  /// Errors: Cuda.
  void begin_call(std::size_t index);

  /// Waits for the run, which is finished, and adds what was seen. Blocking.
  /// Errors: Cuda, also of the run itself; Internal where CUPTI tells nothing of the fill.
  void report(Audit& audit);

 private:
  void mark() const;
  [[nodiscard]] const cuda::Activity& marker_in(const cuda::Activities& seen) const;
  /// What a piece of work is held against.
  struct Expected {
    const cuda::Activity& marker;   ///< On the run's stream.
    bool any_stream_of_it = false;  ///< Of an engine: its auxiliary streams are of the same resource.
  };
  void place(const cuda::Activities& seen, const Expected& wanted, const cuda::Activity& work,
             AuditEntry& entry) const;

  LaneRun& run_;
  cuda::ActivityTrace trace_;
  std::uint32_t primary_number_;
  std::uint64_t marker_region_ = 0;
  std::map<std::uint64_t, std::size_t>
      calls_;  ///< By region, the entry of the call; kNoCall before the first.
  std::optional<cuda::ActivityRegion> region_;
};

}  // namespace penstock::session
