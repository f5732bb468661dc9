#include "machine.hpp"

#include <algorithm>

using namespace penstock::recording;

namespace {

StreamHandle handle_of(Stream& stream) { return reinterpret_cast<StreamHandle>(&stream); }

}  // namespace

PENSTOCK_DRIVER_API cuStreamCreateWithPriority(StreamHandle* stream, unsigned flags, int priority) {
  return call("cuStreamCreateWithPriority", [&](State& state) -> Result {
    Context& context = state.current();
    if (flags > kStreamNonBlocking) return kInvalidValue;
    Stream& made = state.new_stream(context, Stream::Kind::Created, flags, std::clamp(priority, -5, 0));
    state.log("cuStreamCreateWithPriority " + state.name_of(made));
    *stream = handle_of(made);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamDestroy_v2(StreamHandle handle) {
  const auto body = [&](State& state) -> Result {
    if (state.detached.contains(handle)) return kContextIsDestroyed;
    const auto found = state.streams.find(handle);
    if (found == state.streams.end() || found->second->kind != Stream::Kind::Created) return kInvalidHandle;
    state.log("cuStreamDestroy " + state.name_of(*found->second));
    if (Capture* const capture = found->second->capture.get(); capture != nullptr) {
      capture->invalidated = true;
      // Nobody can end it any more.
      if (capture->origin == found->second.get()) capture->graph.reset();
    }
    found->second->destroyed = true;
    state.ended.push_back(std::move(found->second));
    state.streams.erase(found);
    return kSuccess;
  };
  return call("cuStreamDestroy", body, true);
}

PENSTOCK_DRIVER_API cuStreamQuery(StreamHandle handle) {
  return call("cuStreamQuery", [&](State& state) -> Result {
    const Stream& stream = state.stream_of(handle);
    if (stream.capture != nullptr) {
      stream.capture->invalidated = true;
      return kStreamCaptureUnsupported;
    }
    state.require_no_capture();
    return stream.queue.empty() && !stream.held ? kSuccess : kNotReady;
  });
}

PENSTOCK_DRIVER_API cuStreamSynchronize(StreamHandle handle) {
  return call("cuStreamSynchronize", [&](State& state) -> Result {
    Stream& stream = state.stream_of(handle);
    state.log("cuStreamSynchronize " + state.name_of(stream));
    state.require_no_capture();
    state.wait_for(stream, "cuStreamSynchronize");
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetCtx(StreamHandle handle, ContextHandle* context) {
  return call("cuStreamGetCtx", [&](State& state) -> Result {
    const auto number = reinterpret_cast<std::uintptr_t>(handle);
    // Any default stream is that of the current context, also where it could not be used.
    Context& found = number <= kPerThreadStream ? state.current() : *state.stream_of(handle).context;
    *context = reinterpret_cast<ContextHandle>(&found);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetGreenCtx(StreamHandle handle, GreenContextHandle* green) {
  return call("cuStreamGetGreenCtx", [&](State& state) -> Result {
    const Context* const context = state.stream_of(handle).context;
    *green = nullptr;
    for (const auto& [key, each] : state.greens) {
      if (each->context == context) *green = reinterpret_cast<GreenContextHandle>(each.get());
    }
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetFlags(StreamHandle handle, unsigned* flags) {
  return call("cuStreamGetFlags", [&](State& state) -> Result {
    *flags = state.stream_of(handle).flags;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetPriority(StreamHandle handle, int* priority) {
  return call("cuStreamGetPriority", [&](State& state) -> Result {
    *priority = state.stream_of(handle).priority;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetDevice(StreamHandle handle, DeviceNumber* device) {
  return call("cuStreamGetDevice", [&](State& state) -> Result {
    const Stream& stream = state.stream_of(handle);
    // Measured on an H200 with a driver of CUDA 13.0.
    if (stream.capture != nullptr) return kStreamCaptureUnsupported;
    *device = stream.context->device;
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamGetId(StreamHandle handle, unsigned long long* id) {
  return call("cuStreamGetId", [&](State& state) -> Result {
    // A later stream may have the address of one that is gone, but not its number.
    const Stream& stream = state.stream_of(handle);
    constexpr std::uint64_t kDefault = std::uint64_t{1} << 63;
    *id = stream.kind == Stream::Kind::Created ? stream.id
                                               : kDefault | reinterpret_cast<std::uintptr_t>(&stream);
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuLaunchHostFunc(StreamHandle handle, HostFunction function, void* data) {
  return call("cuLaunchHostFunc", [&](State& state) -> Result {
    if (function == nullptr) return kInvalidValue;
    state.submit(state.stream_of(handle),
                 {.type = kGraphHost, .call = "cuLaunchHostFunc", .host = function, .host_data = data});
    return kSuccess;
  });
}
