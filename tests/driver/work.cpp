#include "machine.hpp"

// How work that is put on streams gets done.
namespace penstock::recording {
namespace {

bool is_blocking(const Stream& stream) {
  return stream.kind != Stream::Kind::Legacy && (stream.flags & kStreamNonBlocking) == 0;
}

/// Whether the last thing that is yet to be done is a graph. Events do not count: a device's synchronization
/// does not wait for them.
bool ends_in_graph(const Stream& stream) {
  for (auto each = stream.queue.rbegin(); each != stream.queue.rend(); ++each) {
    if (each->kind != Operation::Kind::Mark) return each->kind == Operation::Kind::Graph;
  }
  return false;
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

void State::submit(Stream& stream, Node node) {
  check_implicit_order(stream);
  node.context = stream.context;
  node.stream = &stream;
  node.resource = name_of(*stream.context);
  node.sms = stream.context->sms;
  if (stream.capture != nullptr) {
    if (stream.capture->invalidated) throw Failure{kStreamCaptureInvalidated};
    if (&stream != stream.capture->origin) stream.capture->unjoined.insert(&stream);
    change_captured(node);
    log("captured: " + describe(node) + " " + name_of(stream));
    stream.capture->graph->nodes.push_back(std::move(node));
    return;
  }
  const std::string text = describe(node);
  put(stream, text,
      {.kind = Operation::Kind::Work, .act = [this, node = std::move(node)] { perform(node); }});
}

void State::change_captured(Node& node) {
  const auto found = captured_as.find(node.type == kGraphKernel ? node.launch.kernel : node.call);
  if (found == captured_as.end()) return;
  if (found->second != CapturedAs::Child) {
    node.context = &primary(node.context->device);
    node.resource = name_of(*node.context);
    node.sms = node.context->sms;
    if (found->second == CapturedAs::OfPrimary) return;
  }
  auto program = std::make_shared<Program>();
  program->graph = next_graph++;
  program->nodes.push_back(node);
  Node outer{.type = kGraphChild, .call = "cuGraphAddChildGraphNode", .stream = node.stream};
  outer.context = node.context;
  outer.resource = node.resource;
  outer.sms = node.sms;
  outer.child = std::move(program);
  node = std::move(outer);
}

void State::put(Stream& stream, const std::string& text, Operation operation) {
  check_implicit_order(stream);
  log(text + " " + name_of(stream));
  if (listener != nullptr) {
    const Context& context = *stream.context;
    listener({.name = text.c_str(),
              .device = context.device,
              .context = number_of(context),
              .stream = stream.id,
              .in_green_context = context.green,
              .sm_count = static_cast<unsigned>(context.sms.count())});
  }
  if (operation.kind != Operation::Kind::Mark) {
    stream.ends_in_graph = operation.kind == Operation::Kind::Graph;
  }
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

void State::do_all() {
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
}

void State::run() {
  do_all();
  std::erase_if(ended, [](const std::unique_ptr<Stream>& stream) { return stream->queue.empty(); });
}

void State::require_idle(Stream& stream, const char* call) {
  if (stream.queue.empty() && !stream.held) return;
  if (ends_waits) {
    log(std::string(call) + " waits for " + name_of(stream));
    let_all_go();
    if (stream.queue.empty()) return;
  }
  violate(std::string(call) + " would wait for " + name_of(stream));
  throw Failure{kUnknown};
}

void State::let_all_go() {
  for (const auto& [handle, stream] : streams) stream->held = false;
  for (const auto& stream : ended) stream->held = false;
  do_all();
}

void State::wait_for(Stream& stream, const char* call) {
  if (stream.capture != nullptr) {
    stream.capture->invalidated = true;
    throw Failure{kStreamCaptureUnsupported};
  }
  check_implicit_order(stream);
  require_idle(stream, call);
}

void State::wait_unless_graph(Stream& stream, const char* call) {
  if (!stream.context->green || !ends_in_graph(stream)) return require_idle(stream, call);
  log(std::string(call) + " passes over " + name_of(stream));
}

void State::wait_for_device(int device, const char* call) {
  for (const auto& [handle, stream] : streams) {
    if (stream->context->device == device) wait_unless_graph(*stream, call);
  }
  for (const auto& stream : ended) {
    if (stream->context->device == device) wait_unless_graph(*stream, call);
  }
}

void State::wait_for_context(const Context& context, const char* call) {
  bool has_capture = false;
  for (const auto& [handle, stream] : streams) {
    if (stream->capture == nullptr || stream->context->device != context.device) continue;
    stream->capture->invalidated = has_capture = true;
  }
  if (has_capture) throw Failure{kStreamCaptureUnsupported};
  const auto wait = [&](Stream& stream) {
    if (stream.context->device != context.device) return;
    if (!context.green) return wait_unless_graph(stream, call);
    if (stream.context == &context) require_idle(stream, call);
  };
  for (const auto& [handle, stream] : streams) wait(*stream);
  for (const auto& stream : ended) wait(*stream);
}

}  // namespace penstock::recording
