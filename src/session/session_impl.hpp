#pragma once

#include "cpu/op_state.hpp"
#include "model/model_impl.hpp"
#include "session/cuda_session.hpp"
#include "session/staging.hpp"
#include "tensor/memory_pool.hpp"

#include <penstock/session.hpp>

#include <memory>
#include <span>
#include <vector>

namespace penstock {

/// A run on CUDA, as it is asked for.
struct StreamRequest {
  cuda::StreamHandle stream = nullptr;  ///< Null: the legacy default stream.
  std::span<const TensorView> targets = {};
  HostInputs host_inputs = HostInputs::Refuse;
  Audit* audit = nullptr;  ///< Where what the run does is told, at its level; null: nowhere.
  /// Where the stream is being captured, the run is recorded into that graph. Otherwise that is an error.
  bool may_be_recorded = false;
  bool prepares = false;  ///< As GraphRun::prepares.
};

/// What a run is of, besides its inputs.
struct RunOfVersion {
  const model::Latitude& latitude;
  model::Container& weights;
};

struct Session::Impl {
  Impl(Model given, const SessionOptions& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  /// Checks, runs on the CPU, and leaves the results in `outputs` and `results`.
  void execute(std::span<const TensorView> given);

  /// Checks, puts a run on a stream, and leaves the results in `outputs` and `results`; copies them to the
  /// targets too, where there are any. Gives the stream that the work went to.
  cuda::StreamHandle execute_on(const StreamRequest& request, std::span<const TensorView> given);

  std::vector<Tensor> run(std::span<const TensorView> given, const RunOptions& options);
  std::vector<Tensor> enqueue(std::span<const TensorView> given, cuda::StreamHandle stream,
                              const RunOptions& options);
  void prepare(const PrepareOptions& options);
  Audit audit(std::span<const TensorView> given, cuda::StreamHandle stream, AuditLevel level);

  [[nodiscard]] bool is_on_cuda() const noexcept { return cuda != nullptr; }
  void require_cuda() const;

  Model model;
  int threads;
  model::VersionUse version;
  /// Null where the package has no objects and operators.
  std::unique_ptr<objects::ExecutorSession> objects;
  /// The version of the last run, where an output of it is a weight.
  std::shared_ptr<model::Container> version_of_outputs;
  tensor::MemoryPool pool;
  cpu::OpState operators;
  std::unique_ptr<session::CudaSession> cuda;  ///< Null on the CPU.
  /// Made when first needed.
  std::unique_ptr<session::Staging> staging;
  std::vector<AtenTensorHandle> inputs;
  std::vector<AtenTensorHandle> outputs;
  std::vector<TensorView> results;

 private:
  void drop_results() noexcept;
  /// Puts the model's calls where a call says, null for the CPU, and leaves the results in `outputs`.
  void run_model(std::span<const TensorView> given, const model::Latitude& latitude,
                 const shim::CudaCall* call, model::Container& container);
  /// The same on CUDA, by a captured graph where that is right.
  void run_on_cuda(const StreamRequest& request, std::span<const TensorView> given, const RunOfVersion& what,
                   session::LaneRun& run);
  /// Records a run into the graph that the stream is being captured into, instead of putting it there.
  void record_on(const StreamRequest& request, std::span<const TensorView> given);
  /// Takes up what has changed in objects, and gives their version.
  std::uint64_t begin_run_of_objects();
  /// Lets `results` show `outputs`.
  void show_results();
  void make_inputs(const model::InputRules& rules, std::span<const TensorView> given,
                   const session::Staging* staged);
  [[nodiscard]] std::vector<Tensor> keep_results();
};

}  // namespace penstock
