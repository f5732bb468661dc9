#include "machine.hpp"

using namespace penstock::recording;

namespace {

std::string name_of(const Event& event) { return "event#" + std::to_string(event.id); }

void record_captured(State& state, Event& event, Stream& stream) {
  auto record = std::make_shared<Record>();
  record->stream = stream.id;
  record->capture = stream.capture;
  record->covers = stream.capture->covers[&stream];
  record->covers.insert(&stream);
  event.record = std::move(record);
  state.log("captured: cuEventRecord " + name_of(event) + " " + state.name_of(stream));
}

/// A wait for an event of a capture, which the stream joins by it.
void wait_captured(State& state, Stream& stream, const Record& record) {
  if (stream.capture == nullptr) {
    if (!stream.queue.empty() || record.capture->invalidated) throw Failure{kStreamCaptureInvalidated};
    stream.capture = record.capture;
    stream.capture->unjoined.insert(&stream);
  } else if (stream.capture != record.capture) {
    stream.capture->invalidated = record.capture->invalidated = true;
    throw Failure{902};  // CUDA_ERROR_STREAM_CAPTURE_MERGE
  }
  Capture& capture = *stream.capture;
  for (Stream* const covered : record.covers) {
    capture.covers[&stream].insert(covered);
    // What comes after on the origin comes after all of it.
    if (&stream == capture.origin) capture.unjoined.erase(covered);
  }
  state.log("captured: cuStreamWaitEvent " + state.name_of(stream) + " for stream#" +
            std::to_string(record.stream));
}

}  // namespace

PENSTOCK_DRIVER_API cuEventCreate(EventHandle* event, unsigned flags) {
  return call("cuEventCreate", [&](State& state) -> Result {
    auto made = std::make_unique<Event>();
    made->device = state.current().device;
    made->id = state.next_event++;
    made->flags = flags;
    state.log("cuEventCreate " + name_of(*made));
    *event = reinterpret_cast<EventHandle>(made.get());
    Event* const key = made.get();
    state.events.emplace(key, std::move(made));
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuEventDestroy_v2(EventHandle handle) {
  const auto body = [&](State& state) -> Result {
    state.log("cuEventDestroy " + name_of(state.event_of(handle)));
    state.events.erase(handle);
    return kSuccess;
  };
  return call("cuEventDestroy", body, true);
}

PENSTOCK_DRIVER_API cuEventRecord(EventHandle handle, StreamHandle stream_handle) {
  return call("cuEventRecord", [&](State& state) -> Result {
    Event& event = state.event_of(handle);
    Stream& stream = state.stream_of(stream_handle);
    // Of the primary context they may be recorded in green ones, and in no other.
    if (event.device != stream.context->device || stream.context->other) return kInvalidHandle;
    if (stream.capture != nullptr) {
      if (stream.capture->invalidated) return kStreamCaptureInvalidated;
      record_captured(state, event, stream);
      return kSuccess;
    }
    auto record = std::make_shared<Record>();
    record->stream = stream.id;
    event.record = record;
    const auto act = [record, &state] {
      record->done = true;
      record->milliseconds = state.clock_ms;
    };
    state.put(stream, "cuEventRecord " + name_of(event), {.act = act});
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuStreamWaitEvent(StreamHandle stream_handle, EventHandle handle, unsigned) {
  return call("cuStreamWaitEvent", [&](State& state) -> Result {
    Event& event = state.event_of(handle);
    Stream& stream = state.stream_of(stream_handle);
    const std::shared_ptr<Record> record = event.record;
    if (record != nullptr && record->capture != nullptr) {
      wait_captured(state, stream, *record);
      return kSuccess;
    }
    if (stream.capture != nullptr && record != nullptr) {
      stream.capture->invalidated = true;
      return kStreamCaptureIsolation;
    }
    const std::string from =
        record == nullptr ? "never recorded" : "of stream#" + std::to_string(record->stream);
    if (stream.capture != nullptr) return kSuccess;
    state.put(stream, "cuStreamWaitEvent " + name_of(event) + " " + from,
              {.ready = [record] { return record == nullptr || record->done; }});
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuEventQuery(EventHandle handle) {
  return call("cuEventQuery", [&](State& state) -> Result {
    const Event& event = state.event_of(handle);
    state.require_sound(event.device);
    if (event.record != nullptr && event.record->capture != nullptr) return kCapturedEvent;
    state.require_no_capture();
    if (event.record == nullptr) return kSuccess;
    return event.record->done ? kSuccess : kNotReady;
  });
}

PENSTOCK_DRIVER_API cuEventSynchronize(EventHandle handle) {
  return call("cuEventSynchronize", [&](State& state) -> Result {
    const Event& event = state.event_of(handle);
    state.require_sound(event.device);
    state.log("cuEventSynchronize " + name_of(event));
    state.require_no_capture();
    if (event.record == nullptr || event.record->done) return kSuccess;
    if (event.record->capture != nullptr) return kCapturedEvent;
    if (state.ends_waits) {
      state.log("cuEventSynchronize waits for " + name_of(event));
      state.let_all_go();
      if (event.record->done) return kSuccess;
    }
    state.violate("cuEventSynchronize would wait for " + name_of(event) + " of stream#" +
                  std::to_string(event.record->stream));
    return kUnknown;
  });
}

PENSTOCK_DRIVER_API cuEventElapsedTime(float* milliseconds, EventHandle start, EventHandle end) {
  return call("cuEventElapsedTime", [&](State& state) -> Result {
    const Event& first = state.event_of(start);
    const Event& last = state.event_of(end);
    if (((first.flags | last.flags) & kEventDisableTiming) != 0) return kInvalidHandle;
    if (first.record == nullptr || last.record == nullptr) return kInvalidHandle;
    if (!first.record->done || !last.record->done) return kNotReady;
    *milliseconds = static_cast<float>(last.record->milliseconds - first.record->milliseconds);
    return kSuccess;
  });
}
