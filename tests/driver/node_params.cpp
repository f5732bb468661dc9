#include "machine.hpp"

#include <algorithm>
#include <cstring>

using namespace penstock::recording;

namespace {

/// Of an executable graph the node that was made of one of its graph, to be changed: launches on their way
/// keep theirs.
Node& own_node(State& state, GraphExecHandle exec, GraphNodeHandle handle, GraphNodeType type) {
  const Node& source = state.node_of(handle, type);
  const auto found = state.executables.find(exec);
  if (found == state.executables.end()) throw Failure{kInvalidValue};
  std::shared_ptr<Program>& program = found->second->program;
  const auto place = std::find(program->sources.begin(), program->sources.end(), &source);
  if (place == program->sources.end()) throw Failure{kInvalidValue};
  const auto index = place - program->sources.begin();
  if (program.use_count() > 1) program = std::make_shared<Program>(*program);
  return program->nodes[static_cast<std::size_t>(index)];
}

bool is_context(const Node& node, const void* context) { return context == node.context; }

bool is_same_memory(const MemcpySide& a, const MemcpySide& b) {
  return a.memory_type == b.memory_type && b.array == nullptr && b.lod == 0 && b.x_bytes == 0 && b.y == 0 &&
         b.z == 0;
}

void log_change(State& state, const char* name, const Node& node) {
  state.log(std::string(name) + " " + describe(node) + " " + node.resource);
}

}  // namespace

PENSTOCK_DRIVER_API cuGraphNodeGetType(GraphNodeHandle handle, int* type) {
  return call("cuGraphNodeGetType", [&](State& state) -> Result {
    *type = state.node_of(handle).type;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphKernelNodeGetParams_v2(GraphNodeHandle handle, KernelNodeParams* params) {
  return call("cuGraphKernelNodeGetParams", [&](State& state) -> Result {
    Node& node = state.node_of(handle, kGraphKernel);
    Launch& launch = node.launch;
    *params = {.grid = launch.grid, .block = launch.block, .shared_bytes = launch.shared_bytes};
    params->context = reinterpret_cast<ContextHandle>(node.context);
    if (state.machine.nodes_name_kernels) {
      params->kernel = reinterpret_cast<KernelHandle>(launch.function);
    } else {
      params->function = reinterpret_cast<FunctionHandle>(launch.function);
    }
    if (launch.packed) {
      node.packed_bytes = launch.parameters.size();
      node.extra = packed_extra(launch.parameters.data(), &node.packed_bytes);
      params->extra = node.extra.data();
    } else if (!launch.parameters.empty()) {
      node.pointers.clear();
      for (const Parameter& each : *launch.layout) {
        node.pointers.push_back(launch.parameters.data() + each.offset);
      }
      params->parameters = node.pointers.data();
    }
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphMemcpyNodeGetParams(GraphNodeHandle handle, MemcpyNodeParams* params) {
  return call("cuGraphMemcpyNodeGetParams", [&](State& state) -> Result {
    *params = state.node_of(handle, kGraphMemcpy).copy;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphMemsetNodeGetParams(GraphNodeHandle handle, MemsetNodeParams* params) {
  return call("cuGraphMemsetNodeGetParams", [&](State& state) -> Result {
    *params = state.node_of(handle, kGraphMemset).fill;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphExecKernelNodeSetParams_v2(GraphExecHandle exec, GraphNodeHandle handle,
                                                      const KernelNodeParams* params) {
  return call("cuGraphExecKernelNodeSetParams", [&](State& state) -> Result {
    Node& node = own_node(state, exec, handle, kGraphKernel);
    // Measured of green contexts; for others the stand-in is as strict.
    if (!is_context(node, &state.current())) return kInvalidValue;
    if (params->context != nullptr && !is_context(node, params->context)) return kInvalidValue;
    Function& function = params->function != nullptr
                             ? state.function_of(params->function)
                             : state.function_of(reinterpret_cast<FunctionHandle>(params->kernel));
    if (function.module->device != node.context->device) return kInvalidValue;
    node.launch = make_launch(function, params->grid, params->block, params->shared_bytes);
    add_parameters(node.launch, params->parameters, params->extra);
    log_change(state, "cuGraphExecKernelNodeSetParams", node);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphExecMemcpyNodeSetParams(GraphExecHandle exec, GraphNodeHandle handle,
                                                   const MemcpyNodeParams* params, ContextHandle context) {
  return call("cuGraphExecMemcpyNodeSetParams", [&](State& state) -> Result {
    Node& node = own_node(state, exec, handle, kGraphMemcpy);
    const bool is_flat = params->width_bytes > 0 && params->height == 1 && params->depth == 1;
    Node changed = node;
    changed.copy = *params;
    if (!is_context(node, context) || !is_flat || !is_same_memory(node.copy.from, params->from) ||
        !is_same_memory(node.copy.to, params->to) || !state.has_memory(changed))
      return kInvalidValue;
    node.copy = *params;
    log_change(state, "cuGraphExecMemcpyNodeSetParams", node);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphExecMemsetNodeSetParams(GraphExecHandle exec, GraphNodeHandle handle,
                                                   const MemsetNodeParams* params, ContextHandle context) {
  return call("cuGraphExecMemsetNodeSetParams", [&](State& state) -> Result {
    Node& node = own_node(state, exec, handle, kGraphMemset);
    Node changed = node;
    changed.fill = *params;
    if (!is_context(node, context) || params->width == 0 || params->height != node.fill.height ||
        params->element_bytes != node.fill.element_bytes || !state.has_memory(changed))
      return kInvalidValue;
    node.fill = *params;
    log_change(state, "cuGraphExecMemsetNodeSetParams", node);
    return kSuccess;
  });
}
