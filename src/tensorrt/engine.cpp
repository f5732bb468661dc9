#include "tensorrt/engine_impl.hpp"

#include "base/fail.hpp"
#include "cuda/execution_resource.hpp"
#include "cuda/resource_stream.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace penstock {
namespace {

using State = TensorRTEngineState;

/// The id of a stream that an engine may have for its own.
unsigned long long checked_id(StreamView stream, const tensorrt::BuiltEngine& built) {
  const auto& context = *built.source().context;
  const std::string& what = built.what();
  if (stream.is_default()) {
    base::fail(
        ErrorCode::InvalidArgument,
        "{}: a default stream cannot be an engine's own: it means another stream in each context; take "
        "Stream::create or GreenContext::create_stream",
        what);
  }
  if (const Device device = stream.device(); device.index != context.device()) {
    base::fail(ErrorCode::InvalidArgument, "{} is on cuda:{}, the stream is on {}", what, context.device(),
               to_string(device));
  }
  return cuda::id_of(cuda::handle_of(stream));
}

}  // namespace

TensorRTEngineInfo describe_engine(const Value& state) {
  const tensorrt::EngineState read = tensorrt::read_engine_state(state);
  const tensorrt::PlanStart plan = tensorrt::start_of_plan(read);
  const tensorrt::PlanHeader header = tensorrt::read_plan_header(plan.bytes);
  return {.format = read.version,
          .name = read.name,
          .gpu = read.device.name,
          .compute_major = read.device.major,
          .compute_minor = read.device.minor,
          .hardware_compatible = read.hardware_compatible,
          .platform = read.platform,
          .plan_bytes = plan.size,
          .built_by = header.text(),
          .inputs = read.inputs,
          .outputs = read.outputs};
}

TensorRTEngine::TensorRTEngine(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
TensorRTEngine::~TensorRTEngine() = default;

ObjectSnapshot TensorRTEngine::snapshot() const {
  // Before the state, so that a change in between is seen again.
  const std::uint64_t now = version();
  ObjectSnapshot taken = impl_->state.snapshot();
  taken.version = now;
  return taken;
}

template <class Work>
void TensorRTEngine::change(Work&& work) {
  impl_->state.change(std::forward<Work>(work));
  changed();
}

const std::string& TensorRTEngine::name() const noexcept { return impl_->name; }
std::string TensorRTEngine::library() const { return impl_->built()->library().title(); }
std::span<const TensorRTTensor> TensorRTEngine::inputs() const noexcept { return impl_->inputs; }
std::span<const TensorRTTensor> TensorRTEngine::outputs() const noexcept { return impl_->outputs; }
int TensorRTEngine::profile_count() const { return impl_->built()->profile_count(); }
TensorRTRange TensorRTEngine::range(int profile, std::size_t input) const {
  return impl_->built()->range(profile, input);
}
int TensorRTEngine::aux_stream_count() const { return impl_->built()->aux_stream_count(); }
std::uint64_t TensorRTEngine::run_bytes() const {
  return static_cast<std::uint64_t>(impl_->built()->context_bytes());
}
std::string TensorRTEngine::layer_information() const { return impl_->built()->layer_information(); }

void TensorRTEngine::set_stream(std::optional<StreamView> stream) {
  if (stream) return set_stream(*stream, nullptr);
  change([](State& state) {
    state.stream.reset();
    state.stream_id = 0;
    state.stream_owner.reset();
  });
}

void TensorRTEngine::set_stream(StreamView stream, std::shared_ptr<const void> owner) {
  const unsigned long long id = checked_id(stream, *impl_->built());
  change([&](State& state) {
    state.stream = stream;
    state.stream_id = id;
    state.stream_owner = std::move(owner);
  });
}

std::optional<StreamView> TensorRTEngine::stream() const { return impl_->state.state()->stream; }
std::shared_ptr<const void> TensorRTEngine::stream_owner() const {
  return impl_->state.state()->stream_owner;
}

void TensorRTEngine::set_profile(std::optional<int> profile) {
  if (profile && (*profile < 0 || *profile >= profile_count())) {
    base::fail(ErrorCode::InvalidArgument, "{} has {} profiles, counted from 0; there is no profile {}",
               impl_->built()->what(), profile_count(), *profile);
  }
  change([&](State& state) { state.profile = profile; });
}

std::optional<int> TensorRTEngine::profile() const { return impl_->state.state()->profile; }

void TensorRTEngine::set_weight_budget(std::int64_t bytes) {
  if (streamable_weight_bytes() == 0) {
    base::fail(ErrorCode::Unsupported,
               "{} streams no weights: its plan was not built for that, and all of them are in device memory",
               impl_->built()->what());
  }
  change([&](State& state) {
    tensorrt::EngineSource source = state.built->source();
    source.weight_budget = bytes;
    state.built = tensorrt::BuiltEngine::make(std::move(source), tensorrt::plan_of(impl_->serialized).bytes);
  });
}

std::int64_t TensorRTEngine::weight_budget() const { return impl_->built()->weight_budget(); }
std::int64_t TensorRTEngine::streamable_weight_bytes() const {
  return impl_->built()->streamable_weight_bytes();
}

void TensorRTEngine::set_profiling(bool on) {
  change([&](State& state) { state.profiling = on; });
}
bool TensorRTEngine::profiling() const { return impl_->state.state()->profiling; }

std::vector<TensorRTLayerTime> TensorRTEngine::layer_times() const {
  const std::lock_guard lock(impl_->times_mutex);
  return impl_->times;
}

void TensorRTEngine::set_output_allocator(bool on) {
  const bool has_aliases =
      std::ranges::any_of(outputs(), [](const auto& output) { return !output.alias_of.empty(); });
  if (on && has_aliases) {
    base::fail(ErrorCode::InvalidArgument,
               "{} changes inputs in place, and so cannot have its outputs allocated",
               impl_->built()->what());
  }
  change([&](State& state) { state.output_allocator = on || impl_->requires_output_allocator; });
}
bool TensorRTEngine::output_allocator() const { return impl_->state.state()->output_allocator; }

void TensorRTEngine::set_reused_outputs(bool on) {
  change([&](State& state) { state.reused_outputs = on; });
}
bool TensorRTEngine::reused_outputs() const { return impl_->state.state()->reused_outputs; }

void TensorRTEngine::set_communicator(void* communicator) {
  const auto held = impl_->built();
  const tensorrt::BuiltEngine& built = *held;
  if (communicator != nullptr && !impl_->uses_collectives) {
    base::fail(ErrorCode::Unsupported, "{} has no collectives, and so no use for a communicator",
               built.what());
  }
  if (communicator != nullptr &&
      built.library().numbering().context.set_communicator == tensorrt::abi::kNone) {
    base::fail(ErrorCode::Unsupported, "{}: {} takes no communicator; TensorRT 10.16 and later do",
               built.what(), built.library().title());
  }
  change([&](State& state) { state.communicator = communicator; });
}
void* TensorRTEngine::communicator() const { return impl_->state.state()->communicator; }

}  // namespace penstock
