#pragma once

#include "cuda/execution_resource.hpp"
#include "cuda/graph.hpp"
#include "cuda/resource_stream.hpp"
#include "cuda/run_end.hpp"
#include "model/container.hpp"
#include "model/cuda_model.hpp"
#include "session/graph_cache.hpp"
#include "shim/cuda_call.hpp"
#include "tensor/memory_pool.hpp"

#include <penstock/graphs.hpp>
#include <penstock/session.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace penstock::session {

/// The mutable device state of a session for one execution resource. docs/streams.md says what is waited for.
/// Made with the device's context current; destroyed when its last run is done.
struct Lane {
  Lane(const cuda::ExecutionResource& of, const model::CudaModel& model);
  ~Lane();
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  cuda::ExecutionResource resource;
  unsigned long long green_id = 0;  ///< Tells its green context from a later one with the same handle.
  unsigned sm_count = 0;
  std::uint64_t last_use = 0;   ///< By `Lanes::uses_`.
  cuda::ContextHandle context;  ///< Of the resource: a green context's own.
  std::shared_ptr<const cuda::PrimaryContext> primary;
  std::shared_ptr<cuda::RunEnd> done;  ///< Recorded at the end of each run.
  tensor::MemoryPool pool;
  std::shared_ptr<shim::CudaLaneState> operators;  ///< Also of runs that graphs of callers hold.
  GraphCache graphs;
  shim::KeptByObjects kept;
  tensor::Storage* seen = nullptr;            ///< What is filled behind replays; made when first needed.
  std::uint64_t weights = 0;                  ///< The version that knows of `done`.
  cuda::StreamHandle last = nullptr;          ///< Of the last run. Only compared: it may be gone.
  unsigned long long last_id = 0;             ///< Tells it from a later one at the same address.
  std::unique_ptr<cuda::ResourceStream> own;  ///< For callers on the default stream; made when first needed.
  cuda::EventHandle caller_done = nullptr;    ///< Of those: what they had put on it before.
};

/// All lanes of a session. Thread: one caller at a time.
class Lanes {
 public:
  Lanes(std::shared_ptr<model::CudaModel> model, std::size_t most);
  ~Lanes();
  Lanes(const Lanes&) = delete;
  Lanes& operator=(const Lanes&) = delete;

  [[nodiscard]] const model::CudaModel& model() const noexcept { return *model_; }
  [[nodiscard]] std::uint64_t held_bytes() const noexcept;
  [[nodiscard]] std::uint64_t peak_bytes() const noexcept;
  [[nodiscard]] std::size_t count() const noexcept { return lanes_.size(); }
  /// Adds what the lanes know of captured runs.
  void add_graphs(GraphStatistics& statistics) const noexcept;
  /// Gives back device memory that no run and no output uses, and captured runs. Waits for the last runs.
  /// Errors: none.
  void release_unused() noexcept;

  /// The lane of a resource, which counts as used; null where there is none. Errors: Cuda.
  [[nodiscard]] Lane* find(const cuda::ExecutionResource& resource);
  /// For a call into the library on a lane: all but the stream.
  [[nodiscard]] shim::CudaCall call_of(Lane& lane) const noexcept;
  /// A stream of the lane's resource, made when first needed. Errors: Cuda.
  [[nodiscard]] cuda::StreamHandle own_stream(Lane& lane) const;

  StreamWaits waits;

 private:
  friend class LaneRun;
  [[nodiscard]] Lane& lane_of(const cuda::ExecutionResource& resource);
  void make_room(const cuda::ExecutionResource& resource);

  std::shared_ptr<model::CudaModel> model_;
  std::size_t most_;
  std::uint64_t uses_ = 0;
  std::uint64_t dropped_graphs_ = 0;  ///< With their lanes.
  std::vector<std::unique_ptr<Lane>> lanes_;
};

/// One run on a stream: from the waits before it to the events behind it, with the device's context current,
/// and without regard to captures of other streams, which go on.
class LaneRun {
 public:
  /// Of a stream that is not being captured. Stream-ordered. Errors: InvalidArgument (a stream that cannot be
  /// used, the legacy default stream while a stream that it waits for is captured); Cuda; OutOfMemory.
  LaneRun(Lanes& lanes, cuda::StreamHandle stream);
  ~LaneRun();
  LaneRun(const LaneRun&) = delete;
  LaneRun& operator=(const LaneRun&) = delete;

  /// Tells a version of the weights, by its number, that the run reads it: it stays until the run is done.
  /// Before anything is put on the stream. Errors: OutOfMemory.
  void use(model::Container& weights, std::uint64_t number);

  /// For the call into the library.
  [[nodiscard]] shim::CudaCall& call() noexcept { return call_; }
  /// The stream that the work goes to: the caller's, or the lane's own.
  [[nodiscard]] cuda::StreamHandle stream() const noexcept { return call_.stream; }
  [[nodiscard]] const Lane& lane() const noexcept { return *lane_; }
  [[nodiscard]] GraphCache& graphs() noexcept { return lane_->graphs; }
  [[nodiscard]] const std::shared_ptr<const cuda::PrimaryContext>& context() const noexcept {
    return lanes_.model_->context();
  }

  /// A stream of the lane's resource to capture on: nothing is put on it. Errors: Cuda.
  [[nodiscard]] cuda::StreamHandle capture_stream() { return lanes_.own_stream(*lane_); }

  /// Puts a fill of 4 bytes behind a replay on a stream of a green context: the device's own synchronization
  /// waits for that, and for a graph alone it does not. Stream-ordered. Errors: Cuda, OutOfMemory.
  void be_seen_by_device_sync();

  /// Ends the run: the caller's stream goes on after it. Errors: Cuda. Without it the destructor does, and
  /// reports to the log.
  void finish();

 private:
  [[nodiscard]] std::uint64_t take_own_stream();
  void require_default_stream() const;
  void wait_for_last(unsigned long long id);

  Lanes& lanes_;
  Lane* lane_;
  cuda::StreamHandle callers_;           ///< As given.
  cuda::ContextHandle callers_context_;  ///< Whose default stream that is.
  bool is_default_;
  bool finished_ = false;
  std::optional<cuda::CaptureModeScope> mode_;
  std::optional<cuda::ContextScope> context_;
  shim::CudaCall call_;
};

}  // namespace penstock::session
