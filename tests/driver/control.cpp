#include "machine.hpp"

#include <cstdlib>

using namespace penstock::recording;

namespace {

const char* keep_text(const std::string& text) {
  thread_local std::string kept;
  kept = text;
  return kept.c_str();
}

/// A default stream is that of the thread's context.
Stream* find_stream(State& state, void* handle) {
  try {
    return &state.stream_of(static_cast<StreamHandle>(handle));
  } catch (const Failure&) {
    return nullptr;
  }
}

}  // namespace

void penstock_recording_reset(const Machine& machine) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.reset(machine);
}

const char* penstock_recording_log() {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  return keep_text(state.log_text);
}

void penstock_recording_clear_log() {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.log_text.clear();
}

bool penstock_recording_hold(void* handle) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  Stream* const stream = find_stream(state, handle);
  if (stream == nullptr) return false;
  stream->held = true;
  return true;
}

bool penstock_recording_let_go(void* handle) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  Stream* const stream = find_stream(state, handle);
  if (stream == nullptr) return false;
  stream->held = false;
  state.run();
  return true;
}

void penstock_recording_end_waits(bool ends) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.ends_waits = ends;
}

void* penstock_recording_stream_of_other_context(int device) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  if (device < 0 || device >= state.machine.devices) return nullptr;
  auto context = std::make_unique<Context>();
  context->device = device;
  context->other = true;
  context->sms = state.primary(device).sms;
  Stream& stream = state.new_stream(*context, Stream::Kind::PerThread, kStreamNonBlocking, 0);
  state.other_contexts.push_back(std::move(context));
  return &stream;
}

bool penstock_recording_device_waits_for(void* handle) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  const Stream* const stream = find_stream(state, handle);
  return stream != nullptr && !(stream->context->green && stream->ends_in_graph);
}

void penstock_recording_kernel(const char* name, KernelAction action) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.kernel_actions[name] = std::move(action);
}

const char* penstock_recording_violations() {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  return keep_text(state.violation_text);
}

Alive penstock_recording_alive() {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  Alive alive;
  for (const auto& [handle, stream] : state.streams) alive.streams += stream->kind == Stream::Kind::Created;
  alive.events = static_cast<unsigned>(state.events.size());
  alive.green_contexts = static_cast<unsigned>(state.greens.size());
  for (const auto& [device, context] : state.primaries) alive.primary_contexts += context->retained > 0;
  alive.modules = static_cast<unsigned>(state.modules.size());
  alive.graphs = static_cast<unsigned>(state.graphs.size());
  alive.graph_execs = static_cast<unsigned>(state.executables.size());
  alive.user_objects = static_cast<unsigned>(state.user_objects.size());
  for (const auto& [address, memory] : state.memory) {
    if (memory.foreign) continue;
    (memory.kind == Memory::Kind::Device ? alive.device_bytes : alive.host_bytes) += memory.bytes;
  }
  return alive;
}

void penstock_recording_fail(const Fault& fault) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.faults.push_back(fault);
  state.fault_calls.push_back(0);
}

void penstock_recording_clear_faults() {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.faults.clear();
  state.fault_calls.clear();
}

void penstock_recording_capture(const char* name, CapturedAs as) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.captured_as[name] = as;
}

unsigned penstock_recording_calls() {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  return state.calls;
}

void* penstock_recording_memory(ForeignMemory kind, std::size_t bytes) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  void* const pointer = std::calloc(bytes, 1);
  if (pointer == nullptr) return nullptr;
  Memory memory{.kind = Memory::Kind::Managed, .bytes = bytes, .foreign = true};
  if (kind == ForeignMemory::Pinned) memory.kind = Memory::Kind::Host;
  if (kind == ForeignMemory::Registered) memory.kind = Memory::Kind::Registered;
  state.memory[reinterpret_cast<std::uintptr_t>(pointer)] = memory;
  return pointer;
}

void penstock_recording_listen(Listener listener) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  state.listener = listener;
}

unsigned penstock_recording_context(const void* handle) {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  try {
    return state.number_of(state.context_of(static_cast<ContextHandle>(const_cast<void*>(handle))));
  } catch (const Failure&) {
    return 0;
  }
}
