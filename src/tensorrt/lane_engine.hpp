#pragma once

#include "shim/cuda_call.hpp"
#include "tensor/storage.hpp"
#include "tensor/tensor_object.hpp"
#include "tensorrt/engine_impl.hpp"
#include "tensorrt/execution_context.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace penstock::tensorrt {

/// An event that is made when it is first needed. Thread: one caller at a time.
class LazyEvent {
 public:
  explicit LazyEvent(std::shared_ptr<const cuda::PrimaryContext> context) noexcept
      : context_(std::move(context)) {}
  ~LazyEvent();
  LazyEvent(const LazyEvent&) = delete;
  LazyEvent& operator=(const LazyEvent&) = delete;

  /// Stream-ordered, both. Errors: Cuda.
  void record(cuda::StreamHandle stream);
  void let_wait(cuda::StreamHandle stream) const;
  /// True where all is done that came before it was recorded.
  [[nodiscard]] bool is_done() const noexcept;

 private:
  std::shared_ptr<const cuda::PrimaryContext> context_;
  cuda::EventHandle handle_ = nullptr;
};

/// An output that TensorRT has allocated while it runs.
struct AllocatedOutput {
  tensor::Storage* storage = nullptr;  ///< Of `held`.
  std::byte* data = nullptr;
  std::optional<std::vector<std::int64_t>> sizes;
};

/// What is of one run, by input or output.
struct RunScratch {
  std::vector<EngineInput> inputs;
  std::vector<tensor::TensorObjectPtr> copies;
  std::vector<tensor::Storage*> held;  ///< Until all is on the stream, after which others may have it.
  std::vector<std::optional<AllocatedOutput>> allocated;
};

/// What one lane of a session has of an engine: contexts, auxiliary streams, and what its own stream is
/// joined with. Destroyed when the last run of the lane is done. Thread: one caller at a time.
class LaneEngine {
 public:
  explicit LaneEngine(std::shared_ptr<const cuda::PrimaryContext> context);

  /// Takes up what runs are to use. To be called at the start of each. Errors: Cuda.
  void begin(const TensorRTEngineState& state, const shim::CudaCall& call);

  /// The profile to run with; in a capture that of the run before with these sizes. Errors: InvalidArgument
  /// where the sizes fit none that may be taken, with what they are and what each takes.
  [[nodiscard]] int choose_profile(std::span<const EngineInput> inputs, const shim::CudaCall& call) const;

  /// A context of that profile and these sizes: one that has them, else one that is free, else a new one.
  /// Errors: as ExecutionContext; Unsupported within a capture where there is none that has run with them.
  [[nodiscard]] std::shared_ptr<ExecutionContext> context_for(int profile,
                                                              std::span<const EngineInput> inputs,
                                                              const shim::CudaCall& call);

  /// The stream that the engine runs on, which from now on waits for the run's. Stream-ordered. Errors: Cuda.
  [[nodiscard]] cuda::StreamHandle fork(const shim::CudaCall& call);
  /// The run's stream goes on after the engine's. Stream-ordered. Errors: Cuda.
  void join(const shim::CudaCall& call, cuda::StreamHandle engine_stream);
  /// The same, and after the auxiliary streams, which an engine that failed may not have joined.
  void join_all(const shim::CudaCall& call, cuda::StreamHandle engine_stream);

  /// What a run works with, whose memory the next one uses again.
  [[nodiscard]] RunScratch& scratch() noexcept { return scratch_; }

  /// An output of one of the calls that a model makes of the engine.
  using OutputOfCall = std::pair<const void*, std::size_t>;
  /// Memory that an output has at each run, of at least as many bytes; of the run's allocator, but kept.
  [[nodiscard]] tensor::Storage* reused_output(OutputOfCall output, std::size_t bytes,
                                               tensor::Allocator& pool);

 private:
  struct StorageDropper {
    void operator()(tensor::Storage* storage) const noexcept { storage->drop(); }
  };
  struct Retired;
  void retire(const shim::CudaCall& call, bool with_contexts);
  void make_streams(const shim::CudaCall& call);

  std::shared_ptr<const cuda::PrimaryContext> primary_;
  TensorRTEngineState state_;
  std::shared_ptr<AuxStreams> aux_;
  std::unique_ptr<cuda::ResourceStream> side_;  ///< Of the resource of the engine's own stream, for captures.
  LazyEvent forked_;
  LazyEvent joined_;
  std::vector<std::shared_ptr<ExecutionContext>> contexts_;  ///< That used last comes first.
  std::map<OutputOfCall, std::unique_ptr<tensor::Storage, StorageDropper>> reused_;
  RunScratch scratch_;
  int profile_ = 0;  ///< Of the last run.
};

}  // namespace penstock::tensorrt
