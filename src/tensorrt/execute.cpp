#include "tensorrt/execute.hpp"

#include "base/fail.hpp"
#include "objects/operator_call.hpp"
#include "shim/cuda_tensor.hpp"
#include "shim/results.hpp"
#include "tensor/layout.hpp"
#include "tensorrt/lane_engine.hpp"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::tensorrt {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

constexpr std::size_t kInputs = 0;
constexpr std::size_t kEngine = 1;
constexpr std::size_t kOutputs = 0;

/// What TensorRT asks of memory.
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

std::byte* aligned(void* data) {
  return reinterpret_cast<std::byte*>(aligned(reinterpret_cast<std::uintptr_t>(data)));
}

bool is_empty(std::span<const std::int64_t> sizes) { return std::ranges::find(sizes, 0) != sizes.end(); }

std::size_t bytes_of(DType dtype, std::span<const std::int64_t> sizes) {
  std::size_t bytes = element_bytes(dtype);
  for (const std::int64_t size : sizes) bytes *= static_cast<std::size_t>(size);
  return bytes;
}

/// One run of an engine.
class Run final : private OutputMemory {
 public:
  Run(OperatorCall& call, const TensorRTEngineState& state)
      : call_(call), state_(state), engine_(*state.built), cuda_(shim::cuda_call()), lane_(lane_engine()) {}
  ~Run() override {
    copies_.clear();
    for (tensor::Storage* const each : held_) each->drop();
    held_.clear();
    allocated_.clear();
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  void operator()();

 private:
  LaneEngine& lane_engine() const;
  void check_counts() const;
  void take_inputs();
  void take_input(std::size_t input);
  void read_values(std::size_t input, const TensorObject& tensor);
  [[nodiscard]] bool lies_well(std::size_t input, const TensorObject& tensor) const;
  void make_memory();
  void place_outputs();
  void place_output(std::size_t output);
  void give_allocated();
  tensor::Storage* hold(std::size_t bytes);
  void give(std::size_t output, tensor::Storage& storage, const std::byte* data,
            std::span<const std::int64_t> sizes);
  void* allocate(const char* name, std::uint64_t bytes, std::uint64_t alignment, void* stream) override;
  void set_shape(const char* name, const abi::Dims& shape) override;
  AllocatedOutput& allocated(const char* name);

  OperatorCall& call_;
  const TensorRTEngineState& state_;
  const BuiltEngine& engine_;
  const shim::CudaCall& cuda_;
  LaneEngine& lane_;
  // Of the lane's scratch, and empty between runs, but for inputs.
  std::vector<EngineInput>& inputs_ = lane_.scratch().inputs;
  std::vector<TensorObjectPtr>& copies_ = lane_.scratch().copies;
  std::vector<tensor::Storage*>& held_ = lane_.scratch().held;
  std::vector<std::optional<AllocatedOutput>>& allocated_ = lane_.scratch().allocated;
  std::shared_ptr<ExecutionContext> context_;
  std::byte* empty_address_ = nullptr;  ///< The address of tensors without elements.
};

LaneEngine& Run::lane_engine() const {
  if (cuda_.kept == nullptr)
    base::fail(ErrorCode::Unsupported, "{} is called while its model is loaded", engine_.what());
  std::shared_ptr<void>& kept = (*cuda_.kept)[&call_.object(kEngine)];
  if (kept == nullptr) kept = std::make_shared<LaneEngine>(engine_.source().context);
  return *static_cast<LaneEngine*>(kept.get());
}

void Run::operator()() {
  check_counts();
  lane_.begin(state_, cuda_);
  take_inputs();
  context_ = lane_.context_for(lane_.choose_profile(inputs_, cuda_), inputs_, cuda_);
  make_memory();
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    if (!engine_.inputs()[i].on_host)
      context_->set_input_address(i, is_empty(inputs_[i].sizes) ? empty_address_ : inputs_[i].data);
  }
  place_outputs();
  cuda::StreamHandle const stream = lane_.fork(cuda_);
  if (cuda_.observer != nullptr)
    cuda_.observer->launched(shim::CudaObserver::Kind::Library, shim::kEngineCall, stream);
  try {
    context_->enqueue(stream);
  } catch (...) {
    // Some of it may be on its way all the same, in memory that the run's stream uses again.
    lane_.join_all(cuda_, stream);
    throw;
  }
  lane_.join(cuda_, stream);
  give_allocated();
  if (state_.profiling) {
    cuda_.read_by_host = "tensorrt::execute_engine with profiling";
    call_.object<TensorRTEngine>(kEngine).impl().set_times(context_->take_times());
  }
  if (cuda_.used_by_graph != nullptr) cuda_.used_by_graph->push_back(context_);
}

void Run::check_counts() const {
  if (call_.count(kInputs) == engine_.inputs().size() &&
      call_.result_count(kOutputs) == engine_.outputs().size())
    return;
  base::fail(ErrorCode::InvalidArgument, "{} has {} inputs and {} outputs; it is called with {} and {}",
             engine_.what(), engine_.inputs().size(), engine_.outputs().size(), call_.count(kInputs),
             call_.result_count(kOutputs));
}

void Run::take_inputs() {
  inputs_.resize(engine_.inputs().size());
  for (std::size_t i = 0; i < inputs_.size(); ++i) take_input(i);
}

void Run::take_input(std::size_t input) {
  const TensorRTTensor& wanted = engine_.inputs()[input];
  const TensorObject* const tensor = call_.impl().tensor(kInputs, input);
  if (tensor == nullptr || tensor->storage == nullptr)
    base::fail(ErrorCode::InvalidArgument, "{}: input {} is None", engine_.what(), wanted.name);
  if (tensor->dtype != wanted.dtype) {
    base::fail(ErrorCode::InvalidArgument, "{}: input {} is {}, the plan has {}", engine_.what(), wanted.name,
               dtype_name(tensor->dtype), dtype_name(wanted.dtype));
  }
  EngineInput& taken = inputs_[input];
  taken.sizes.assign(tensor->sizes().begin(), tensor->sizes().end());
  taken.values.clear();
  if (taken.sizes.size() > abi::Dims::kMost) {
    base::fail(ErrorCode::InvalidArgument, "{}: input {} has {} dimensions; TensorRT takes {}",
               engine_.what(), wanted.name, taken.sizes.size(), abi::Dims::kMost);
  }
  if (wanted.on_host) return read_values(input, *tensor);
  taken.data = tensor->data;
  if (lies_well(input, *tensor)) return;
  TensorObjectPtr copy = shim::make_cuda_result(tensor->dtype, tensor->sizes());
  shim::copy_with_cuda(*copy, *tensor);
  taken.data = copy->data;
  copies_.push_back(std::move(copy));
}

/// True where the engine can read it as it is. An input that it changes has to be: a copy would be changed
/// instead.
bool Run::lies_well(std::size_t input, const TensorObject& tensor) const {
  constexpr std::uintptr_t kLeast = 16;
  if (is_empty(tensor.sizes())) return true;
  const bool on_device = shim::is_on_cuda(tensor);
  const bool is_dense = tensor::is_contiguous(tensor.sizes(), tensor.strides());
  const bool is_aligned = reinterpret_cast<std::uintptr_t>(tensor.data) % kLeast == 0;
  if (on_device && is_dense && is_aligned) return true;
  for (std::size_t output = 0; output < engine_.outputs().size(); ++output) {
    if (engine_.aliased_input(output) != input) continue;
    base::fail(
        ErrorCode::InvalidArgument,
        "{} changes input {} in place, which {}; give one that is row-major, on the device and aligned to {} "
        "bytes",
        engine_.what(), engine_.inputs()[input].name,
        !on_device  ? "is in host memory"
        : !is_dense ? "is not row-major"
                    : "is not aligned",
        kLeast);
  }
  return false;
}

/// The values of a shape, which TensorRT reads on the host: so the run waits for them, and no graph may hold
/// it.
void Run::read_values(std::size_t input, const TensorObject& tensor) {
  EngineInput& taken = inputs_[input];
  taken.bytes.resize(bytes_of(tensor.dtype, taken.sizes));
  const tensor::StorageReference storage(
      tensor::borrow_storage(taken.bytes.data(), taken.bytes.size(), {DeviceType::Cpu, 0}));
  std::vector<std::int64_t> strides(taken.sizes.size(), 1);
  for (std::size_t i = strides.size(); i-- > 1;) strides[i - 1] = strides[i] * taken.sizes[i];
  const TensorObjectPtr host(
      tensor::make_tensor(storage.get(), {.dtype = tensor.dtype, .sizes = taken.sizes, .strides = strides}));
  if (!tensor::is_contiguous(tensor.sizes(), tensor.strides())) {
    base::fail(ErrorCode::Unsupported, "{}: input {} holds the values of a shape, and is not row-major",
               engine_.what(), engine_.inputs()[input].name);
  }
  if (shim::is_on_cuda(tensor)) {
    shim::copy_with_cuda(*host, tensor);
  } else if (!taken.bytes.empty()) {
    std::memcpy(taken.bytes.data(), tensor.data, taken.bytes.size());
  }
  cuda_.read_by_host = "tensorrt::execute_engine with the values of a shape";
  const std::size_t count = taken.bytes.size() / element_bytes(tensor.dtype);
  for (std::size_t i = 0; i < count; ++i) {
    std::int64_t value = 0;
    if (tensor.dtype == DType::Int64) {
      std::memcpy(&value, taken.bytes.data() + i * sizeof value, sizeof value);
    } else if (tensor.dtype == DType::Int32) {
      std::int32_t narrow = 0;
      std::memcpy(&narrow, taken.bytes.data() + i * sizeof narrow, sizeof narrow);
      value = narrow;
    } else {
      base::fail(ErrorCode::Unsupported, "{}: input {} holds the values of a shape, and is {}",
                 engine_.what(), engine_.inputs()[input].name, dtype_name(tensor.dtype));
    }
    taken.values.push_back(value);
  }
}

tensor::Storage* Run::hold(std::size_t bytes) {
  held_.reserve(held_.size() + 1);
  held_.push_back(cuda_.pool->allocate(bytes));
  return held_.back();
}

void Run::make_memory() {
  const auto bytes = static_cast<std::size_t>(engine_.context_bytes());
  empty_address_ = aligned(hold(aligned(bytes) + 2 * kAlignment)->data);
  if (engine_.slots().context_bytes != abi::kNone)
    context_->set_memory(empty_address_ + kAlignment, static_cast<std::int64_t>(aligned(bytes)));
}

void Run::place_outputs() {
  allocated_.resize(engine_.outputs().size());
  for (std::size_t i = 0; i < allocated_.size(); ++i) place_output(i);
}

void Run::place_output(std::size_t output) {
  const TensorRTTensor& tensor = engine_.outputs()[output];
  if (const auto input = engine_.aliased_input(output)) {
    call_.give_argument(kOutputs, kInputs, output, *input);
    context_->set_output_address(output,
                                 is_empty(inputs_[*input].sizes) ? empty_address_ : inputs_[*input].data);
    return;
  }
  const std::vector<std::int64_t>& sizes = context_->output_sizes(output);
  if (state_.output_allocator || std::ranges::find(sizes, -1) != sizes.end()) {
    allocated_[output].emplace();
    context_->set_allocator(output, this);
    return;
  }
  context_->set_allocator(output, nullptr);
  const std::byte* data = nullptr;
  if (state_.reused_outputs && !cuda_.is_capture) {
    tensor::Storage& kept = *lane_.reused_output({&call_.impl().prepared, output},
                                                 bytes_of(tensor.dtype, sizes) + kAlignment, *cuda_.pool);
    data = aligned(kept.data);
    give(output, kept, data, sizes);
  } else {
    data = static_cast<const std::byte*>(call_.make_result(kOutputs, tensor.dtype, sizes, output).data());
  }
  context_->set_output_address(output, is_empty(sizes) ? empty_address_ : const_cast<std::byte*>(data));
}

void Run::give(std::size_t output, tensor::Storage& storage, const std::byte* data,
               std::span<const std::int64_t> sizes) {
  const DType dtype = engine_.outputs()[output].dtype;
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (std::size_t i = strides.size(); i-- > 1;)
    strides[i - 1] = strides[i] * std::max<std::int64_t>(sizes[i], 1);
  const std::ptrdiff_t offset = data - static_cast<const std::byte*>(storage.data);
  const TensorObjectPtr made(tensor::make_tensor(
      &storage, {.dtype = dtype,
                 .sizes = sizes,
                 .strides = strides,
                 .storage_offset = offset / static_cast<std::ptrdiff_t>(element_bytes(dtype))}));
  call_.impl().set(kOutputs, output, *made);
}

AllocatedOutput& Run::allocated(const char* name) {
  for (std::size_t i = 0; i < allocated_.size(); ++i) {
    if (allocated_[i] && engine_.outputs()[i].name == name) return *allocated_[i];
  }
  base::fail(ErrorCode::Internal, "{}: TensorRT speaks of an output {}, which is not to be allocated",
             engine_.what(), name);
}

void* Run::allocate(const char* name, std::uint64_t bytes, std::uint64_t /*alignment*/, void* /*stream*/) {
  // From the run's memory, whose order is that of the run's stream, which the engine's comes after.
  AllocatedOutput& output = allocated(name);
  output.storage = hold(bytes + kAlignment);
  output.data = aligned(output.storage->data);
  return output.data;
}

void Run::set_shape(const char* name, const abi::Dims& shape) {
  if (shape.count < 0 || shape.count > abi::Dims::kMost) {
    base::fail(ErrorCode::Internal, "{}: TensorRT says that output {} has {} dimensions", engine_.what(),
               name, shape.count);
  }
  allocated(name).sizes.emplace(shape.all().begin(), shape.all().end());
}

void Run::give_allocated() {
  for (std::size_t i = 0; i < allocated_.size(); ++i) {
    if (!allocated_[i]) continue;
    cuda_.read_by_host = "tensorrt::execute_engine with outputs whose sizes the data decide";
    AllocatedOutput& output = *allocated_[i];
    if (!output.sizes || (output.storage == nullptr && !is_empty(*output.sizes))) {
      base::fail(ErrorCode::Internal, "{}: TensorRT did not ask for memory, or tell the sizes, of output {}",
                 engine_.what(), engine_.outputs()[i].name);
    }
    tensor::Storage* const storage = output.storage != nullptr ? output.storage : hold(kAlignment);
    const auto* const data =
        output.data != nullptr ? output.data : static_cast<const std::byte*>(storage->data);
    give(i, *storage, data, *output.sizes);
  }
}

}  // namespace

void execute_engine(OperatorCall& call) {
  const auto& state = call.state<TensorRTEngineState>(kEngine);
  Run run(call, state);
  run();
}

}  // namespace penstock::tensorrt
