#include "session/captured_run.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "tensor/reach.hpp"

#include <algorithm>
#include <utility>

namespace penstock::session {
namespace {

/// Addresses in both captures are alike modulo this: kernels are chosen by alignment.
constexpr std::size_t kAlignment = 256;

cuda::DevicePointer address(const void* data) { return reinterpret_cast<cuda::DevicePointer>(data); }

std::byte* bytes_at(void* data) { return static_cast<std::byte*>(data); }

std::vector<cuda::GraphNode> nodes_of(const cuda::Graph& graph) {
  std::vector<cuda::GraphNode> nodes;
  for (cuda::GraphNodeHandle const node : graph.nodes()) nodes.emplace_back(node);
  return nodes;
}

void free_all(std::span<AtenTensorHandle> tensors) noexcept {
  for (AtenTensorHandle& tensor : tensors) tensor::free_tensor(std::exchange(tensor, nullptr));
}

/// Finds places for all memory within one piece of it: nothing of a second capture is executed, so they may
/// overlap. Each is at a distance of its own from where it was, so that the distance tells them apart.
class Elsewhere {
 public:
  Elsewhere(Elsewhere&& other) noexcept
      : scratch_(std::exchange(other.scratch_, nullptr)), distances_(std::move(other.distances_)) {}
  ~Elsewhere() {
    if (scratch_ != nullptr) scratch_->drop();
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;
  Elsewhere& operator=(Elsewhere&&) = delete;

  Elsewhere(tensor::Allocator& pool, std::size_t most_bytes, std::size_t count)
      : scratch_(pool.allocate(most_bytes + 2 * (count + 1) * kAlignment)) {}

  void* place(const void* captured, std::size_t bytes) {
    if (bytes == 0) return const_cast<void*>(captured);
    const auto from = reinterpret_cast<std::uintptr_t>(captured);
    auto to = reinterpret_cast<std::uintptr_t>(scratch_->data) / kAlignment * kAlignment + from % kAlignment +
              (distances_.size() + 1) * kAlignment;
    while (std::ranges::find(distances_, to - from) != distances_.end()) to += kAlignment;
    distances_.push_back(to - from);
    return reinterpret_cast<void*>(to);
  }

 private:
  tensor::Storage* scratch_;
  std::vector<std::uintptr_t> distances_;
};

}  // namespace

/// Not inlined: parameters of kernels may hold addresses of the stack (of factors that a library is given by
/// address), which are the same in both captures where both are called from one function.
[[gnu::noinline]] cuda::Graph capture_run(const CaptureRequest& request, std::span<const TensorView> inputs,
                                          tensor::Allocator& allocator, GraphHoldings& used) {
  shim::CudaCall call = request.call;
  call.stream = request.stream;
  call.pool = &allocator;
  call.observer = nullptr;
  call.is_capture = true;
  call.used_by_graph = &used;
  call.read_by_host = nullptr;
  cuda::CaptureScope scope(request.stream, request.context);
  request.run_model(inputs, call);
  if (call.read_by_host != nullptr)
    base::fail(ErrorCode::Unsupported, "{} needs the host", call.read_by_host);
  return scope.end();
}

/// What a second capture is made with.
struct CapturedRun::Moved {
  Elsewhere elsewhere;  ///< Holds the memory.
  std::vector<MovableMemory> memory;
  std::vector<TensorView> inputs;
  std::vector<Allocation> allocations;
};

CapturedRun::CapturedRun(const CaptureRequest& request) : node_context_(request.node_context) {
  // A call that slips through, and would wait or allocate, is to fail and to end the capture.
  const cuda::CaptureModeScope mode(cuda::kCaptureThreadLocal);
  RecordingAllocator recording(request.memory);
  graph_ = capture_run(request, request.inputs, recording, used_);
  try {
    find_results(request.outputs, request.inputs, recording.all());
  } catch (...) {
    free_all(request.outputs);
    throw;
  }
  for (const TensorView& input : request.inputs) captured_inputs_.push_back(input.data());
  try {
    Moved moved = move_elsewhere(request, recording.all());
    RepeatingAllocator repeating(std::move(moved.allocations), {DeviceType::Cuda, request.call.device});
    const cuda::Graph other = capture_run(request, moved.inputs, repeating, used_);
    free_all(request.outputs);
    addresses_ = GraphAddresses(nodes_of(graph_), nodes_of(other), moved.memory, node_context_);
  } catch (const Error& error) {
    if (cuda::is_sticky(error.cuda_result())) throw;
    addresses_ = GraphAddresses(error.what());
  }
  exec_ = cuda::GraphExec(graph_, request.context);
}

void CapturedRun::find_results(std::span<AtenTensorHandle> outputs, std::span<const TensorView> inputs,
                               std::span<const Allocation> allocations) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    tensor::TensorObjectPtr output(std::exchange(outputs[i], nullptr));
    if (output == nullptr) {
      results_.push_back({.place = Result::Place::None});
      continue;
    }
    Result result{.dtype = output->dtype,
                  .sizes = {output->sizes().begin(), output->sizes().end()},
                  .strides = {output->strides().begin(), output->strides().end()}};
    if (output->storage->device.type != DeviceType::Cuda) {
      base::fail(ErrorCode::Unsupported, "out{} is in host memory", i);
    }
    if (!find_in_memory(*output, allocations, result) && !find_in_inputs(*output, inputs, result)) {
      if (!output->storage->of_model) base::fail(ErrorCode::Unsupported, "out{} is in memory of its own", i);
      result.place = Result::Place::Weight;
      result.weight = std::move(output);
    }
    results_.push_back(std::move(result));
  }
}

bool CapturedRun::find_in_memory(const tensor::TensorObject& output, std::span<const Allocation> allocations,
                                 Result& result) {
  // What was released may have been allocated again: the last one is the one that lives.
  std::size_t allocation = allocations.size();
  while (allocation-- > 0) {
    const Allocation& each = allocations[allocation];
    const auto* const begin = static_cast<const std::byte*>(each.data);
    if (output.data < begin || output.data >= begin + std::max<std::size_t>(each.bytes, 1)) continue;
    result.place = Result::Place::Memory;
    result.offset = static_cast<std::size_t>(output.data - begin);
    const auto known =
        std::ranges::find_if(memory_, [&](const auto& one) { return one.allocation == allocation; });
    result.index = static_cast<std::size_t>(known - memory_.begin());
    if (known == memory_.end()) {
      memory_.push_back({.allocation = allocation, .captured = each.data, .bytes = each.bytes});
    }
    return true;
  }
  return false;
}

bool CapturedRun::find_in_inputs(const tensor::TensorObject& output, std::span<const TensorView> inputs,
                                 Result& result) {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const auto* const begin = static_cast<const std::byte*>(inputs[i].data());
    const std::size_t bytes = std::max<std::size_t>(tensor::reached_bytes(inputs[i]), 1);
    if (begin == nullptr || output.data < begin || output.data >= begin + bytes) continue;
    result.place = Result::Place::Input;
    result.index = i;
    result.offset = static_cast<std::size_t>(output.data - begin);
    return true;
  }
  return false;
}

CapturedRun::Moved CapturedRun::move_elsewhere(const CaptureRequest& request,
                                               const std::vector<Allocation>& allocations) const {
  std::vector<MovableMemory> memory;
  for (const TensorView& input : request.inputs) {
    memory.push_back({.captured = input.data(), .bytes = tensor::reached_bytes(input)});
  }
  for (const ResultMemory& each : memory_) {
    memory.push_back({.captured = each.captured, .bytes = each.bytes});
  }
  std::size_t most = 0;
  for (const MovableMemory& each : memory) most = std::max(most, each.bytes);
  Elsewhere elsewhere(*request.call.pool, most, memory.size());
  Moved moved{.elsewhere = std::move(elsewhere),
              .memory = std::move(memory),
              .inputs = {},
              .allocations = allocations};
  for (std::size_t i = 0; i < moved.memory.size(); ++i) {
    MovableMemory& each = moved.memory[i];
    void* const place = moved.elsewhere.place(each.captured, each.bytes);
    each.elsewhere = place;
    if (i >= request.inputs.size()) {
      moved.allocations[memory_[i - request.inputs.size()].allocation].data = place;
      continue;
    }
    const TensorView& input = request.inputs[i];
    moved.inputs.emplace_back(place, input.dtype(), input.sizes(), input.strides(), input.storage_bytes(),
                              input.device());
  }
  return moved;
}

bool CapturedRun::can_take(std::span<const TensorView> inputs) const noexcept {
  return obstacle().empty() || std::ranges::equal(inputs, captured_inputs_, {}, &TensorView::data);
}

std::size_t CapturedRun::replay(std::span<const TensorView> inputs, const shim::CudaCall& call,
                                std::span<AtenTensorHandle> outputs) {
  std::size_t patched = 0;
  launched_ = false;
  try {
    // Results are given back first to last, and what was given back last comes first: so each gets its own
    // memory again.
    for (auto each = memory_.rbegin(); each != memory_.rend(); ++each)
      each->now = call.pool->allocate(each->bytes);
    if (obstacle().empty()) {
      move_to(inputs);
      patched = update();
    }
    launched_ = true;
    exec_.launch(call.stream);
    if (!obstacle().empty()) copy_results(call);
    for (std::size_t i = 0; i < results_.size(); ++i) outputs[i] = make_result(results_[i], inputs).release();
  } catch (...) {
    free_all(outputs);
    drop_result_memory();
    throw;
  }
  drop_result_memory();
  return patched;
}

std::size_t CapturedRun::update() {
  if (!addresses_.has_moved()) return 0;
  const cuda::ContextScope scope(node_context_);
  return addresses_.update(exec_.handle());
}

void CapturedRun::move_to(std::span<const TensorView> inputs) {
  for (std::size_t i = 0; i < inputs.size(); ++i) addresses_.move(i, inputs[i].data());
  for (std::size_t k = 0; k < memory_.size(); ++k) addresses_.move(inputs.size() + k, memory_[k].now->data);
}

void CapturedRun::copy_results(const shim::CudaCall& call) const {
  for (const ResultMemory& each : memory_) {
    if (each.bytes == 0) continue;
    if (call.observer != nullptr)
      call.observer->launched(shim::CudaObserver::Kind::Copy, "cuMemcpyDtoDAsync", call.stream);
    cuda::check(cuda::driver().memcpy_dtod_async(address(each.now->data), address(each.captured), each.bytes,
                                                 call.stream),
                "cuMemcpyDtoDAsync", "a result of a replayed run");
  }
}

void CapturedRun::drop_result_memory() noexcept {
  for (ResultMemory& each : memory_) {
    if (each.now != nullptr) std::exchange(each.now, nullptr)->drop();
  }
}

tensor::TensorObjectPtr CapturedRun::make_result(const Result& result,
                                                 std::span<const TensorView> inputs) const {
  tensor::Layout layout{.dtype = result.dtype, .sizes = result.sizes, .strides = result.strides};
  switch (result.place) {
    case Result::Place::Memory: {
      const ResultMemory& memory = memory_[result.index];
      if (result.offset == 0) return tensor::TensorObjectPtr(tensor::make_tensor(memory.now, layout));
      memory.now->retain();
      const tensor::StorageReference part(
          tensor::narrow_storage(memory.now, result.offset, memory.bytes - result.offset));
      return tensor::TensorObjectPtr(tensor::make_tensor(part.get(), layout));
    }
    case Result::Place::Input: {
      const TensorView& input = inputs[result.index];
      const tensor::StorageReference storage(tensor::borrow_storage(
          bytes_at(input.data()) + result.offset, input.storage_bytes() - result.offset, input.device()));
      return tensor::TensorObjectPtr(tensor::make_tensor(storage.get(), layout));
    }
    case Result::Place::None: return nullptr;
    case Result::Place::Weight: break;
  }
  layout.storage_offset = result.weight->storage_offset;
  return tensor::TensorObjectPtr(tensor::make_tensor(result.weight->storage, layout));
}

}  // namespace penstock::session
