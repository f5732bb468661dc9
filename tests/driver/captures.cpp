#include "machine.hpp"

using namespace penstock::recording;

namespace {

thread_local int thread_mode = kCaptureGlobal;

void leave(State& state, const Capture& capture) {
  for (const auto& [handle, stream] : state.streams) {
    if (stream->capture.get() == &capture) stream->capture = nullptr;
  }
}

}  // namespace

namespace penstock::recording {

void State::require_no_capture() {
  if (thread_mode == kCaptureRelaxed) return;
  for (const auto& [handle, stream] : streams) {
    Capture* const capture = stream->capture.get();
    if (capture == nullptr || capture->mode == kCaptureRelaxed) continue;
    if (capture->thread != std::this_thread::get_id() &&
        (capture->mode == kCaptureThreadLocal || thread_mode == kCaptureThreadLocal)) {
      continue;
    }
    capture->invalidated = true;
    throw Failure{kStreamCaptureUnsupported};
  }
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
    state.log("cuStreamBeginCapture " + state.name_of(stream));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamEndCapture(StreamHandle handle, GraphHandle* graph) {
  return call("cuStreamEndCapture", [&](State& state) -> Result {
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
    if (capture->invalidated) return kStreamCaptureInvalidated;
    if (!capture->unjoined.empty()) return kStreamCaptureUnjoined;
    auto made = std::make_unique<Graph>(std::move(capture->graph));
    *graph = reinterpret_cast<GraphHandle>(made.get());
    Graph* const key = made.get();
    state.graphs.emplace(key, std::move(made));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamIsCapturing(StreamHandle handle, int* status) {
  return call("cuStreamIsCapturing", [&](State& state) -> Result {
    const Stream& stream = state.stream_of(handle);
    if (stream.kind == Stream::Kind::Legacy) {
      for (const auto& [key, other] : state.streams) {
        const bool blocking = (other->flags & kStreamNonBlocking) == 0;
        if (other->capture != nullptr && blocking && other->context == stream.context) {
          return kStreamCaptureImplicit;
        }
      }
    }
    *status = stream.capture == nullptr     ? kCaptureNone
              : stream.capture->invalidated ? kCaptureInvalidated
                                            : kCaptureActive;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuThreadExchangeStreamCaptureMode(int* mode) {
  return call("cuThreadExchangeStreamCaptureMode", [&](State&) -> Result {
    if (*mode < kCaptureGlobal || *mode > kCaptureRelaxed) return kInvalidValue;
    std::swap(*mode, thread_mode);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuGraphDestroy(GraphHandle graph) {
  const auto body = [&](State& state) -> Result {
    return state.graphs.erase(graph) == 1 ? kSuccess : kInvalidValue;
  };
  return call("cuGraphDestroy", body, true);
}
