#pragma once

#include "shim/cuda_call.hpp"

#include <functional>

namespace penstock::cuda_ops {

/// Finds out whether a library keeps to the stream that it is given. Some have streams of their own, which
/// are in no partition, and put kernels there between two events of that stream. By captures of which nothing
/// is executed, on another stream of the same resource. Thread: one call.
class StreamTrial {
 public:
  /// Errors: Cuda.
  explicit StreamTrial(const shim::CudaCall& call);
  ~StreamTrial();
  StreamTrial(const StreamTrial&) = delete;
  StreamTrial& operator=(const StreamTrial&) = delete;

  /// That work under trial has to be put on.
  [[nodiscard]] cuda::StreamHandle stream() const noexcept { return stream_; }
  /// True where `work` gives true, and all that it puts on the stream is one row of nodes; false also where
  /// it cannot be captured. Errors: those of `work`.
  [[nodiscard]] bool stays(const std::function<bool()>& work) const;

 private:
  cuda::StreamHandle stream_ = nullptr;
};

}  // namespace penstock::cuda_ops
