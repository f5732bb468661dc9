#pragma once

#include "cuda_ops/cublaslt_abi.hpp"
#include "cuda_ops/cudnn_abi.hpp"
#include "cuda_ops/random.hpp"
#include "shim/cuda_call.hpp"

#include <cstdint>
#include <memory>

namespace penstock::cuda_ops {

/// What the operators of one lane keep: handles of libraries and plans. It holds no device memory: workspaces
/// come from the pool of the call. Thread: one caller at a time.
class LaneState final : public shim::CudaLaneState {
 public:
  LaneState();
  ~LaneState() override;
  LaneState(const LaneState&) = delete;
  LaneState& operator=(const LaneState&) = delete;

  [[nodiscard]] std::uint64_t held_bytes() const noexcept override { return 0; }

  /// Made in the current context at the first call. Errors: NotFound as `cublaslt_functions`; Cuda.
  cublaslt::Handle cublaslt();
  /// The same, set to the call's stream.
  cudnn::Handle cudnn(const shim::CudaCall& call);

  /// All plans that were made. They go before the handles do.
  struct Plans;
  [[nodiscard]] Plans& plans() noexcept { return *plans_; }

  /// Of the whole device that is current. Errors: Cuda.
  unsigned device_sm_count();

  /// Of the lane's random numbers.
  RandomSequence& random() noexcept { return random_; }

 private:
  cublaslt::Handle cublaslt_ = nullptr;
  cudnn::Handle cudnn_ = nullptr;
  cuda::StreamHandle cudnn_stream_ = nullptr;
  bool has_cudnn_stream_ = false;
  unsigned sm_count_ = 0;
  std::unique_ptr<Plans> plans_;
  RandomSequence random_;
};

/// The state of the call's lane, or of the load.
inline LaneState& lane_of(const shim::CudaCall& call) noexcept { return *static_cast<LaneState*>(call.lane); }

/// Device memory of the call's pool until the end of the scope: later work on the stream may get it again.
class Workspace {
 public:
  /// Errors: OutOfMemory.
  Workspace(const shim::CudaCall& call, std::size_t bytes, std::size_t alignment = 256);
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  /// Null for 0 bytes.
  [[nodiscard]] void* data() const noexcept { return data_; }

 private:
  tensor::Storage* storage_ = nullptr;
  void* data_ = nullptr;
};

}  // namespace penstock::cuda_ops
