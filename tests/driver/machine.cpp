#include "machine.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace penstock::recording {
namespace {

const char* variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// "primary:NAME" or "child:NAME", as penstock_recording_capture.
void read_capture(State& state) {
  const std::string capture = variable("PENSTOCK_RECORDING_CAPTURE");
  const std::size_t colon = capture.find(':');
  if (colon == std::string::npos) return;
  state.captured_as[capture.substr(colon + 1)] =
      capture.starts_with("primary:") ? CapturedAs::OfPrimary : CapturedAs::Child;
}

void read_variables(State& state) {
  Machine machine;
  if (const int devices = std::atoi(variable("PENSTOCK_RECORDING_GPUS")); devices > 0)
    machine.devices = devices;
  if (std::strcmp(variable("PENSTOCK_RECORDING_GPUS"), "0") == 0) machine.devices = 0;
  if (const int version = std::atoi(variable("PENSTOCK_RECORDING_VERSION")); version > 0) {
    machine.driver_version = version;
  }
  state.reset(machine);
  state.log_file = variable("PENSTOCK_RECORDING_LOG");
  state.kernel_ms = std::atof(variable("PENSTOCK_RECORDING_KERNEL_MS"));
  read_capture(state);
  static std::string function;
  const std::string fault = variable("PENSTOCK_RECORDING_FAIL");
  const std::size_t first = fault.find(':');
  const std::size_t second = fault.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) return;
  function = fault.substr(0, first);
  state.faults.push_back({.function = function == "*" ? nullptr : function.c_str(),
                          .nth = static_cast<unsigned>(std::atoi(fault.c_str() + first + 1)),
                          .result = std::atoi(fault.c_str() + second + 1)});
  state.fault_calls.push_back(0);
}

template <class Map, class Handle>
auto& find(Map& map, Handle* handle) {
  const auto found = map.find(handle);
  if (found == map.end()) throw Failure{kInvalidHandle};
  return *found->second;
}

}  // namespace

State& State::get() {
  static State& state = *[] {
    auto* made = new State;
    read_variables(*made);
    return made;
  }();
  return state;
}

void State::reset(const Machine& wanted) {
  ++generation;
  for (const auto& [address, each] : memory) std::free(reinterpret_cast<void*>(address));
  memory.clear();
  for (auto& [handle, stream] : streams) ended.push_back(std::move(stream));
  streams.clear();
  detached.clear();
  ended.clear();
  events.clear();
  functions.clear();
  modules.clear();
  executables.clear();
  graphs.clear();
  user_objects.clear();
  kernel_actions.clear();
  captured_as.clear();
  inner_graphs.clear();
  greens.clear();
  last_green.reset();
  green_contexts.clear();
  other_contexts.clear();
  primaries.clear();
  descriptions.clear();
  broken.clear();
  faults.clear();
  fault_calls.clear();
  calls = 0;
  next_green = next_stream = next_event = next_graph = 1;
  log_text.clear();
  violation_text.clear();
  machine = wanted;
  listener = nullptr;
  ends_waits = false;
}

Context& State::primary(int device) {
  std::unique_ptr<Context>& context = primaries[device];
  if (context == nullptr) {
    context = std::make_unique<Context>();
    context->device = device;
    for (unsigned sm = 0; sm < machine.sm_count; ++sm) context->sms.set(sm);
  }
  return *context;
}

Context& State::context_of(ContextHandle handle) {
  for (const auto& [device, context] : primaries) {
    if (static_cast<void*>(context.get()) == handle && context->retained > 0) return *context;
  }
  for (const auto& context : other_contexts) {
    if (static_cast<void*>(context.get()) == handle) return *context;
  }
  const auto found = green_contexts.find(handle);
  if (found == green_contexts.end()) throw Failure{kInvalidContext};
  return *found->second;
}

Context& State::current() {
  if (context_stack().empty() || context_stack().back() == nullptr) throw Failure{kInvalidContext};
  Context& context = context_of(reinterpret_cast<ContextHandle>(context_stack().back()));
  require_sound(context.device);
  return context;
}

Green& State::green_of(GreenContextHandle handle) { return find(greens, static_cast<void*>(handle)); }
Event& State::event_of(EventHandle handle) { return find(events, static_cast<void*>(handle)); }

Function& State::function_of(FunctionHandle handle) { return find(functions, static_cast<void*>(handle)); }

Graph& State::graph_of(GraphHandle handle) {
  for (const auto& [key, stream] : streams) {
    if (stream->capture == nullptr || stream->capture->graph == nullptr) continue;
    if (static_cast<void*>(stream->capture->graph.get()) == handle) return *stream->capture->graph;
  }
  if (const auto inner = inner_graphs.find(handle); inner != inner_graphs.end() && !inner->second.expired())
    return *inner->second.lock();
  const auto found = graphs.find(handle);
  if (found == graphs.end()) throw Failure{kInvalidValue};
  return *found->second;
}

Node& State::node_of(GraphNodeHandle handle) {
  const auto find_in = [&](Graph& graph) -> Node* {
    for (Node& node : graph.nodes) {
      if (static_cast<void*>(&node) == handle) return &node;
    }
    return nullptr;
  };
  for (const auto& [key, graph] : graphs) {
    if (Node* const node = find_in(*graph)) return *node;
  }
  for (const auto& [key, inner] : inner_graphs) {
    const std::shared_ptr<Graph> graph = inner.lock();
    if (graph == nullptr) continue;
    if (Node* const node = find_in(*graph)) return *node;
  }
  throw Failure{kInvalidValue};
}

Node& State::node_of(GraphNodeHandle handle, GraphNodeType type) {
  Node& node = node_of(handle);
  if (node.type != type) throw Failure{kInvalidValue};
  return node;
}

Stream& State::new_stream(Context& context, Stream::Kind kind, unsigned flags, int priority) {
  auto made = std::make_unique<Stream>();
  made->id = kind == Stream::Kind::Created ? next_stream++ : 0;
  made->kind = kind;
  made->context = &context;
  made->flags = flags;
  made->priority = priority;
  Stream& stream = *made;
  detached.erase(&stream);
  streams.emplace(&stream, std::move(made));
  return stream;
}

Stream& State::stream_of(StreamHandle handle) {
  const auto number = reinterpret_cast<std::uintptr_t>(handle);
  if (number == 0 || number == kLegacyStream) {
    Context& context = current();
    if (context.legacy == nullptr) context.legacy = &new_stream(context, Stream::Kind::Legacy, 0, 0);
    return *context.legacy;
  }
  if (number == kPerThreadStream) {
    Context& context = current();
    if (context.green) throw Failure{kInvalidHandle};
    Stream*& stream = context.per_thread[std::this_thread::get_id()];
    if (stream == nullptr) stream = &new_stream(context, Stream::Kind::PerThread, 0, 0);
    return *stream;
  }
  if (detached.contains(handle)) throw Failure{kContextIsDestroyed};
  Stream& stream = find(streams, static_cast<void*>(handle));
  require_sound(stream.context->device);
  return stream;
}

std::string State::name_of(const Context& context) const {
  const std::string size = " (" + std::to_string(context.sms.count()) + " SMs)";
  return (context.green ? "green#" + std::to_string(context.id) : "cuda:" + std::to_string(context.device)) +
         size;
}

unsigned State::number_of(const Context& context) const {
  constexpr unsigned kFirstGreen = 100;
  return context.green ? kFirstGreen + context.id : 1 + static_cast<unsigned>(context.device);
}

std::string State::name_of(const Stream& stream) const {
  std::string name = "stream#" + std::to_string(stream.id);
  if (stream.kind == Stream::Kind::Legacy) name = "legacy stream";
  if (stream.kind == Stream::Kind::PerThread) name = "per-thread stream";
  return name + " " + name_of(*stream.context);
}

void State::log(const std::string& line) {
  log_text += line + "\n";
  if (log_file.empty()) return;
  if (std::FILE* const file = std::fopen(log_file.c_str(), "a"); file != nullptr) {
    std::fputs((line + "\n").c_str(), file);
    std::fclose(file);
  }
}

void State::violate(const std::string& line) {
  violation_text += line + "\n";
  log("violation: " + line);
}

Result State::count_call(const char* name) {
  ++calls;
  Result result = kSuccess;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const Fault& fault = faults[i];
    if (fault.function != nullptr && std::strcmp(fault.function, name) != 0) continue;
    const unsigned count = ++fault_calls[i];
    if (count != fault.nth && !(fault.every && count % fault.nth == 0)) continue;
    result = fault.result;
    log(std::string(name) + " fails with " + std::to_string(result));
    if (fault.sticky) {
      for (int device = 0; device < machine.devices; ++device) broken[device] = result;
    }
  }
  return result;
}

void State::require_sound(int device) const {
  if (const auto found = broken.find(device); found != broken.end()) throw Failure{found->second};
}

std::pair<const std::uintptr_t, Memory>* State::find_memory(std::uintptr_t address) {
  auto next = memory.upper_bound(address);
  if (next == memory.begin()) return nullptr;
  --next;
  return address - next->first < next->second.bytes ? &*next : nullptr;
}

std::size_t State::device_bytes(int device) const {
  std::size_t bytes = 0;
  for (const auto& [address, each] : memory) {
    if (each.kind == Memory::Kind::Device && each.device == device) bytes += each.bytes;
  }
  return bytes;
}

std::vector<Context*>& context_stack() {
  thread_local std::vector<Context*> stack;
  thread_local unsigned generation = 0;
  if (generation != State::get().generation) {
    stack.clear();
    generation = State::get().generation;
  }
  return stack;
}

}  // namespace penstock::recording
