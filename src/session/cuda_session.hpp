#pragma once

#include "model/input_rules.hpp"
#include "session/graph_runs.hpp"
#include "session/lanes.hpp"
#include "tensor/storage.hpp"

#include <penstock/session.hpp>

#include <memory>
#include <span>
#include <vector>

namespace penstock::session {

/// Inputs as the device is to see them. Those that have to be copied there stand with the host's address.
struct PlacedInputs {
  std::span<const TensorView> views;
  std::span<const std::size_t> to_copy;
};

/// Gives a reference back at the end of a scope.
struct StorageDropper {
  void operator()(tensor::Storage* storage) const noexcept { storage->drop(); }
};
using StoragePtr = std::unique_ptr<tensor::Storage, StorageDropper>;

/// What a session has besides on CUDA. Thread: one caller at a time.
class CudaSession {
 public:
  CudaSession(std::shared_ptr<model::CudaModel> model, const SessionOptions& options);

  [[nodiscard]] Lanes& lanes() noexcept { return lanes_; }
  [[nodiscard]] GraphRuns& graphs() noexcept { return graphs_; }
  [[nodiscard]] GraphStatistics graph_statistics() const;
  [[nodiscard]] const CudaNumerics& numerics() const noexcept { return numerics_; }
  [[nodiscard]] HostInputs host_inputs() const noexcept { return host_inputs_; }
  [[nodiscard]] SessionMemory memory() const noexcept {
    return {.held_bytes = lanes_.held_bytes(), .peak_bytes = lanes_.peak_bytes()};
  }

  /// Finds out where inputs are that lie in host memory: those that the device can read it reads there.
  /// Others stay as they are with HostInputs::Refuse, so that the check of inputs refuses them. Host-only.
  /// Lifetime: until the next call.
  [[nodiscard]] PlacedInputs place(std::span<const TensorView> given, const model::InputRules& rules,
                                   HostInputs host_inputs);

  /// Copies what has to be copied. Stream-ordered on the call's stream; the host's memory may be changed when
  /// this has returned. The views hold until the next call. Errors: OutOfMemory, Cuda.
  [[nodiscard]] std::span<const TensorView> copy_inputs(const shim::CudaCall& call,
                                                        const PlacedInputs& placed);

  /// Gives the memory of copied inputs back to the lane, after the run that read them; that of which an
  /// output is a part it hands over to the output. True where there is such a one. Errors: OutOfMemory.
  [[nodiscard]] bool hand_over_copies(std::span<AtenTensorHandle> outputs);

 private:
  Lanes lanes_;
  GraphRuns graphs_;
  CudaNumerics numerics_;
  HostInputs host_inputs_;
  std::vector<TensorView> views_;
  std::vector<std::size_t> to_copy_;
  std::vector<StoragePtr> copies_;
};

/// Waits for a stream that a run was put on; then what graphs of callers used may go too. Blocking. Errors:
/// Cuda, with what failed in the run too.
void wait_for(cuda::StreamHandle stream, const std::string& what);

}  // namespace penstock::session
