#pragma once

#include "session/lanes.hpp"
#include "session/process_audit.hpp"
#include "shim/cuda_call.hpp"

#include <penstock/audit.hpp>

#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace penstock::session {

/// What audits at the levels Model and Process do not see.
inline constexpr const char* kReplaysNotSeen =
    "how a captured run is replayed: an audited run is put on the stream call by call";

/// Writes down what one run puts on the device. Thread: one run.
class AuditRecorder final : public shim::CudaObserver {
 public:
  /// Is told of all that `run` does from now on. Stream-ordered. Errors: as ProcessAudit.
  AuditRecorder(LaneRun& run, const model::CudaModel& model, AuditLevel level);

  void launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept override;

  /// What was written down, with the resource of each stream, once `run` is finished. Blocking at
  /// AuditLevel::Process. Errors: what could not be written down (OutOfMemory); Cuda; as ProcessAudit.
  [[nodiscard]] Audit report();

 private:
  struct Entry {
    Kind kind;
    std::string name;
    cuda::StreamHandle stream;
  };
  LaneRun& run_;
  const model::CudaModel& model_;
  std::vector<Entry> entries_;
  std::exception_ptr failure_;  ///< The first that kept an entry from being written down.
  std::optional<ProcessAudit> process_;
};

}  // namespace penstock::session
