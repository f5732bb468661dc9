#include "machine.hpp"

#include <algorithm>

using namespace penstock::recording;

namespace {

Executable& executable_of(State& state, GraphExecHandle handle) {
  const auto found = state.executables.find(handle);
  if (found == state.executables.end()) throw Failure{kInvalidValue};
  return *found->second;
}

bool is_alive(State& state, const Node& node) {
  try {
    return state.name_of(state.context_of(reinterpret_cast<ContextHandle>(node.context))) == node.resource;
  } catch (const Failure&) {
    return false;
  }
}

/// Throws Failure, and notes the violation, where a node could not run any more.
void require_runnable(State& state, const Program& program) {
  for (const Node& node : program.nodes) {
    if (!is_alive(state, node)) {
      state.violate("cuGraphLaunch " + describe(program) + " of " + node.resource + ", which is gone");
      throw Failure{kInvalidContext};
    }
    state.require_sound(node.context->device);
    if (node.type == kGraphKernel && !state.functions.contains(node.launch.function)) {
      state.violate("cuGraphLaunch " + describe(program) + " of " + node.launch.kernel +
                    ", which is unloaded");
      throw Failure{kInvalidHandle};
    }
    if (node.child != nullptr) require_runnable(state, *node.child);
  }
}

}  // namespace

PENSTOCK_DRIVER_API cuGraphDestroy(GraphHandle handle) {
  const auto body = [&](State& state) -> Result {
    const auto found = state.graphs.find(handle);
    if (found == state.graphs.end()) return kInvalidValue;
    state.log("cuGraphDestroy graph#" + std::to_string(found->second->id));
    state.graphs.erase(found);
    return kSuccess;
  };
  return call("cuGraphDestroy", body, true);
}

PENSTOCK_DRIVER_API cuGraphGetNodes(GraphHandle handle, GraphNodeHandle* nodes, std::size_t* count) {
  return call("cuGraphGetNodes", [&](State& state) -> Result {
    Graph& graph = state.graph_of(handle);
    if (count == nullptr) return kInvalidValue;
    const std::size_t room = nodes == nullptr ? 0 : *count;
    std::fill_n(nodes, room, nullptr);
    std::size_t given = 0;
    for (Node& node : graph.nodes) {
      if (given == room) break;
      nodes[given++] = reinterpret_cast<GraphNodeHandle>(&node);
    }
    *count = nodes == nullptr ? graph.nodes.size() : given;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphChildGraphNodeGetGraph(GraphNodeHandle handle, GraphHandle* graph) {
  return call("cuGraphChildGraphNodeGetGraph", [&](State& state) -> Result {
    Node& node = state.node_of(handle, kGraphChild);
    if (node.inner == nullptr) {
      node.inner = std::make_shared<Graph>();
      node.inner->id = node.child->graph;
      node.inner->nodes.assign(node.child->nodes.begin(), node.child->nodes.end());
      state.inner_graphs[node.inner.get()] = node.inner;
    }
    *graph = reinterpret_cast<GraphHandle>(node.inner.get());
    return kSuccess;
  });
}

/// To a graph that is being captured, behind all that it has.
PENSTOCK_DRIVER_API cuGraphAddChildGraphNode(GraphNodeHandle* node, GraphHandle handle,
                                             const GraphNodeHandle* dependencies, std::size_t count,
                                             GraphHandle child_handle) {
  return call("cuGraphAddChildGraphNode", [&](State& state) -> Result {
    Graph& graph = state.graph_of(handle);
    const Graph& child = state.graph_of(child_handle);
    const auto origin = std::find_if(state.streams.begin(), state.streams.end(), [&](const auto& each) {
      return each.second->capture != nullptr && each.second->capture->graph.get() == &graph;
    });
    if (origin == state.streams.end() || count != (graph.nodes.empty() ? 0U : 1U)) return kNotSupported;
    Stream& stream = *origin->second;
    if (stream.capture->invalidated) return kInvalidValue;
    if (count == 1 && dependencies[0] != reinterpret_cast<GraphNodeHandle>(&graph.nodes.back()))
      return kNotSupported;
    auto program = std::make_shared<Program>();
    program->graph = child.id;
    program->nodes.assign(child.nodes.begin(), child.nodes.end());
    Node outer{.type = kGraphChild, .call = "cuGraphAddChildGraphNode", .stream = &stream};
    outer.context = stream.context;
    outer.resource = state.name_of(*stream.context);
    outer.sms = stream.context->sms;
    outer.child = std::move(program);
    state.log("captured: " + describe(outer) + " " + state.name_of(stream));
    graph.nodes.push_back(std::move(outer));
    stream.capture->loose = true;
    *node = reinterpret_cast<GraphNodeHandle>(&graph.nodes.back());
    return kSuccess;
  });
}

/// Of a node that was added last to a graph that is being captured.
PENSTOCK_DRIVER_API cuGraphDestroyNode(GraphNodeHandle handle) {
  const auto body = [&](State& state) -> Result {
    for (const auto& [key, stream] : state.streams) {
      if (stream->capture == nullptr || !stream->capture->loose) continue;
      std::list<Node>& nodes = stream->capture->graph->nodes;
      if (reinterpret_cast<GraphNodeHandle>(&nodes.back()) != handle) continue;
      nodes.pop_back();
      stream->capture->loose = false;
      return kSuccess;
    }
    return kInvalidValue;
  };
  return call("cuGraphDestroyNode", body, true);
}

/// Of captures of one stream, which are one row of nodes. Which nodes of several streams come after which is
/// not written down.
PENSTOCK_DRIVER_API cuGraphGetEdges(GraphHandle handle, GraphNodeHandle* from, GraphNodeHandle* to,
                                    std::size_t* count) {
  return call("cuGraphGetEdges", [&](State& state) -> Result {
    Graph& graph = state.graph_of(handle);
    if (count == nullptr || (from == nullptr) != (to == nullptr)) return kInvalidValue;
    for (const Node& node : graph.nodes) {
      if (node.stream != graph.nodes.front().stream) return kNotSupported;
    }
    const std::size_t edges = graph.nodes.empty() ? 0 : graph.nodes.size() - 1;
    const std::size_t given = from == nullptr ? edges : std::min(*count, edges);
    if (from != nullptr) {
      auto node = graph.nodes.begin();
      for (std::size_t i = 0; i < given; ++i) {
        from[i] = reinterpret_cast<GraphNodeHandle>(&*node);
        to[i] = reinterpret_cast<GraphNodeHandle>(&*++node);
      }
    }
    *count = given;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphInstantiateWithFlags(GraphExecHandle* exec, GraphHandle handle,
                                                unsigned long long flags) {
  return call("cuGraphInstantiateWithFlags", [&](State& state) -> Result {
    constexpr unsigned long long kKnownFlags = 15;
    const Graph& graph = state.graph_of(handle);
    if (flags > kKnownFlags || state.graphs.count(handle) == 0) return kInvalidValue;
    auto program = std::make_shared<Program>();
    program->graph = graph.id;
    program->nodes.assign(graph.nodes.begin(), graph.nodes.end());
    for (const Node& node : graph.nodes) {
      state.require_sound(node.context->device);
      program->sources.push_back(&node);
    }
    program->objects = graph.objects;
    state.log("cuGraphInstantiateWithFlags " + describe(*program));
    auto made = std::make_unique<Executable>(Executable{std::move(program), nullptr});
    *exec = reinterpret_cast<GraphExecHandle>(made.get());
    Executable* const key = made.get();
    state.executables.emplace(key, std::move(made));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphExecDestroy(GraphExecHandle handle) {
  const auto body = [&](State& state) -> Result {
    state.log("cuGraphExecDestroy " + describe(*executable_of(state, handle).program));
    state.executables.erase(handle);
    return kSuccess;
  };
  return call("cuGraphExecDestroy", body, true);
}

PENSTOCK_DRIVER_API cuGraphUpload(GraphExecHandle handle, StreamHandle stream_handle) {
  return call("cuGraphUpload", [&](State& state) -> Result {
    const Executable& executable = executable_of(state, handle);
    Stream& stream = state.stream_of(stream_handle);
    if (stream.capture != nullptr) {
      stream.capture->invalidated = true;
      return kStreamCaptureUnsupported;
    }
    const auto previous = executable.last_is_done;
    state.put(stream, "cuGraphUpload " + describe(*executable.program),
              {.ready = [previous] { return previous == nullptr || *previous; }});
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphLaunch(GraphExecHandle handle, StreamHandle stream_handle) {
  return call("cuGraphLaunch", [&](State& state) -> Result {
    Executable& executable = executable_of(state, handle);
    Stream& stream = state.stream_of(stream_handle);
    require_runnable(state, *executable.program);
    if (stream.capture != nullptr) {
      state.submit(stream, {.type = kGraphChild, .call = "cuGraphLaunch", .child = executable.program});
      return kSuccess;
    }
    const auto previous = executable.last_is_done;
    const auto done = std::make_shared<bool>(false);
    Operation operation{.kind = Operation::Kind::Graph};
    operation.ready = [previous] { return previous == nullptr || *previous; };
    operation.act = [&state, program = executable.program, done] {
      state.replay(*program);
      *done = true;
    };
    const std::string text = "cuGraphLaunch " + describe(*executable.program);
    executable.last_is_done = done;
    state.put(stream, text, std::move(operation));
    return kSuccess;
  });
}
