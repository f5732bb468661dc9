#include "session/session_impl.hpp"

#include "base/fail.hpp"
#include "cuda/callers_capture.hpp"
#include "session/audit.hpp"
#include "session/graph_audit.hpp"
#include "session/outputs.hpp"
#include "session/recorded_run.hpp"
#include "system/ranges.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

// Runs on CUDA: on a stream, or into a graph that a caller captures.
namespace penstock {

cuda::StreamHandle Session::Impl::execute_on(const StreamRequest& request,
                                             std::span<const TensorView> given) {
  const Model::Impl& loaded = *model.impl();
  const system::Range range(loaded.what.c_str());
  drop_results();
  if (cuda::is_captured(request.stream)) {
    record_on(request, given);
    return request.stream;
  }
  const session::PlacedInputs placed = cuda->place(given, loaded.rules, request.host_inputs);
  const model::Latitude latitude = loaded.rules.check(placed.views);
  // To the end of the run: the version stays until that is recorded.
  const model::VersionScope weights(version);
  session::LaneRun run(cuda->lanes(), request.stream);
  run.use(weights.container(), version.number());
  run.call().numerics = cuda->numerics();
  std::optional<session::AuditRecorder> recorder;
  if (request.audit != nullptr) recorder.emplace(run, cuda->lanes().model(), request.audit->level);
  const bool is_replay_audited = request.audit != nullptr && request.audit->level == AuditLevel::Graph;
  run_on_cuda(request, cuda->copy_inputs(run.call(), placed), {latitude, weights.container()}, run);
  if (cuda->hand_over_copies(outputs)) show_results();
  session::copy_on_device(run.call(), outputs, request.targets, loaded.what);
  run.finish();
  if (recorder) *request.audit = recorder->report();
  if (is_replay_audited && cuda->graphs().replayed() != nullptr)
    session::add_graph(*request.audit, *cuda->graphs().replayed(), run);
  return run.stream();
}

std::uint64_t Session::Impl::begin_run_of_objects() {
  if (objects == nullptr) return 0;
  objects->begin_run();
  return objects->version();
}

void Session::Impl::run_on_cuda(const StreamRequest& request, std::span<const TensorView> given,
                                const RunOfVersion& what, session::LaneRun& run) {
  const std::function<void(std::span<const TensorView>, const shim::CudaCall&)> call_model =
      [&](std::span<const TensorView> inputs_of_call, const shim::CudaCall& call) {
        run_model(inputs_of_call, what.latitude, &call, what.weights);
      };
  const bool call_by_call = request.audit != nullptr && request.audit->level != AuditLevel::Graph;
  // Objects once a run: a capture calls the model twice, and both times as the key says.
  cuda->graphs().run({.run = run,
                      .inputs = given,
                      .versions = {.weights = version.number(), .objects = begin_run_of_objects()},
                      .run_model = call_model,
                      .outputs = outputs,
                      .obstacle = call_by_call ? std::string_view("an audit") : model.impl()->graph_obstacle,
                      .prepares = request.prepares,
                      .storage_counts = !what.latitude.none()});
  show_results();
}

void Session::Impl::record_on(const StreamRequest& request, std::span<const TensorView> given) {
  const Model::Impl& loaded = *model.impl();
  if (!request.may_be_recorded) {
    base::fail(
        ErrorCode::InvalidArgument,
        "{}: the stream is being captured into a CUDA graph, where Session::enqueue can be recorded and "
        "nothing else; the capture is as it was",
        loaded.what);
  }
  if (cuda::is_default(request.stream)) {
    base::fail(
        ErrorCode::InvalidArgument,
        "{}: the per-thread default stream is being captured into a CUDA graph, where runs are recorded "
        "only on a stream of its own; the capture is as it was",
        loaded.what);
  }
  if (!loaded.graph_obstacle.empty()) {
    base::fail(ErrorCode::Unsupported,
               "{}: the stream is being captured into a CUDA graph, which this model cannot be: {}; the "
               "capture is as it was",
               loaded.what, loaded.graph_obstacle);
  }
  const session::PlacedInputs placed = cuda->place(given, loaded.rules, request.host_inputs);
  if (!placed.to_copy.empty()) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: input {} lies in host memory that the device cannot read, and is not copied within a "
               "capture; give it on the device; the capture is as it was",
               loaded.what, placed.to_copy.front());
  }
  const model::Latitude latitude = loaded.rules.check(placed.views);
  const model::VersionScope scope(version);
  const std::function<void(std::span<const TensorView>, const shim::CudaCall&)> call_model =
      [&](std::span<const TensorView> inputs_of_call, const shim::CudaCall& call) {
        run_model(inputs_of_call, latitude, &call, scope.container());
        session::copy_on_device(call, outputs, request.targets, loaded.what);
        // Here, so that what cannot be shown leaves nothing in the caller's graph.
        show_results();
      };
  const std::uint64_t version_of_objects = begin_run_of_objects();
  const auto recorded = session::RecordedRun::make(
      model.impl(), version.held(),
      objects == nullptr ? std::vector<objects::ExecutorSession::Slot>() : objects->slots());
  try {
    session::record_run({.lanes = cuda->lanes(),
                         .stream = request.stream,
                         .inputs = placed.views,
                         .versions = {.weights = version.number(), .objects = version_of_objects},
                         .storage_counts = !latitude.none(),
                         .numerics = cuda->numerics(),
                         .run_model = call_model,
                         .outputs = outputs},
                        recorded);
    show_results();
  } catch (...) {
    // Both may be in memory that goes with what was recorded.
    staging.reset();
    drop_results();
    throw;
  }
  cuda->graphs().note_recorded();
}

std::vector<Tensor> Session::Impl::enqueue(std::span<const TensorView> given, cuda::StreamHandle stream,
                                           const RunOptions& options) {
  require_cuda();
  session::check_targets(options.outputs, given, {outputs.size(), model.device()}, model.impl()->what);
  execute_on({.stream = stream,
              .targets = options.outputs,
              .host_inputs = cuda->host_inputs(),
              .may_be_recorded = true},
             given);
  return options.outputs.empty() ? keep_results() : session::tensors_over(options.outputs, outputs);
}

Audit Session::Impl::audit(std::span<const TensorView> given, cuda::StreamHandle stream, AuditLevel level) {
  const session::GraphRuns& graphs = cuda->graphs();
  Audit audit;
  const StreamRequest request{.stream = stream, .host_inputs = cuda->host_inputs(), .audit = &audit};
  const auto run = [&] {
    audit.level = level;
    session::wait_for(execute_on(request, given), model.impl()->what);
  };
  run();
  if (level != AuditLevel::Graph) return audit;
  // The second run of these shapes is captured.
  if (graphs.replayed() == nullptr && graphs.last_run().reason == kFirstRun) run();
  if (graphs.replayed() == nullptr) {
    base::fail(ErrorCode::Unsupported,
               "{}: an audit of the graph, but the run was put on the stream call by call: {}",
               model.impl()->what, graphs.last_run().reason);
  }
  return audit;
}

void Session::Impl::require_cuda() const {
  if (is_on_cuda()) return;
  base::fail(ErrorCode::InvalidArgument, "{} is on the CPU, which has no streams; take Session::run",
             model.impl()->what);
}

}  // namespace penstock
