#include "machine.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace penstock::recording {
namespace {

/// The one kernel that is run: it writes down the SM of each of its blocks, which is what the stream's
/// resource says.
constexpr const char* kProbe = "penstock_sm_probe";

void run_probe(const Node& node) {
  std::vector<unsigned> sms;
  for (unsigned sm = 0; sm < kMostSms; ++sm) {
    if (node.sms.test(sm)) sms.push_back(sm);
  }
  DevicePointer out = 0;
  std::memcpy(&out, node.launch.parameters.data(), sizeof out);
  auto* const written = reinterpret_cast<unsigned*>(static_cast<std::uintptr_t>(out));
  for (unsigned block = 0; block < node.launch.grid[0]; ++block) written[block] = sms[block % sms.size()];
}

void* place_of(const MemcpySide& side) {
  return side.memory_type == kMemoryHost ? side.host
                                         : reinterpret_cast<void*>(static_cast<std::uintptr_t>(side.device));
}

void run_fill(const MemsetNodeParams& fill) {
  const auto to = static_cast<std::uintptr_t>(fill.to);
  switch (fill.element_bytes) {
    case 1: std::memset(reinterpret_cast<void*>(to), static_cast<int>(fill.value), fill.width); break;
    case 2:
      std::fill_n(reinterpret_cast<std::uint16_t*>(to), fill.width, static_cast<std::uint16_t>(fill.value));
      break;
    default: std::fill_n(reinterpret_cast<std::uint32_t*>(to), fill.width, fill.value);
  }
}

std::string bytes_text(std::size_t bytes) { return " " + std::to_string(bytes) + " bytes"; }

}  // namespace

std::string describe(const Program& program) {
  return "graph#" + std::to_string(program.graph) + " (" + std::to_string(program.nodes.size()) + " nodes)";
}

std::string describe(const Node& node) {
  const std::array<unsigned, 3>& grid = node.launch.grid;
  switch (node.type) {
    case kGraphKernel:
      return node.call + " " + node.launch.kernel + " grid " + std::to_string(grid[0]) + "x" +
             std::to_string(grid[1]) + "x" + std::to_string(grid[2]);
    case kGraphMemcpy: return node.call + bytes_text(node.copy.width_bytes);
    case kGraphMemset: return node.call + bytes_text(node.fill.width * node.fill.element_bytes);
    case kGraphChild: return node.call + " " + describe(*node.child);
    default: return node.call;
  }
}

void State::perform(const Node& node) {
  switch (node.type) {
    case kGraphKernel: run_kernel(node); break;
    case kGraphMemcpy:
      if (node.copy.width_bytes > 0)
        std::memmove(place_of(node.copy.to), place_of(node.copy.from), node.copy.width_bytes);
      break;
    case kGraphMemset: run_fill(node.fill); break;
    case kGraphHost: {
      const CallbackScope scope;
      node.host(node.host_data);
      break;
    }
    case kGraphChild: replay(*node.child); break;
    default: break;
  }
}

void State::run_kernel(const Node& node) {
  clock_ms += kernel_ms;
  const Launch& launch = node.launch;
  if (launch.kernel == kProbe && launch.parameters.size() >= sizeof(DevicePointer)) run_probe(node);
  const CallbackScope scope;
  for (const std::string& name : {launch.kernel, std::string()}) {
    const auto found = kernel_actions.find(name);
    if (found == kernel_actions.end()) continue;
    found->second({.name = launch.kernel.c_str(),
                   .grid = launch.grid,
                   .block = launch.block,
                   .shared_bytes = launch.shared_bytes,
                   .parameters = launch.parameters,
                   .resource = node.resource.c_str()});
  }
}

bool State::has_memory(const Node& node) {
  const auto holds = [&](DevicePointer at, std::size_t bytes) {
    const auto* const found = find_memory(static_cast<std::uintptr_t>(at));
    return bytes == 0 || (found != nullptr &&
                          bytes <= found->second.bytes - (static_cast<std::uintptr_t>(at) - found->first));
  };
  if (node.type == kGraphMemset) return holds(node.fill.to, node.fill.width * node.fill.element_bytes);
  if (node.type != kGraphMemcpy) return true;
  for (const MemcpySide* const side : {&node.copy.from, &node.copy.to}) {
    // What of host memory is not CUDA's nobody can tell.
    if (side->memory_type != kMemoryHost && !holds(side->device, node.copy.width_bytes)) return false;
  }
  return true;
}

void State::replay(const Program& program) {
  for (const Node& node : program.nodes) {
    const std::string text = describe(node) + " " + node.resource;
    log("replayed: " + text);
    if (has_memory(node)) {
      perform(node);
    } else {
      violate("replayed where its memory is gone: " + text);
    }
  }
}

bool& in_callback() {
  thread_local bool is = false;
  return is;
}

CallbackScope::CallbackScope() : before_(std::exchange(in_callback(), true)) {}

CallbackScope::~CallbackScope() { in_callback() = before_; }

}  // namespace penstock::recording
