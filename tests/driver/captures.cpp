#include "machine.hpp"

#include <utility>

using namespace penstock::recording;

namespace {

int& thread_mode() {
  thread_local int mode = kCaptureGlobal;
  thread_local unsigned generation = 0;
  if (generation != State::get().generation) {
    mode = kCaptureGlobal;
    generation = State::get().generation;
  }
  return mode;
}

void leave(State& state, const Capture& capture) {
  for (const auto& [handle, stream] : state.streams) {
    if (stream->capture.get() == &capture) stream->capture = nullptr;
  }
}

int status_of(State& state, const Stream& stream) {
  if (stream.kind == Stream::Kind::Legacy) {
    for (const auto& [key, other] : state.streams) {
      const bool blocking = (other->flags & kStreamNonBlocking) == 0;
      if (other->capture != nullptr && blocking && other->context == stream.context)
        throw Failure{kStreamCaptureImplicit};
    }
  }
  if (stream.capture == nullptr) return kCaptureNone;
  return stream.capture->invalidated ? kCaptureInvalidated : kCaptureActive;
}

}  // namespace

namespace penstock::recording {

void State::require_no_capture() {
  if (thread_mode() == kCaptureRelaxed) return;
  bool is_forbidden = false;
  for (const auto& [handle, stream] : streams) {
    Capture* const capture = stream->capture.get();
    if (capture == nullptr || capture->mode == kCaptureRelaxed) continue;
    if (capture->thread != std::this_thread::get_id() &&
        (capture->mode == kCaptureThreadLocal || thread_mode() == kCaptureThreadLocal)) {
      continue;
    }
    capture->invalidated = is_forbidden = true;
  }
  if (is_forbidden) throw Failure{kStreamCaptureUnsupported};
}

}  // namespace penstock::recording

PENSTOCK_DRIVER_API cuStreamBeginCapture_v2(StreamHandle handle, int mode) {
  return call("cuStreamBeginCapture", [&](State& state) -> Result {
    Stream& stream = state.stream_of(handle);
    if (stream.kind == Stream::Kind::Legacy) return kStreamCaptureUnsupported;
    if (stream.capture != nullptr) return kIllegalState;
    if (mode < kCaptureGlobal || mode > kCaptureRelaxed) return kInvalidValue;
    stream.capture = std::make_shared<Capture>();
    stream.capture->origin = &stream;
    stream.capture->mode = mode;
    stream.capture->thread = std::this_thread::get_id();
    stream.capture->id = state.next_capture++;
    stream.capture->graph = std::make_unique<Graph>();
    stream.capture->graph->id = state.next_graph++;
    state.log("cuStreamBeginCapture " + state.name_of(stream));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamEndCapture(StreamHandle handle, GraphHandle* graph) {
  const auto body = [&](State& state) -> Result {
    Stream& stream = state.stream_of(handle);
    const std::shared_ptr<Capture> capture = stream.capture;
    *graph = nullptr;
    if (capture == nullptr) return kIllegalState;
    if (capture->origin != &stream) {
      capture->invalidated = true;
      return kStreamCaptureUnmatched;
    }
    if (capture->mode != kCaptureRelaxed && capture->thread != std::this_thread::get_id()) {
      return kStreamCaptureWrongThread;
    }
    state.log("cuStreamEndCapture " + state.name_of(stream));
    leave(state, *capture);
    // Where the call is to fail, the capture ends all the same.
    std::unique_ptr<Graph> made = std::move(capture->graph);
    if (capture->loose) state.violate("cuStreamEndCapture: nothing comes behind a node that was added");
    if (capture->invalidated) return kStreamCaptureInvalidated;
    if (!capture->unjoined.empty()) return kStreamCaptureUnjoined;
    *graph = reinterpret_cast<GraphHandle>(made.get());
    Graph* const key = made.get();
    state.graphs.emplace(key, std::move(made));
    return kSuccess;
  };
  const Result result = call("cuStreamEndCapture", body, true);
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  if (result != kSuccess && *graph != nullptr) state.graphs.erase(std::exchange(*graph, nullptr));
  return result;
}

PENSTOCK_DRIVER_API cuStreamIsCapturing(StreamHandle handle, int* status) {
  return call("cuStreamIsCapturing", [&](State& state) -> Result {
    *status = status_of(state, state.stream_of(handle));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetCaptureInfo_v2(StreamHandle handle, int* status, unsigned long long* id,
                                              GraphHandle* graph, const GraphNodeHandle** dependencies,
                                              std::size_t* dependency_count) {
  return call("cuStreamGetCaptureInfo", [&](State& state) -> Result {
    const Stream& stream = state.stream_of(handle);
    *status = status_of(state, stream);
    if (*status != kCaptureActive) return kSuccess;
    if (id != nullptr) *id = stream.capture->id;
    if (graph != nullptr) *graph = reinterpret_cast<GraphHandle>(stream.capture->graph.get());
    if (dependencies == nullptr && dependency_count == nullptr) return kSuccess;
    if (dependencies == nullptr || dependency_count == nullptr) return kInvalidValue;
    // What depends on what is not written down but by the order of the nodes of one stream.
    Capture& capture = *stream.capture;
    for (const Node& node : capture.graph->nodes) {
      if (node.stream != &stream) return kNotSupported;
    }
    capture.last = capture.graph->nodes.empty()
                       ? nullptr
                       : reinterpret_cast<GraphNodeHandle>(&capture.graph->nodes.back());
    *dependencies = &capture.last;
    *dependency_count = capture.last == nullptr ? 0 : 1;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamUpdateCaptureDependencies(StreamHandle handle, GraphNodeHandle* dependencies,
                                                      std::size_t count, unsigned flags) {
  return call("cuStreamUpdateCaptureDependencies", [&](State& state) -> Result {
    const Stream& stream = state.stream_of(handle);
    if (stream.capture == nullptr) return kIllegalState;
    Capture& capture = *stream.capture;
    if (flags != kSetCaptureDependencies || count != 1) return kNotSupported;
    if (capture.graph->nodes.empty() ||
        dependencies[0] != reinterpret_cast<GraphNodeHandle>(&capture.graph->nodes.back()))
      return kInvalidValue;
    capture.loose = false;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuThreadExchangeStreamCaptureMode(int* mode) {
  const auto body = [&](State&) -> Result {
    if (*mode < kCaptureGlobal || *mode > kCaptureRelaxed) return kInvalidValue;
    std::swap(*mode, thread_mode());
    return kSuccess;
  };
  // Also how a mode is given back.
  return call("cuThreadExchangeStreamCaptureMode", body, true);
}
