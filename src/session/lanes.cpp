#include "session/lanes.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"
#include "cuda/device_memory.hpp"
#include "cuda/driver.hpp"

#include <algorithm>

namespace penstock::session {
namespace {

cuda::EventHandle create_event() {
  cuda::EventHandle event = nullptr;
  cuda::check(cuda::driver().event_create(&event, cuda::kEventDisableTiming), "cuEventCreate",
              "an event of a session");
  return event;
}

unsigned long long id_of(cuda::StreamHandle stream) {
  const cuda::Driver& driver = cuda::driver();
  unsigned long long id = 0;
  if (driver.stream_get_id != nullptr) {
    cuda::check(driver.stream_get_id(stream, &id), "cuStreamGetId", "the caller's stream");
  }
  return id;
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
      context(context_of(of, model)),
      pool(cuda::device_memory(model.context())),
      operators(model.operators().make_lane_state()),
      graphs(pool) {}

Lanes::Lanes(std::shared_ptr<model::CudaModel> model) : model_(std::move(model)) {}

Lanes::~Lanes() {
  // Memory goes back to the driver: work that uses it has to be done. The driver waits for that itself.
  cuda::release(*model_->context(), "cuEventDestroy", "a session", [&](const cuda::Driver& driver) {
    cuda::Result worst = cuda::kSuccess;
    const auto note = [&](cuda::Result result) { worst = result != cuda::kSuccess ? result : worst; };
    for (const auto& lane : lanes_) {
      if (lane->done != nullptr) {
        note(driver.event_synchronize(lane->done));
        note(driver.event_destroy(lane->done));
      }
      if (lane->caller_done != nullptr) note(driver.event_destroy(lane->caller_done));
      if (lane->own != nullptr) note(driver.stream_destroy(lane->own));
      lane->graphs.clear();
      if (lane->seen != nullptr) lane->seen->drop();
      lane->operators.reset();
    }
    return worst;
  });
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
  for (const auto& lane : lanes_) {
    statistics.held += lane->graphs.held();
    statistics.held_bytes += lane->graphs.held_bytes();
    statistics.dropped += lane->graphs.dropped();
  }
}

void Lanes::release_unused() noexcept {
  for (const auto& lane : lanes_) {
    lane->graphs.clear();
    lane->pool.release_unused();
  }
}

Lane& Lanes::lane_of(const cuda::ExecutionResource& resource) {
  const auto found =
      std::ranges::find_if(lanes_, [&](const auto& lane) { return lane->resource == resource; });
  if (found != lanes_.end()) return **found;
  const cuda::ContextScope scope(*model_->context());
  lanes_.push_back(std::make_unique<Lane>(resource, *model_));
  Lane& made = *lanes_.back();
  try {
    made.done = create_event();
  } catch (...) {
    lanes_.pop_back();
    throw;
  }
  return made;
}

cuda::StreamHandle Lanes::own_stream(Lane& lane) const {
  if (lane.own == nullptr) lane.own = cuda::create_stream_in(lane.resource, *model_->context());
  return lane.own;
}

LaneRun::LaneRun(Lanes& lanes, cuda::StreamHandle stream)
    : lanes_(lanes),
      callers_(stream),
      callers_context_(cuda::current_context()),
      is_default_(cuda::is_default_stream(stream)) {
  refuse_capture(stream);
  mode_.emplace(cuda::kCaptureThreadLocal);
  const cuda::PrimaryContext& primary = *lanes.model_->context();
  if (callers_context_ == nullptr) callers_context_ = primary.handle();
  lane_ = &lanes.lane_of(cuda::resource_of(stream, primary));
  call_ = lanes.model_->load_call();
  call_.pool = &lane_->pool;
  call_.lane = lane_->operators.get();
  call_.sm_count = lane_->resource.sm_count;
  call_.stream = stream;
  if (is_default_) take_own_stream();
  wait_for_last(id_of(call_.stream));
  context_.emplace(primary);
}

LaneRun::~LaneRun() {
  try {
    finish();
  } catch (const Error& error) {
    base::log(LogLevel::Warning, error.what());
  }
}

void LaneRun::refuse_capture(cuda::StreamHandle stream) const {
  // The default streams cannot be captured, and asking for one disturbs a capture that goes on elsewhere.
  if (is_default_) return;
  int status = cuda::kCaptureNone;
  const cuda::Result result = cuda::driver().stream_is_capturing(stream, &status);
  if (result != cuda::kSuccess || status == cuda::kCaptureNone) return;
  base::fail(
      ErrorCode::Unsupported,
      "the stream is being captured into a CUDA graph, which a session cannot be recorded into yet; the "
      "capture is as it was. Run outside of the capture");
}

/// The caller's default stream and the lane's own take turns, by one event each way.
void LaneRun::take_own_stream() {
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
}

void LaneRun::wait_for_last(unsigned long long id) {
  const bool is_first = lane_->last == nullptr;
  if (!is_first && (lane_->last != call_.stream || lane_->last_id != id)) {
    cuda::check(cuda::driver().stream_wait_event(call_.stream, lane_->done, 0), "cuStreamWaitEvent",
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
  cuda::check(cuda::driver().memset_d8_async(address, 0, kBytes, call_.stream), "cuMemsetD8Async",
              "the end of a replayed run");
}

void LaneRun::finish() {
  if (finished_) return;
  finished_ = true;
  const cuda::Driver& driver = cuda::driver();
  const cuda::Result recorded = driver.event_record(lane_->done, call_.stream);
  context_.reset();
  mode_.reset();
  cuda::check(recorded, "cuEventRecord", "the end of a run");
  if (!is_default_) return;
  const cuda::ContextScope scope(callers_context_);
  cuda::check(driver.stream_wait_event(callers_, lane_->done, 0), "cuStreamWaitEvent",
              "the caller's default stream");
  ++lanes_.waits.fences;
}

}  // namespace penstock::session
