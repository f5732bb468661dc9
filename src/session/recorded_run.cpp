#include "session/recorded_run.hpp"

#include "base/fail.hpp"
#include "cuda/device_memory.hpp"
#include "model/cuda_model.hpp"

#include <algorithm>
#include <utility>

namespace penstock::session {
namespace {

/// Of the lane and the run's key. Errors: as record_run.
Lane& find_prepared(const RecordRequest& request) {
  Lane* const lane =
      request.lanes.find(cuda::resource_of_captured(request.stream, *request.lanes.model().context()));
  GraphKey key;
  key.set(request.inputs, request.versions, request.storage_counts);
  const GraphEntry* const entry = lane == nullptr ? nullptr : lane->graphs.find(key);
  if (entry == nullptr || !entry->warm) {
    base::fail(ErrorCode::InvalidArgument,
               "the stream is being captured into a CUDA graph, and no run like this one has gone before on "
               "this device or partition: before the capture, call Session::prepare with these shapes and "
               "such a stream, or where inputs are aligned or overlap otherwise than buffers of their own, "
               "run once; the capture is as it was");
  }
  // What was captured once keeps only its replays from other addresses.
  if (!entry->obstacle.empty() && entry->captured.empty()) {
    base::fail(ErrorCode::Unsupported,
               "the stream is being captured into a CUDA graph, which this run cannot be: {}; the capture is "
               "as it was",
               entry->obstacle);
  }
  return *lane;
}

/// Lets a result in memory of the capture hold what was recorded.
void hand_over(AtenTensorHandle& output, std::size_t index, const RecordRequest& request,
               const std::vector<Allocation>& allocations, const std::shared_ptr<RecordedRun>& recorded) {
  const tensor::TensorObject& result = *output;
  const Device device = result.storage->device;
  if (device.type != DeviceType::Cuda) base::fail(ErrorCode::Unsupported, "out{} is in host memory", index);
  for (const Allocation& each : allocations) {
    const auto* const begin = static_cast<const std::byte*>(each.data);
    if (result.data < begin || result.data >= begin + std::max<std::size_t>(each.bytes, 1)) continue;
    const auto offset = static_cast<std::size_t>(result.data - begin);
    const tensor::StorageReference storage(
        tensor::hold_storage(result.data, each.bytes - std::min(offset, each.bytes), device, recorded));
    tensor::TensorObject* const held = tensor::make_tensor(
        storage.get(), {.dtype = result.dtype, .sizes = result.sizes(), .strides = result.strides()});
    tensor::free_tensor(std::exchange(output, held));
    return;
  }
  const bool is_input = std::ranges::any_of(request.inputs, [&](const TensorView& input) {
    const auto* const begin = static_cast<const std::byte*>(input.data());
    return begin != nullptr && result.data >= begin &&
           result.data < begin + std::max<std::size_t>(input.storage_bytes(), 1);
  });
  if (!is_input && !result.storage->of_model)
    base::fail(ErrorCode::Unsupported, "out{} is in memory of its own", index);
}

}  // namespace

std::shared_ptr<RecordedRun> RecordedRun::make(std::shared_ptr<Model::Impl> model,
                                               std::shared_ptr<model::Container> version,
                                               std::vector<objects::ExecutorSession::Slot> objects) {
  // Where there is no memory for the share, it is put by as well.
  return {new RecordedRun(std::move(model), std::move(version), std::move(objects)), &UsedOnDevice::put_by};
}

RecordedRun::RecordedRun(std::shared_ptr<Model::Impl> model, std::shared_ptr<model::Container> version,
                         std::vector<objects::ExecutorSession::Slot> objects)
    : model_(std::move(model)),
      version_(std::move(version)),
      objects_(std::move(objects)),
      pool_(cuda::device_memory(model_->cuda->context())),
      memory_(pool_) {}

RecordedRun::~RecordedRun() {
  cuda::release(*model_->cuda->context(), "cuMemFree", "a run in a graph of the caller",
                [this](const cuda::Driver&) {
                  memory_.release();
                  pool_.release_unused();
                  used_.clear();
                  operators_.reset();
                  objects_.clear();
                  return cuda::kSuccess;
                });
}

void record_run(const RecordRequest& request, const std::shared_ptr<RecordedRun>& recorded) {
  // Memory has to be allocated, which concerns nobody's capture, and would end the caller's otherwise.
  const cuda::CaptureModeScope relaxed(cuda::kCaptureRelaxed);
  if (!relaxed.is_set())
    base::fail(ErrorCode::Cuda, "cuThreadExchangeStreamCaptureMode failed; the capture is as it was");
  const cuda::CallersCapture callers(request.stream);
  Lane& lane = find_prepared(request);
  recorded->hold(lane.operators);
  const std::shared_ptr<const cuda::PrimaryContext>& context = request.lanes.model().context();
  const cuda::ContextScope scope(*context);
  shim::CudaCall call = request.lanes.call_of(lane);
  call.numerics = request.numerics;
  const CaptureRequest capture{.run_model = request.run_model,
                               .inputs = request.inputs,
                               .outputs = request.outputs,
                               .call = call,
                               .stream = request.lanes.own_stream(lane),
                               .node_context = lane.context,
                               .context = context,
                               .memory = recorded->memory()};
  RecordingAllocator recording(recorded->memory());
  const cuda::Graph graph = capture_run(capture, request.inputs, recording, recorded->used());
  for (std::size_t i = 0; i < request.outputs.size(); ++i) {
    if (request.outputs[i] != nullptr) hand_over(request.outputs[i], i, request, recording.all(), recorded);
  }
  callers.keep(recorded);
  callers.add(graph);
}

}  // namespace penstock::session
