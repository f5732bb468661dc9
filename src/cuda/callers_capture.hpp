#pragma once

#include "cuda/graph.hpp"

#include <memory>

namespace penstock::cuda {

/// True for a stream that is being captured, also where the capture has failed already. The default streams
/// never are. Errors: none; a stream that cannot be asked is none.
bool is_captured(StreamHandle stream) noexcept;

/// What a graph of a caller uses. It is let go of where the driver allows no call (it tells of a graph's end
/// on a thread of its own), within a capture, or where nothing may be waited for: so it goes later.
class UsedByGraph {
 public:
  UsedByGraph() = default;
  virtual ~UsedByGraph() = default;
  UsedByGraph(const UsedByGraph&) = delete;
  UsedByGraph& operator=(const UsedByGraph&) = delete;

  /// For the pointer that shares it: with the last share it is put by until `let_go_of_used`. Errors: none.
  static void put_by(UsedByGraph* used) noexcept;

 private:
  friend void let_go_of_used() noexcept;
  UsedByGraph* next_ = nullptr;
};

/// Lets go of what was put by. May wait for work of the device, as what is let go of may have memory there.
/// Thread: thread-safe. Errors: none.
void let_go_of_used() noexcept;

/// A capture that others have begun on a stream, and its graph.
/// Thread: one caller at a time. Lifetime: until the capture ends.
class CallersCapture {
 public:
  /// Errors: Cuda, also for a capture that has failed already.
  explicit CallersCapture(StreamHandle stream);

  /// Shares `used` with the graph and whatever is made of it. Errors: Cuda, OutOfMemory.
  void keep(std::shared_ptr<const UsedByGraph> used) const;

  /// Puts all of `graph` behind what is captured on the stream, as one node. Errors: Cuda, and then the
  /// graph is as it was.
  void add(const Graph& graph) const;

 private:
  StreamHandle stream_;
  GraphHandle graph_ = nullptr;
};

}  // namespace penstock::cuda
