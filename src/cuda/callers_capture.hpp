#pragma once

#include "cuda/graph.hpp"
#include "cuda/used_on_device.hpp"

#include <memory>

namespace penstock::cuda {

/// True for a stream that is being captured, also where the capture has failed already. The default streams
/// never are. Errors: none; a stream that cannot be asked is none.
bool is_captured(StreamHandle stream) noexcept;

/// A capture that others have begun on a stream, and its graph.
/// Thread: one caller at a time. Lifetime: until the capture ends.
class CallersCapture {
 public:
  /// Errors: Cuda, also for a capture that has failed already.
  explicit CallersCapture(StreamHandle stream);

  /// Shares `used` with the graph and whatever is made of it. Errors: Cuda, OutOfMemory.
  void keep(std::shared_ptr<const UsedOnDevice> used) const;

  /// Puts all of `graph` behind what is captured on the stream, as one node. Errors: Cuda, and then the
  /// graph is as it was.
  void add(const Graph& graph) const;

 private:
  StreamHandle stream_;
  GraphHandle graph_ = nullptr;
};

}  // namespace penstock::cuda
