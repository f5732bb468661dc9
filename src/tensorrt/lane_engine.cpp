#include "tensorrt/lane_engine.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "cuda/graph.hpp"
#include "cuda/used_on_device.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace penstock::tensorrt {
namespace {

/// Contexts of a lane that no graph holds: as many sizes as may take turns and be captured.
constexpr std::size_t kMostContexts = 16;

bool is_within(std::span<const std::int64_t> values, const TensorRTRange& range) {
  // Values of a shape are not told by all versions: then TensorRT itself is asked.
  if (range.least.empty() && range.most.empty()) return true;
  if (values.size() != range.least.size() || values.size() != range.most.size()) return false;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (values[i] < range.least[i] || values[i] > range.most[i]) return false;
  }
  return true;
}

std::span<const std::int64_t> ranged(const TensorRTTensor& tensor, const EngineInput& input) {
  return tensor.on_host ? input.values : input.sizes;
}

/// Sizes that no profile has are the plan's own.
bool fits(const BuiltEngine& engine, int profile, std::span<const EngineInput> inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorRTTensor& tensor = engine.inputs()[i];
    if (!tensor.on_host && std::ranges::find(tensor.sizes, -1) == tensor.sizes.end()) {
      if (tensor.sizes != inputs[i].sizes) return false;
    } else if (!is_within(ranged(tensor, inputs[i]), engine.range(profile, i))) {
      return false;
    }
  }
  return true;
}

[[noreturn]] void refuse_sizes(const BuiltEngine& engine, std::optional<int> wanted,
                               std::span<const EngineInput> inputs) {
  std::vector<std::string> given;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorRTTensor& tensor = engine.inputs()[i];
    given.push_back(fmt::format("{} [{}]", tensor.name, fmt::join(ranged(tensor, inputs[i]), ", ")));
  }
  std::vector<std::string> taken;
  for (int profile = 0; profile < engine.profile_count(); ++profile) {
    if (wanted && profile != *wanted) continue;
    std::vector<std::string> ranges;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const TensorRTTensor& tensor = engine.inputs()[i];
      const bool is_fixed = !tensor.on_host && std::ranges::find(tensor.sizes, -1) == tensor.sizes.end();
      const TensorRTRange range =
          is_fixed ? TensorRTRange{tensor.sizes, {}, tensor.sizes} : engine.range(profile, i);
      ranges.push_back(fmt::format("{} [{}] to [{}]", tensor.name, fmt::join(range.least, ", "),
                                   fmt::join(range.most, ", ")));
    }
    taken.push_back(fmt::format("profile {} takes {}", profile, fmt::join(ranges, ", ")));
  }
  base::fail(ErrorCode::InvalidArgument, "{} is given {}; {}", engine.what(), fmt::join(given, ", "),
             fmt::join(taken, "; "));
}

}  // namespace

LazyEvent::~LazyEvent() {
  if (handle_ == nullptr) return;
  cuda::release(*context_, "cuEventDestroy", "a TensorRT engine",
                [this](const cuda::Driver& driver) { return driver.event_destroy(handle_); });
}

void LazyEvent::record(cuda::StreamHandle stream) {
  const cuda::Driver& driver = cuda::driver();
  if (handle_ == nullptr) {
    const cuda::ContextScope scope(*context_);
    cuda::check(driver.event_create(&handle_, cuda::kEventDisableTiming), "cuEventCreate",
                "an event of an engine");
  }
  cuda::check(driver.event_record(handle_, stream), "cuEventRecord", "an event of an engine");
}

void LazyEvent::let_wait(cuda::StreamHandle stream) const {
  cuda::check(cuda::driver().stream_wait_event(stream, handle_, 0), "cuStreamWaitEvent",
              "the stream of an engine");
}

bool LazyEvent::is_done() const noexcept {
  if (!cuda::may_call_driver()) return true;
  const cuda::CaptureModeScope relaxed(cuda::kCaptureRelaxed);
  return cuda::opened_driver().table.event_query(handle_) != cuda::kNotReady;
}

/// What runs may still be using that no later one does.
struct LaneEngine::Retired final : cuda::UsedOnDevice {
  explicit Retired(std::shared_ptr<const cuda::PrimaryContext> context) : last_use(std::move(context)) {}
  [[nodiscard]] bool is_done() const noexcept override { return last_use.is_done(); }

  std::shared_ptr<const void> stream_owner;  // Goes last: streams may be of its partition.
  std::shared_ptr<const BuiltEngine> engine;
  std::shared_ptr<AuxStreams> aux;
  std::unique_ptr<cuda::ResourceStream> side;
  std::vector<std::shared_ptr<ExecutionContext>> contexts;
  LazyEvent last_use;
};

LaneEngine::LaneEngine(std::shared_ptr<const cuda::PrimaryContext> context)
    : primary_(std::move(context)), forked_(primary_), joined_(primary_) {}

void LaneEngine::begin(const TensorRTEngineState& state, const shim::CudaCall& call) {
  // A capture comes after a run with the same state.
  if (!call.is_capture && state_.built != nullptr) {
    const bool is_rebuilt = state.built != state_.built;
    if (is_rebuilt || !state.has_stream_of(state_)) retire(call, is_rebuilt);
    if (!state.reused_outputs) reused_.clear();
  }
  if (state_ != state) state_ = state;
  if (aux_ == nullptr) make_streams(call);
}

/// The run's stream comes after all that the last run may still be using.
void LaneEngine::retire(const shim::CudaCall& call, bool with_contexts) {
  auto retired = std::make_unique<Retired>(primary_);
  retired->last_use.record(call.stream);
  retired->stream_owner = std::move(state_.stream_owner);
  if (with_contexts) {
    retired->contexts = std::exchange(contexts_, {});
    retired->engine = std::move(state_.built);
  }
  retired->aux = std::exchange(aux_, nullptr);
  retired->side = std::exchange(side_, nullptr);
  cuda::UsedOnDevice::put_by(retired.release());
}

void LaneEngine::make_streams(const shim::CudaCall& call) {
  const auto stream = state_.stream ? cuda::handle_of(*state_.stream) : call.stream;
  const cuda::ExecutionResource resource = call.is_capture && !state_.stream
                                               ? cuda::resource_of_captured(stream, *primary_)
                                               : cuda::resource_of(stream, *primary_);
  if (state_.stream) side_ = std::make_unique<cuda::ResourceStream>(resource, primary_);
  aux_ = std::make_shared<AuxStreams>(resource, primary_, state_.built->aux_stream_count());
}

int LaneEngine::choose_profile(std::span<const EngineInput> inputs, const shim::CudaCall& call) const {
  const BuiltEngine& engine = *state_.built;
  if (call.is_capture && !state_.profile) {
    // That of the run before with these sizes: others may have come in between, with another one.
    const auto ran = std::ranges::find_if(contexts_, [&](const auto& each) {
      return each->is_profiled() == state_.profiling && each->has(each->profile(), inputs);
    });
    if (ran != contexts_.end()) return (*ran)->profile();
  }
  if (state_.profile) {
    if (!fits(engine, *state_.profile, inputs)) refuse_sizes(engine, state_.profile, inputs);
    return *state_.profile;
  }
  if (profile_ < engine.profile_count() && fits(engine, profile_, inputs)) return profile_;
  for (int profile = 0; profile < engine.profile_count(); ++profile) {
    if (fits(engine, profile, inputs)) return profile;
  }
  refuse_sizes(engine, std::nullopt, inputs);
}

std::shared_ptr<ExecutionContext> LaneEngine::context_for(int profile, std::span<const EngineInput> inputs,
                                                          const shim::CudaCall& call) {
  profile_ = profile;
  const auto suits = [&](const auto& each) { return each->is_profiled() == state_.profiling; };
  auto found = std::ranges::find_if(
      contexts_, [&](const auto& each) { return suits(each) && each->has(profile, inputs); });
  if (found == contexts_.end()) {
    // TensorRT puts work of its own on the stream when sizes change: once, which a graph must not repeat.
    if (call.is_capture) {
      base::fail(ErrorCode::Unsupported, "{} has run with too many other sizes since it ran with these",
                 state_.built->what());
    }
    // One that a graph holds keeps its sizes. The last of the others was used longest ago.
    const auto is_free = [&](const auto& each) { return suits(each) && each.use_count() == 1; };
    const auto free_ones = static_cast<std::size_t>(std::ranges::count_if(contexts_, is_free));
    // What TensorRT then puts on the engine's stream comes after the runs that a context has had.
    cuda::StreamHandle const stream = fork(call);
    if (free_ones < kMostContexts) {
      auto made = std::make_shared<ExecutionContext>(state_.built, state_.profiling);
      made->set(profile, inputs, stream);
      contexts_.push_back(std::move(made));
      found = std::prev(contexts_.end());
    } else {
      found = std::ranges::find_if(contexts_.rbegin(), contexts_.rend(), is_free).base() - 1;
      (*found)->set(profile, inputs, stream);
    }
  }
  std::rotate(contexts_.begin(), found, found + 1);
  const std::shared_ptr<ExecutionContext>& context = contexts_.front();
  context->use(aux_);
  context->set_communicator(state_.communicator);
  return context;
}

cuda::StreamHandle LaneEngine::fork(const shim::CudaCall& call) {
  if (!state_.stream || cuda::handle_of(*state_.stream) == call.stream) return call.stream;
  // The owner's stream is not captured: others may put work on it meanwhile.
  cuda::StreamHandle const stream = call.is_capture ? side_->handle() : cuda::handle_of(*state_.stream);
  forked_.record(call.stream);
  forked_.let_wait(stream);
  return stream;
}

void LaneEngine::join(const shim::CudaCall& call, cuda::StreamHandle engine_stream) {
  if (engine_stream == call.stream) return;
  joined_.record(engine_stream);
  joined_.let_wait(call.stream);
}

void LaneEngine::join_all(const shim::CudaCall& call, cuda::StreamHandle engine_stream) {
  join(call, engine_stream);
  if (call.is_capture) return;  // Which ends here.
  for (cuda::StreamHandle const stream : aux_->handles()) join(call, stream);
}

tensor::Storage* LaneEngine::reused_output(OutputOfCall output, std::size_t bytes, tensor::Allocator& pool) {
  auto& kept = reused_[output];
  if (kept == nullptr || kept->bytes < bytes) kept.reset(pool.allocate(bytes));
  return kept.get();
}

}  // namespace penstock::tensorrt
