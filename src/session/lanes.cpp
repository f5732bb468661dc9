#include "session/lanes.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"
#include "cuda/device_memory.hpp"
#include "cuda/driver.hpp"

#include <algorithm>
#include <exception>

namespace penstock::session {
namespace {

cuda::EventHandle create_event() {
  cuda::EventHandle event = nullptr;
  cuda::check(cuda::driver().event_create(&event, cuda::kEventDisableTiming), "cuEventCreate",
              "an event of a session");
  return event;
}

/// Of a stream, other than 0: drivers that do not number them leave the handle.
std::uint64_t number_of(cuda::StreamHandle stream, unsigned long long id) {
  if (id != 0) return id;
  return std::max<std::uint64_t>(reinterpret_cast<std::uintptr_t>(stream), 1);
}

cuda::ContextHandle context_of(const cuda::ExecutionResource& resource, const model::CudaModel& model) {
  if (resource.green == nullptr) return model.context()->handle();
  cuda::ContextHandle context = nullptr;
  cuda::check(cuda::driver().ctx_from_green_ctx(&context, resource.green), "cuCtxFromGreenCtx",
              "the green context of a stream");
  return context;
}

}  // namespace

Lane::Lane(const cuda::ExecutionResource& of, const model::CudaModel& model)
    : resource(of),
      green_id(cuda::green_id_of(of)),
      sm_count(cuda::sm_count_of(of)),
      context(context_of(of, model)),
      primary(model.context()),
      done(std::make_shared<cuda::RunEnd>(primary)),
      pool(cuda::device_memory(primary, done)),
      operators(model.operators().make_lane_state()),
      graphs(pool) {}

Lane::~Lane() {
  cuda::release(*primary, "cuEventDestroy", "a session", [this](const cuda::Driver& driver) {
    cuda::Result worst = cuda::kSuccess;
    const auto note = [&](cuda::Result result) { worst = result != cuda::kSuccess ? result : worst; };
    if (caller_done != nullptr) note(driver.event_destroy(caller_done));
    own.reset();
    graphs.clear();
    kept.clear();
    if (seen != nullptr) seen->drop();
    operators.reset();
    return worst;
  });
}

Lanes::Lanes(std::shared_ptr<model::CudaModel> model, std::size_t most)
    : model_(std::move(model)), most_(most) {}

Lanes::~Lanes() {
  for (const auto& lane : lanes_) {
    if (const cuda::Result result = lane->done->wait(); result != cuda::kSuccess)
      cuda::report_failed_release(result, "cuEventSynchronize", "a session");
  }
}

std::uint64_t Lanes::held_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& lane : lanes_) bytes += lane->pool.held_bytes() + lane->operators->held_bytes();
  return bytes;
}

std::uint64_t Lanes::peak_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& lane : lanes_) bytes += lane->pool.peak_bytes() + lane->operators->held_bytes();
  return bytes;
}

void Lanes::add_graphs(GraphStatistics& statistics) const noexcept {
  statistics.dropped += dropped_graphs_;
  for (const auto& lane : lanes_) {
    statistics.held += lane->graphs.held();
    statistics.held_bytes += lane->graphs.held_bytes();
    statistics.dropped += lane->graphs.dropped();
  }
}

void Lanes::release_unused() noexcept {
  for (const auto& lane : lanes_) {
    if (const cuda::Result result = lane->done->wait(); result != cuda::kSuccess)
      cuda::report_failed_release(result, "cuEventSynchronize", "a session");
    lane->graphs.clear();
    lane->pool.release_unused();
  }
}

Lane* Lanes::find(const cuda::ExecutionResource& resource) {
  const unsigned long long id = cuda::green_id_of(resource);
  const auto found = std::ranges::find_if(lanes_, [&](const auto& lane) {
    return lane->resource.green == resource.green && lane->green_id == id;
  });
  if (found == lanes_.end()) return nullptr;
  (*found)->last_use = ++uses_;
  return found->get();
}

shim::CudaCall Lanes::call_of(Lane& lane) const noexcept {
  shim::CudaCall call = model_->load_call();
  call.pool = &lane.pool;
  call.lane = lane.operators.get();
  call.kept = &lane.kept;
  call.sm_count = lane.sm_count;
  return call;
}

Lane& Lanes::lane_of(const cuda::ExecutionResource& resource) {
  if (Lane* const found = find(resource); found != nullptr) return *found;
  const cuda::ContextScope scope(*model_->context());
  make_room(resource);
  Lane& made = *lanes_.emplace_back(std::make_unique<Lane>(resource, *model_));
  made.last_use = ++uses_;
  return made;
}

/// Drops lanes that are of no more use, and beyond the bound those that were used longest ago. One whose last
/// run is not done stays until the next time: waiting for it could be waiting for the caller.
void Lanes::make_room(const cuda::ExecutionResource& resource) {
  const cuda::Driver& driver = cuda::driver();
  const auto is_done = [](const auto& lane) { return lane->done->is_done(); };
  const auto note_dropped = [&](Lane& lane) {
    lane.graphs.clear();
    dropped_graphs_ += lane.graphs.dropped();
  };
  // The handle of a context that is gone has come again, or the stream that was in it tells.
  std::erase_if(lanes_, [&](const auto& lane) {
    const bool is_gone =
        (resource.green != nullptr && lane->resource.green == resource.green) ||
        (lane->own != nullptr && driver.stream_query(lane->own->handle()) == cuda::kContextIsDestroyed);
    if (!is_gone || !is_done(lane)) return false;
    note_dropped(*lane);
    return true;
  });
  while (lanes_.size() >= most_) {
    const auto oldest = [&](const auto& left, const auto& right) { return left->last_use < right->last_use; };
    std::ranges::sort(lanes_, oldest);
    const auto victim = std::ranges::find_if(lanes_, is_done);
    if (victim == lanes_.end()) return;
    note_dropped(**victim);
    lanes_.erase(victim);
  }
}

cuda::StreamHandle Lanes::own_stream(Lane& lane) const {
  if (lane.own == nullptr)
    lane.own = std::make_unique<cuda::ResourceStream>(lane.resource, model_->context());
  return lane.own->handle();
}

LaneRun::LaneRun(Lanes& lanes, cuda::StreamHandle stream)
    : lanes_(lanes),
      callers_(stream),
      callers_context_(cuda::current_context()),
      is_default_(cuda::is_default(stream)) {
  mode_.emplace(cuda::kCaptureRelaxed);
  const cuda::PrimaryContext& primary = *lanes.model_->context();
  if (callers_context_ == nullptr) callers_context_ = primary.handle();
  lane_ = &lanes.lane_of(cuda::resource_of(stream, primary));
  call_ = lanes.call_of(*lane_);
  call_.stream = stream;
  if (is_default_) require_default_stream();
  std::uint64_t readers = is_default_ ? take_own_stream() : 0;
  const unsigned long long id = cuda::id_of(call_.stream);
  wait_for_last(id);
  if (!is_default_) readers = number_of(stream, id);
  lane_->pool.begin_run(readers);
  context_.emplace(primary);
}

void LaneRun::use(model::Container& weights, std::uint64_t number) {
  if (lane_->weights == number) return;
  weights.note_user(lane_->done);
  lane_->weights = number;
}

LaneRun::~LaneRun() {
  try {
    finish();
  } catch (const std::exception& error) {
    // Where there is no memory for the message, it is that.
    base::log(LogLevel::Warning, error.what());
  }
}

/// The legacy default stream waits for all blocking streams of its context: not even an event can be recorded
/// there while one of these is captured, and trying it ends that capture. Asking does not.
void LaneRun::require_default_stream() const {
  const cuda::ContextScope scope(callers_context_);
  int status = cuda::kCaptureNone;
  const cuda::Result result = cuda::driver().stream_is_capturing(callers_, &status);
  if (result == cuda::kStreamCaptureImplicit) {
    base::fail(
        ErrorCode::InvalidArgument,
        "{} cannot be used while a stream that waits for it is being captured; give a stream of its own, "
        "or capture one that does not wait for it (cudaStreamNonBlocking); the capture is as it was",
        cuda::stream_text(callers_));
  }
  cuda::check(result, "cuStreamIsCapturing", cuda::stream_text(callers_));
}

/// The caller's default stream and the lane's own take turns, by one event each way. Gives the number of the
/// caller's.
std::uint64_t LaneRun::take_own_stream() {
  const cuda::Driver& driver = cuda::driver();
  cuda::StreamHandle const own = lanes_.own_stream(*lane_);
  if (lane_->caller_done == nullptr) {
    const cuda::ContextScope scope(*lanes_.model_->context());
    lane_->caller_done = create_event();
  }
  const cuda::ContextScope scope(callers_context_);
  cuda::check(driver.event_record(lane_->caller_done, callers_), "cuEventRecord",
              "the caller's default stream");
  cuda::check(driver.stream_wait_event(own, lane_->caller_done, 0), "cuStreamWaitEvent",
              "the stream of a session");
  ++lanes_.waits.fences;
  call_.stream = own;
  return number_of(callers_, cuda::id_of(callers_));
}

void LaneRun::wait_for_last(unsigned long long id) {
  const bool is_first = lane_->last == nullptr;
  if (!is_first && (lane_->last != call_.stream || lane_->last_id != id)) {
    if (lane_->done->is_lost()) {
      base::fail(
          ErrorCode::Cuda,
          "the end of the session's last run could not be recorded, so that no other stream can wait for "
          "it; run once more on the same stream, or go on with another session");
    }
    cuda::check(cuda::driver().stream_wait_event(call_.stream, lane_->done->event(), 0), "cuStreamWaitEvent",
                "a session whose stream has changed");
    ++lanes_.waits.stream_changes;
  }
  lane_->last = call_.stream;
  lane_->last_id = id;
}

void LaneRun::be_seen_by_device_sync() {
  constexpr std::size_t kBytes = 4;
  if (lane_->seen == nullptr) lane_->seen = lane_->pool.allocate(kBytes);
  const auto address = reinterpret_cast<cuda::DevicePointer>(lane_->seen->data);
  if (call_.observer != nullptr)
    call_.observer->launched(shim::CudaObserver::Kind::Fill, "cuMemsetD8Async", call_.stream);
  cuda::check(cuda::driver().memset_d8_async(address, 0, kBytes, call_.stream), "cuMemsetD8Async",
              "the end of a replayed run");
}

void LaneRun::finish() {
  if (finished_) return;
  finished_ = true;
  const cuda::Result recorded = lane_->done->record(call_.stream);
  lane_->pool.end_run();
  context_.reset();
  cuda::check(recorded, "cuEventRecord", "the end of a run");
  if (!is_default_) return;
  require_default_stream();
  const cuda::ContextScope scope(callers_context_);
  cuda::check(cuda::driver().stream_wait_event(callers_, lane_->done->event(), 0), "cuStreamWaitEvent",
              "the caller's default stream");
  ++lanes_.waits.fences;
}

}  // namespace penstock::session
