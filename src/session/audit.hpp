#pragma once

#include "cuda/context.hpp"
#include "session/lanes.hpp"
#include "shim/cuda_call.hpp"

#include <penstock/audit.hpp>

#include <exception>
#include <string>
#include <vector>

namespace penstock::session {

/// Writes down what one run puts on the device. Thread: one run.
class AuditRecorder final : public shim::CudaObserver {
 public:
  void launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept override;

  /// What was written down, with the resource of each stream. `run` is that of the run.
  /// Errors: what could not be written down (OutOfMemory); Cuda.
  [[nodiscard]] Audit report(const LaneRun& run, const cuda::PrimaryContext& context) const;

 private:
  struct Entry {
    Kind kind;
    std::string name;
    cuda::StreamHandle stream;
  };
  std::vector<Entry> entries_;
  std::exception_ptr failure_;  ///< The first that kept an entry from being written down.
};

}  // namespace penstock::session
