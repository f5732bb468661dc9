#include "tensorrt/execution_context.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace penstock::tensorrt {
namespace {

abi::Dims dims_of(std::span<const std::int64_t> sizes) {
  abi::Dims dims;
  dims.count = static_cast<std::int32_t>(sizes.size());
  std::ranges::copy(sizes, dims.sizes);
  return dims;
}

}  // namespace

AuxStreams::AuxStreams(const cuda::ExecutionResource& resource,
                       const std::shared_ptr<const cuda::PrimaryContext>& context, int count) {
  for (int i = 0; i < count; ++i) {
    streams_.push_back(std::make_unique<cuda::ResourceStream>(resource, context));
    handles_.push_back(streams_.back()->handle());
  }
}

ExecutionContext::ExecutionContext(std::shared_ptr<const BuiltEngine> engine, bool is_profiled)
    : engine_(std::move(engine)),
      is_profiled_(is_profiled),
      profiler_(engine_->library().numbering()),
      context_(engine_->create_context()),
      input_addresses_(engine_->inputs().size()),
      output_addresses_(engine_->outputs().size()),
      allocated_(engine_->outputs().size()) {
  if (is_profiled_) call<void>(slots().set_profiler, profiler_.object());
}

ExecutionContext::~ExecutionContext() {
  cuda::release(*engine_->source().context, "cuCtxPushCurrent", "a TensorRT context",
                [this](const cuda::Driver&) {
                  abi::destroy(context_);
                  return cuda::kSuccess;
                });
}

bool ExecutionContext::has(int profile, std::span<const EngineInput> inputs) const {
  if (!is_set_ || profile != profile_) return false;
  return std::ranges::equal(inputs_, inputs, [](const EngineInput& left, const EngineInput& right) {
    return left.sizes == right.sizes && left.values == right.values;
  });
}

void ExecutionContext::set(int profile, std::span<const EngineInput> inputs, cuda::StreamHandle stream) {
  is_set_ = false;
  const CollectedLog log;
  if (profile != profile_ && !call<bool>(slots().set_profile, static_cast<std::int32_t>(profile), stream)) {
    base::fail(ErrorCode::Internal, "{}: TensorRT does not take profile {}{}", engine_->what(), profile,
               log.text());
  }
  profile_ = profile;
  inputs_.assign(inputs.begin(), inputs.end());
  for (std::size_t i = 0; i < inputs_.size(); ++i) set_input(i, inputs_[i], log);
  std::vector<const char*> unresolved(engine_->inputs().size() + engine_->outputs().size());
  const auto count = call<std::int32_t>(slots().infer_shapes, static_cast<std::int32_t>(unresolved.size()),
                                        unresolved.data());
  if (count == 0) {
    output_sizes_.clear();
    for (std::size_t i = 0; i < engine_->outputs().size(); ++i)
      output_sizes_.push_back(read_output_sizes(i, log));
    is_set_ = true;
    return;
  }
  unresolved.resize(
      std::clamp<std::size_t>(static_cast<std::size_t>(std::max(count, 0)), 0, unresolved.size()));
  std::erase(unresolved, nullptr);
  base::fail(ErrorCode::InvalidArgument, "{}: its sizes do not follow from those of its inputs{}{}{}",
             engine_->what(), unresolved.empty() ? "" : ": not those of ", fmt::join(unresolved, ", "),
             log.text());
}

void ExecutionContext::set_input(std::size_t input, const EngineInput& given, const CollectedLog& log) {
  const TensorRTTensor& tensor = engine_->inputs()[input];
  const abi::Dims dims = dims_of(given.sizes);
  if (!call<bool>(slots().set_input_shape, tensor.name.c_str(), &dims)) {
    base::fail(ErrorCode::InvalidArgument, "{}: TensorRT does not take the sizes [{}] for input {}{}",
               engine_->what(), fmt::join(given.sizes, ", "), tensor.name, log.text());
  }
  // The values are read now, and again when it runs: from memory of this context.
  if (!tensor.on_host) return;
  input_addresses_[input] = nullptr;
  set_input_address(input, const_cast<std::byte*>(given.bytes.data()));
}

std::vector<std::int64_t> ExecutionContext::read_output_sizes(std::size_t output,
                                                              const CollectedLog& log) const {
  const TensorRTTensor& tensor = engine_->outputs()[output];
  const auto dims = call<abi::Dims>(slots().tensor_shape, tensor.name.c_str());
  if (dims.count < 0 || dims.count > abi::Dims::kMost) {
    base::fail(ErrorCode::Internal, "{}: TensorRT does not tell the sizes of output {}{}", engine_->what(),
               tensor.name, log.text());
  }
  return {dims.all().begin(), dims.all().end()};
}

void ExecutionContext::set_input_address(std::size_t input, void* data) {
  set_address(engine_->inputs()[input], data, input_addresses_[input]);
}

void ExecutionContext::set_output_address(std::size_t output, void* data) {
  set_address(engine_->outputs()[output], data, output_addresses_[output]);
}

void ExecutionContext::set_address(const TensorRTTensor& tensor, void* data, void*& known) {
  if (data == known) return;
  const CollectedLog log;
  known = nullptr;
  if (!call<bool>(slots().set_tensor_address, tensor.name.c_str(), data)) {
    base::fail(ErrorCode::Internal, "{}: TensorRT does not take the address {} for tensor {}{}",
               engine_->what(), data, tensor.name, log.text());
  }
  known = data;
}

void ExecutionContext::set_allocator(std::size_t output, OutputMemory* memory) {
  const std::string& name = engine_->outputs()[output].name;
  // Only who has outputs allocated: others of the same run have addresses.
  if (memory != nullptr) allocator_.serve(memory);
  if (memory == nullptr && !allocated_[output]) return;
  const CollectedLog log;
  void* const object = memory == nullptr ? nullptr : allocator_.object();
  if (!call<bool>(slots().set_output_allocator, name.c_str(), object)) {
    base::fail(ErrorCode::Internal, "{}: TensorRT takes no allocator for output {}{}", engine_->what(), name,
               log.text());
  }
  allocated_[output] = memory != nullptr;
  output_addresses_[output] = nullptr;
}

void ExecutionContext::set_memory(void* data, std::int64_t bytes) {
  if (data == memory_ && bytes == memory_bytes_) return;
  call<void>(slots().set_device_memory_v2, data, bytes);
  memory_ = data;
  memory_bytes_ = bytes;
}

void ExecutionContext::set_communicator(void* communicator) {
  if (communicator == communicator_) return;
  const CollectedLog log;
  if (!call<bool>(slots().set_communicator, communicator)) {
    base::fail(ErrorCode::InvalidArgument, "{}: TensorRT does not take the communicator {}{}",
               engine_->what(), communicator, log.text());
  }
  communicator_ = communicator;
}

void ExecutionContext::use(const std::shared_ptr<AuxStreams>& streams) {
  if (streams == aux_) return;
  std::vector<cuda::StreamHandle> handles(streams->handles().begin(), streams->handles().end());
  call<void>(slots().set_aux_streams, handles.data(), static_cast<std::int32_t>(handles.size()));
  aux_ = streams;
}

void ExecutionContext::enqueue(cuda::StreamHandle stream) {
  const CollectedLog log;
  const bool is_done = call<bool>(slots().enqueue, stream);
  if (const std::exception_ptr failure = allocator_.stop(); failure != nullptr) {
    try {
      std::rethrow_exception(failure);
    } catch (const Error& error) {
      throw Error(error.code(),
                  fmt::format("{}: no memory for an output: {}{}", engine_->what(), error.what(), log.text()),
                  error.cuda_result());
    }
  }
  if (!is_done) base::fail(ErrorCode::Internal, "{} could not be enqueued{}", engine_->what(), log.text());
}

}  // namespace penstock::tensorrt
