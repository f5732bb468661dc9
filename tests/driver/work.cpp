#include "machine.hpp"

// How work that is put on streams gets done.
namespace penstock::recording {
namespace {

bool is_blocking(const Stream& stream) {
  return stream.kind != Stream::Kind::Legacy && (stream.flags & kStreamNonBlocking) == 0;
}

/// Whether the one has to wait for earlier work of the other: the default stream and blocking streams of one
/// context wait for each other.
bool waits_for(const Stream& stream, const Stream& other) {
  if (stream.context != other.context || &stream == &other) return false;
  if (stream.kind == Stream::Kind::Legacy) return is_blocking(other);
  return is_blocking(stream) && other.kind == Stream::Kind::Legacy;
}

}  // namespace

bool State::comes_first(const Stream& stream, std::uint64_t number) const {
  for (const auto& [handle, other] : streams) {
    if (waits_for(stream, *other) && !other->queue.empty() && other->queue.front().number < number)
      return false;
    if (waits_for(stream, *other) && other->held) return false;
  }
  return true;
}

void State::check_implicit_order(Stream& stream) const {
  if (stream.kind != Stream::Kind::Legacy) return;
  for (const auto& [handle, other] : streams) {
    if (other->capture == nullptr || !waits_for(stream, *other)) continue;
    other->capture->invalidated = true;
    throw Failure{kStreamCaptureImplicit};
  }
}

void State::submit(Stream& stream, const std::string& name, Operation operation) {
  check_implicit_order(stream);
  if (stream.capture != nullptr) {
    if (stream.capture->invalidated) throw Failure{kStreamCaptureInvalidated};
    if (&stream != stream.capture->origin) stream.capture->unjoined.insert(&stream);
    stream.capture->graph.nodes.push_back(name);
    log("captured: " + name + " " + name_of(stream));
    return;
  }
  log(name + " " + name_of(stream));
  operation.number = next_operation++;
  stream.queue.push_back(std::move(operation));
  run();
}

bool State::step(Stream& stream) {
  if (stream.held || stream.queue.empty()) return false;
  const Operation& first = stream.queue.front();
  if (!comes_first(stream, first.number) || (first.ready && !first.ready())) return false;
  const Operation next = std::move(stream.queue.front());
  stream.queue.pop_front();
  clock_ms += 0.001;
  if (next.act) next.act();
  return true;
}

void State::run() {
  bool moved = true;
  while (moved) {
    moved = false;
    for (const auto& [handle, stream] : streams) {
      while (step(*stream)) moved = true;
    }
    for (const auto& stream : ended) {
      while (step(*stream)) moved = true;
    }
  }
  std::erase_if(ended, [](const std::unique_ptr<Stream>& stream) { return stream->queue.empty(); });
}

void State::wait_for(Stream& stream, const char* call) {
  if (stream.capture != nullptr) {
    stream.capture->invalidated = true;
    throw Failure{kStreamCaptureUnsupported};
  }
  check_implicit_order(stream);
  if (stream.queue.empty() && !stream.held) return;
  violate(std::string(call) + " would wait for " + name_of(stream));
  throw Failure{kUnknown};
}

void State::wait_for_device(int device, const char* call) {
  for (const auto& [handle, stream] : streams) {
    if (stream->context->device != device) continue;
    // Captures of other threads are disturbed only where they asked for it.
    const Capture* const capture = stream->capture.get();
    if (capture != nullptr && capture->mode != kCaptureGlobal &&
        capture->thread != std::this_thread::get_id())
      continue;
    wait_for(*stream, call);
  }
  for (const auto& stream : ended) {
    if (stream->context->device == device) wait_for(*stream, call);
  }
}

}  // namespace penstock::recording
