#pragma once

#include "cuda/context.hpp"

#include <memory>
#include <vector>

namespace penstock::cuda {

/// All nodes of a graph, in an order that is the same for captures of the same calls. Errors: Cuda.
std::vector<GraphNodeHandle> nodes_of(GraphHandle graph);

/// The graph that a node of kGraphChild is. Lifetime: that of the node's own graph. Errors: Cuda.
GraphHandle child_graph_of(GraphNodeHandle node);

/// A CUDA graph: work that was captured, to be launched as often as one likes once it is instantiated.
/// Thread: one caller at a time.
class Graph {
 public:
  Graph() = default;
  /// Takes the graph. `context` is the primary one of its device.
  Graph(GraphHandle graph, std::shared_ptr<const PrimaryContext> context) noexcept;
  ~Graph();
  Graph(Graph&& other) noexcept;
  Graph& operator=(Graph&& other) noexcept;

  [[nodiscard]] GraphHandle handle() const noexcept { return graph_; }
  /// As nodes_of.
  [[nodiscard]] std::vector<GraphNodeHandle> nodes() const { return nodes_of(graph_); }

 private:
  GraphHandle graph_ = nullptr;
  std::shared_ptr<const PrimaryContext> context_;
};

/// A graph made ready to be launched. Launches of one run one after the other, on whatever streams.
/// Thread: one caller at a time. Lifetime: may go while a launch of it is still to be done.
class GraphExec {
 public:
  GraphExec() = default;
  /// Blocking. Errors: Cuda, OutOfMemory.
  GraphExec(const Graph& graph, std::shared_ptr<const PrimaryContext> context);
  ~GraphExec();
  GraphExec(GraphExec&& other) noexcept;
  GraphExec& operator=(GraphExec&& other) noexcept;

  [[nodiscard]] GraphExecHandle handle() const noexcept { return exec_; }
  /// Stream-ordered. Errors: Cuda.
  void launch(StreamHandle stream) const;

 private:
  GraphExecHandle exec_ = nullptr;
  std::shared_ptr<const PrimaryContext> context_;
};

/// A capture of what this thread puts on a stream, from here to `end` or the end of the scope. Other threads
/// are not disturbed; calls of this one that could be wrong in a graph fail and end the capture.
class CaptureScope {
 public:
  /// Errors: Cuda.
  CaptureScope(StreamHandle stream, std::shared_ptr<const PrimaryContext> context);
  ~CaptureScope();
  CaptureScope(const CaptureScope&) = delete;
  CaptureScope& operator=(const CaptureScope&) = delete;

  /// What was captured. Errors: Cuda, where a call has ended the capture.
  [[nodiscard]] Graph end();

 private:
  StreamHandle stream_;
  std::shared_ptr<const PrimaryContext> context_;
  bool is_on_ = true;
};

/// How captures that are on and calls of this thread get on with each other, until the end of the scope:
/// thread-local, those of other threads are no concern of this one; relaxed, neither are its own.
class CaptureModeScope {
 public:
  /// Errors: none; where the driver refuses, the calls that follow will say so.
  explicit CaptureModeScope(CaptureMode mode) noexcept;
  ~CaptureModeScope();
  /// False where the driver refused.
  [[nodiscard]] bool is_set() const noexcept { return is_set_; }
  CaptureModeScope(const CaptureModeScope&) = delete;
  CaptureModeScope& operator=(const CaptureModeScope&) = delete;

 private:
  int before_;
  bool is_set_;
};

}  // namespace penstock::cuda
