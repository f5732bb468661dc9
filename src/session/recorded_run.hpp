#pragma once

#include "cuda/callers_capture.hpp"
#include "model/model_impl.hpp"
#include "objects/executor.hpp"
#include "session/captured_run.hpp"
#include "session/graph_key.hpp"
#include "session/graph_memory.hpp"
#include "session/lanes.hpp"
#include "tensor/memory_pool.hpp"

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace penstock::session {

/// What a run of a session works in and uses once it is recorded into a caller's graph: lives as long as that
/// graph and the run's results, whatever becomes of the session.
class RecordedRun final : public cuda::UsedOnDevice {
 public:
  /// `version` and `objects` are what the run uses of the model. With its last share it is put by. Host-only.
  /// Errors: OutOfMemory.
  static std::shared_ptr<RecordedRun> make(std::shared_ptr<Model::Impl> model,
                                           std::shared_ptr<model::Container> version,
                                           std::vector<objects::ExecutorSession::Slot> objects);
  ~RecordedRun() override;

  [[nodiscard]] GraphMemory& memory() noexcept { return memory_; }
  [[nodiscard]] GraphHoldings& used() noexcept { return used_; }
  /// What the plans that the graph uses are of.
  void hold(std::shared_ptr<shim::CudaLaneState> operators) noexcept { operators_ = std::move(operators); }

 private:
  RecordedRun(std::shared_ptr<Model::Impl> model, std::shared_ptr<model::Container> version,
              std::vector<objects::ExecutorSession::Slot> objects);

  // Each goes before what it is of.
  std::shared_ptr<Model::Impl> model_;
  std::shared_ptr<model::Container> version_;
  std::vector<objects::ExecutorSession::Slot> objects_;
  std::shared_ptr<shim::CudaLaneState> operators_;
  GraphHoldings used_;
  tensor::MemoryPool pool_;
  GraphMemory memory_;
};

/// A run that is to be recorded into the graph that a caller captures.
struct RecordRequest {
  Lanes& lanes;
  cuda::StreamHandle stream;  ///< Which is being captured.
  std::span<const TensorView> inputs;
  GraphKey::Versions versions;
  bool storage_counts;  ///< As of GraphRun.
  CudaNumerics numerics;
  /// Puts the model's calls on the stream of a call, and leaves the results in `outputs`.
  const std::function<void(std::span<const TensorView>, const shim::CudaCall&)>& run_model;
  std::span<AtenTensorHandle> outputs;
};

/// Puts a run behind what is captured on the stream, as one node of that graph: nothing is executed, recorded
/// in an event or waited for. The results are in memory of `recorded`, and are there once the graph has run.
/// Host-only, but for memory that the driver has to give. Errors: InvalidArgument for a run that no run like
/// it, or `Session::prepare`, has gone before; Unsupported for one that cannot be captured; what the run
/// says; Cuda; OutOfMemory. The capture is as it was then.
void record_run(const RecordRequest& request, const std::shared_ptr<RecordedRun>& recorded);

}  // namespace penstock::session
