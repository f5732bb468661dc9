#include "context.hpp"
#include "guard.hpp"
#include "layers.hpp"
#include "slots.hpp"

#include <algorithm>

namespace penstock::trt_double {
namespace {

constexpr std::int64_t kMostCleared = 1 << 20;

bool is_capturing(cuda::StreamHandle stream) {
  int status = cuda::kCaptureNone;
  check(driver().stream_is_capturing(stream, &status), "cuStreamIsCapturing");
  return status != cuda::kCaptureNone;
}

void check_addresses(const Context& context) {
  const Plan& plan = context.plan();
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const TensorPlan& tensor = plan.tensors[i];
    const Binding& binding = context.bindings[i];
    if (tensor.mode == IoMode::None) continue;
    if (binding.address == nullptr && binding.allocator == nullptr) {
      refuse_call("the address of " + tensor.name + " is not set");
    }
    if (tensor.alias.empty()) continue;
    const TensorPlan& input = *plan.find(tensor.alias.c_str());
    if (binding.allocator != nullptr) refuse_call(tensor.name + " is an alias and has an output allocator");
    if (binding.address != context.bindings[static_cast<std::size_t>(&input - plan.tensors.data())].address) {
      refuse_call(tensor.name + " has to have the address of " + tensor.alias + ", whose alias it is");
    }
  }
}

void check_memory(const Context& context) {
  const std::int64_t needed = context.plan().device_memory;
  if (needed == 0) return;
  if (context.memory == 0) refuse_call("the context has no device memory; set it before");
  if (context.memory_bytes < needed) {
    refuse_call("the context needs " + std::to_string(needed) + " bytes of device memory, and has " +
                std::to_string(context.memory_bytes));
  }
}

void check_streams(const Context& context, cuda::StreamHandle stream) {
  const auto& aux = context.aux_streams;
  if (std::find(aux.begin(), aux.end(), stream) != aux.end()) {
    refuse_call("the stream is also an auxiliary stream");
  }
  if (!is_capturing(stream)) return;
  if (context.profiler != nullptr) refuse_call("layers cannot be timed while the stream is captured");
  for (const LayerPlan& each : context.plan().layers) {
    if (each.kind == LayerKind::Nonzero) {
      refuse_call("layer " + each.name + " waits for its stream, and cannot be captured");
    }
  }
}

/// The stream of enqueue, then the auxiliary ones.
std::vector<cuda::StreamHandle> streams_of(Context& context, cuda::StreamHandle stream) {
  std::vector<cuda::StreamHandle> streams{stream};
  streams.insert(streams.end(), context.aux_streams.begin(), context.aux_streams.end());
  const auto wanted = static_cast<std::size_t>(context.plan().aux_streams) + 1;
  for (std::size_t own = 0; streams.size() < wanted; ++own) {
    if (own == context.own_streams.size()) context.own_streams.emplace_back(*context.code);
    streams.push_back(context.own_streams[own].handle());
  }
  return streams;
}

void note_enqueue(const Context& context, cuda::StreamHandle stream, const std::vector<Shape>& shapes) {
  const Plan& plan = context.plan();
  std::string line = "enqueueV3 " + context.counted.name() + " stream " + text_of(stream);
  for (std::size_t i = 0; std::cmp_less(i, plan.aux_streams); ++i) {
    line += i == 0 ? " aux " : " ";
    line += i < context.aux_streams.size() ? text_of(context.aux_streams[i]) : "own";
  }
  line += " shapes";
  for (std::size_t i = 0; i < plan.io_count(); ++i) {
    line += " " + plan.tensors[i].name + " " + text_of(shapes[i]);
  }
  note(line);
}

void report_times(const Context& context) {
  using Report = void(HostObject*, const char*, float);
  const Plan& plan = context.plan();
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    float milliseconds = 0;
    const auto& [start, end] = context.timers[i];
    check(driver().event_elapsed_time(&milliseconds, start.handle(), end.handle()), "cuEventElapsedTime");
    slot_of<Report>(*context.profiler, kReportLayerTime)(context.profiler, plan.layers[i].name.c_str(),
                                                         milliseconds);
  }
}

/// Fills what the context has to have as memory, so that one that is not there is found out.
void clear_memory(const Context& context, cuda::StreamHandle stream) {
  const std::int64_t bytes = context.plan().device_memory;
  if (bytes == 0) return;
  const std::int64_t cleared = std::min(bytes, kMostCleared);
  const cuda::DevicePointer last = context.memory + static_cast<cuda::DevicePointer>(bytes - cleared);
  check(driver().memset_d8_async(last, 0xff, static_cast<std::size_t>(cleared), stream), "cuMemsetD8Async");
}

}  // namespace

void enqueue(Context& context, cuda::StreamHandle stream) {
  note_enqueue(context, stream, known_shapes(context));
  fail_where_wanted("enqueueV3");
  if (current_device() != context.engine->device) {
    throw CudaProblem{"Cuda Runtime (the current context is of another device than the engine)"};
  }
  if (stream == nullptr) {
    log(context.logger, Severity::Warning,
        "IExecutionContext::enqueueV3: the default stream can cost time, as others wait for it");
  }
  const std::vector<const char*> missing = infer_shapes(context);
  if (!missing.empty()) refuse_call(std::string("the shape of ") + missing.front() + " is not specified");
  check_addresses(context);
  check_memory(context);
  check_streams(context, stream);
  if (context.plan().collectives && context.communicator == nullptr) {
    refuse_call("the engine has collectives, and there is no communicator");
  }
  Run run(context, streams_of(context, stream), known_shapes(context));
  run.place_known_outputs();
  clear_memory(context, stream);
  run.fork();
  for (std::size_t i = 0; i < context.plan().layers.size(); ++i) run.run_layer(i);
  fail_where_wanted("enqueueV3 midway");
  run.join();
  if (context.consumed != nullptr) {
    check(driver().event_record(context.consumed, stream), "cuEventRecord");
  }
  fail_where_wanted("enqueueV3 late");
  if (context.profiler == nullptr) return;
  check(driver().stream_synchronize(stream), "cuStreamSynchronize");
  report_times(context);
}

}  // namespace penstock::trt_double
