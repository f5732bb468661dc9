#pragma once

#include "cuda/context.hpp"
#include "cuda/graph.hpp"
#include "model/container.hpp"
#include "shim/context.hpp"

#include <optional>

namespace penstock::model {

/// A call into the library while it loads, updates or goes.
class LibraryCall {
 public:
  explicit LibraryCall(const Place& place) : scope_(context) {
    context.purpose = shim::CallContext::Purpose::Load;
    if (place.cuda == nullptr) return;
    // It loads, copies, waits and gives back: captures of this thread and of others go on.
    mode_.emplace(cuda::kCaptureRelaxed);
    device_.emplace(*place.cuda->context());
    cuda_ = place.cuda->load_call();
    cuda_.is_load = true;
    context.cuda = &cuda_;
  }

  /// Of the load; null on the CPU.
  [[nodiscard]] cuda::StreamHandle stream() const noexcept { return cuda_.stream; }

  shim::CallContext context;

 private:
  std::optional<cuda::CaptureModeScope> mode_;
  std::optional<cuda::ContextScope> device_;
  shim::CudaCall cuda_;
  shim::ContextScope scope_;
};

}  // namespace penstock::model
