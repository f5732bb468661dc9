#include "cuda/graph.hpp"

#include "cuda/driver.hpp"

#include <utility>

namespace penstock::cuda {

Graph::Graph(GraphHandle graph, std::shared_ptr<const PrimaryContext> context) noexcept
    : graph_(graph), context_(std::move(context)) {}

Graph::~Graph() {
  if (graph_ == nullptr) return;
  release(*context_, "cuGraphDestroy", "a captured run",
          [&](const Driver& driver) { return driver.graph_destroy(graph_); });
}

Graph::Graph(Graph&& other) noexcept
    : graph_(std::exchange(other.graph_, nullptr)), context_(std::move(other.context_)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(graph_, other.graph_);
  std::swap(context_, other.context_);
  return *this;
}

std::vector<GraphNodeHandle> nodes_of(GraphHandle graph) {
  std::size_t count = 0;
  check(driver().graph_get_nodes(graph, nullptr, &count), "cuGraphGetNodes", "a captured run");
  std::vector<GraphNodeHandle> nodes(count);
  if (count != 0)
    check(driver().graph_get_nodes(graph, nodes.data(), &count), "cuGraphGetNodes", "a captured run");
  nodes.resize(count);
  return nodes;
}

GraphHandle child_graph_of(GraphNodeHandle node) {
  GraphHandle graph = nullptr;
  check(driver().graph_child_graph_node_get_graph(node, &graph), "cuGraphChildGraphNodeGetGraph",
        "a captured run");
  return graph;
}

GraphExec::GraphExec(const Graph& graph, std::shared_ptr<const PrimaryContext> context)
    : context_(std::move(context)) {
  check(driver().graph_instantiate(&exec_, graph.handle(), 0), "cuGraphInstantiate", "a captured run");
}

GraphExec::~GraphExec() {
  if (exec_ == nullptr) return;
  release(*context_, "cuGraphExecDestroy", "a captured run",
          [&](const Driver& driver) { return driver.graph_exec_destroy(exec_); });
}

GraphExec::GraphExec(GraphExec&& other) noexcept
    : exec_(std::exchange(other.exec_, nullptr)), context_(std::move(other.context_)) {}

GraphExec& GraphExec::operator=(GraphExec&& other) noexcept {
  std::swap(exec_, other.exec_);
  std::swap(context_, other.context_);
  return *this;
}

void GraphExec::launch(StreamHandle stream) const {
  check(driver().graph_launch(exec_, stream), "cuGraphLaunch", "a captured run");
}

CaptureScope::CaptureScope(StreamHandle stream, std::shared_ptr<const PrimaryContext> context)
    : stream_(stream), context_(std::move(context)) {
  check(driver().stream_begin_capture(stream, kCaptureThreadLocal), "cuStreamBeginCapture",
        "the stream of a session");
}

CaptureScope::~CaptureScope() {
  if (!is_on_) return;
  GraphHandle graph = nullptr;
  // Of a capture that failed there may be none.
  driver().stream_end_capture(stream_, &graph);
  const Graph dropped(graph, context_);
}

Graph CaptureScope::end() {
  is_on_ = false;
  GraphHandle graph = nullptr;
  check(driver().stream_end_capture(stream_, &graph), "cuStreamEndCapture", "the stream of a session");
  return {graph, context_};
}

CaptureModeScope::CaptureModeScope(CaptureMode mode) noexcept
    : before_(mode),
      is_set_(may_call_driver() && has_driver() &&
              opened_driver().table.thread_exchange_stream_capture_mode(&before_) == kSuccess) {}

CaptureModeScope::~CaptureModeScope() {
  if (is_set_) opened_driver().table.thread_exchange_stream_capture_mode(&before_);
}

}  // namespace penstock::cuda
