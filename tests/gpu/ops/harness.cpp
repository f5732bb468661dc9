#include "gpu/ops/harness.hpp"

#include "contract/recording.hpp"
#include "cuda_ops/library.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace penstock::gpu {
namespace {

constexpr std::size_t kMargin = 256;
constexpr unsigned char kMarginByte = 0xA5;

cuda::DevicePointer pointer(const void* data) { return reinterpret_cast<cuda::DevicePointer>(data); }

std::size_t rounded(std::size_t bytes) { return (bytes + kMargin - 1) / kMargin * kMargin; }

tensor::TensorObjectPtr same_layout(const tensor::TensorObject& tensor, tensor::Storage* storage) {
  return tensor::TensorObjectPtr(tensor::make_tensor(storage, {.dtype = tensor.dtype,
                                                               .sizes = tensor.sizes(),
                                                               .strides = tensor.strides(),
                                                               .storage_offset = tensor.storage_offset}));
}

}  // namespace

tensor::Storage* TestPool::allocate(std::size_t bytes) {
  const cuda::Driver& driver = cuda::driver();
  const std::size_t capacity = rounded(bytes);
  const auto free = std::ranges::find_if(
      blocks_, [&](const auto& block) { return !block->used && block->capacity == capacity; });
  Block* block = nullptr;
  if (free != blocks_.end()) {
    block = free->get();
  } else {
    auto made = std::make_unique<Block>();
    made->capacity = capacity;
    cuda::check(driver.mem_alloc(&made->memory, capacity + 2 * kMargin), "cuMemAlloc", "memory of a test");
    ++driver_calls_;
    held_ += capacity + 2 * kMargin;
    block = blocks_.emplace_back(std::move(made)).get();
  }
  block->used = true;
  block->bytes = bytes;
  const cuda::DevicePointer data = block->memory + kMargin;
  cuda::check(driver.memset_d8_async(block->memory, kMarginByte, capacity + 2 * kMargin, stream_),
              "cuMemsetD8Async", "memory of a test");
  if (bytes != 0) {
    // All bits set is NaN in every floating type.
    cuda::check(driver.memset_d8_async(data, 0xFF, bytes, stream_), "cuMemsetD8Async", "memory of a test");
  }
  tensor::Storage* storage = tensor::take_storage_object();
  storage->data = reinterpret_cast<void*>(data);
  storage->bytes = bytes;
  storage->device = {DeviceType::Cuda, 0};
  storage->release = &TestPool::release;
  storage->context = block;
  return storage;
}

void TestPool::release(tensor::Storage& storage) noexcept {
  static_cast<Block*>(storage.context)->used = false;
  tensor::give_storage_object(storage);
}

void TestPool::check_margins(const Block& block) {
  std::vector<unsigned char> bytes(block.capacity + 2 * kMargin);
  cuda::check(cuda::driver().memcpy_dtoh_async(bytes.data(), block.memory, bytes.size(), stream_),
              "cuMemcpyDtoHAsync", "memory of a test");
  cuda::check(cuda::driver().stream_synchronize(stream_), "cuStreamSynchronize", "the stream of tests");
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i >= kMargin && i < kMargin + block.bytes) continue;
    if (bytes[i] == kMarginByte) continue;
    damage_ += "byte " +
               std::to_string(static_cast<std::ptrdiff_t>(i) - static_cast<std::ptrdiff_t>(kMargin)) +
               " of a block of " + std::to_string(block.bytes) + " bytes was written\n";
    return;
  }
}

std::string TestPool::take_damage() {
  // The largest ones are workspaces, which would take long to look at.
  constexpr std::size_t kLargest = 4U << 20U;
  for (const auto& block : blocks_) {
    if (block->capacity <= kLargest) check_margins(*block);
  }
  return std::exchange(damage_, {});
}

void TestObserver::launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept {
  names.emplace_back(name);
  streams.insert(stream);
  if (kind == Kind::Library) ++libraries;
}

GpuMachine::GpuMachine() {
  const cuda::Driver& driver = cuda::driver();
  cuda::DeviceNumber device = 0;
  cuda::check(driver.device_get(&device, 0), "cuDeviceGet", "the first GPU");
  std::array<char, 128> text{};
  cuda::check(driver.device_get_name(text.data(), static_cast<int>(text.size()), device), "cuDeviceGetName",
              "the first GPU");
  name_ = text.data();
  cuda::check(driver.device_primary_ctx_retain(&call.context, device), "cuDevicePrimaryCtxRetain", name_);
  cuda::check(driver.ctx_set_current(call.context), "cuCtxSetCurrent", name_);
  int count = 0;
  cuda::check(driver.device_get_attribute(&count, cuda::kMultiprocessorCount, device), "cuDeviceGetAttribute",
              name_);
  call.sm_count = static_cast<unsigned>(count);
  cuda::check(driver.stream_create_with_priority(&call.stream, cuda::kStreamNonBlocking, 0),
              "cuStreamCreateWithPriority", name_);
  pool_ = std::make_unique<TestPool>(call.stream);
  call.pool = pool_.get();
  call.operators = &cuda_ops::library();
  call.observer = &observer;
}

void GpuMachine::prepare_all() {
  std::vector<std::string_view> names;
  for (const shim::TableEntry& entry : call.operators->functions()) names.push_back(entry.name);
  call.operators->prepare(names);
  reset_lane();
}

void GpuMachine::prepare_only(const std::string& name) const {
  if (prepared_ == name) return;
  synchronize();
  call.operators->release();
  const std::array<std::string_view, 1> names{name};
  call.operators->prepare(names);
  prepared_ = name;
}

void GpuMachine::reset_lane() {
  lane_ = call.operators->make_lane_state();
  call.lane = lane_.get();
}

void GpuMachine::synchronize() const {
  cuda::check(cuda::driver().stream_synchronize(call.stream), "cuStreamSynchronize", "the stream of tests");
}

void* GpuMachine::function(const std::string& name) const {
  std::string here = name;
  if (const auto at = here.find("_cpu_"); at != std::string::npos) here.replace(at, 5, "_cuda_");
  for (const shim::TableEntry& entry : call.operators->functions()) {
    if (entry.name != here) continue;
    prepare_only(here);
    return entry.address;
  }
  // Views are the core's, for tensors of any device.
  return Machine::function(here);
}

tensor::TensorObjectPtr GpuMachine::place(tensor::TensorObjectPtr tensor) {
  if (tensor == nullptr || tensor->storage->device.type == DeviceType::Cuda) return tensor;
  const tensor::StorageReference storage(pool_->allocate(tensor->storage->bytes));
  storage->constant = tensor->storage->constant;
  if (storage->bytes != 0) {
    cuda::check(cuda::driver().memcpy_htod_async(pointer(storage->data), tensor->storage->data,
                                                 storage->bytes, call.stream),
                "cuMemcpyHtoDAsync", "a tensor of a test");
    // The host's memory may go when this returns.
    synchronize();
  }
  return same_layout(*tensor, storage.get());
}

tensor::TensorObjectPtr GpuMachine::fetch(tensor::TensorObjectPtr tensor) {
  if (tensor == nullptr || tensor->storage == nullptr || tensor->storage->device.type == DeviceType::Cpu) {
    return tensor;
  }
  const tensor::StorageReference storage(tensor::allocate_host_storage(tensor->storage->bytes));
  if (storage->bytes != 0) {
    cuda::check(cuda::driver().memcpy_dtoh_async(storage->data, pointer(tensor->storage->data),
                                                 storage->bytes, call.stream),
                "cuMemcpyDtoHAsync", "a result of a test");
  }
  synchronize();
  return same_layout(*tensor, storage.get());
}

void GpuMachine::enter(shim::CallContext& context) { context.cuda = &call; }

tensor::TensorObjectPtr to_host(const tensor::TensorObject& tensor) {
  return gpu().fetch(same_layout(tensor, tensor.storage));
}

tensor::TensorObjectPtr gpu_tensor(const std::vector<std::int64_t>& sizes, const std::vector<float>& values) {
  std::vector<std::int64_t> strides(sizes.size());
  tensor::fill_contiguous_strides(sizes, strides);
  auto made = contract::make_output(sizes, strides, DType::Float32);
  std::memcpy(made->data, values.data(), values.size() * sizeof(float));
  return to_gpu(std::move(made));
}

std::vector<double> gpu_values(const tensor::TensorObject& tensor) {
  return contract::logical_values(*to_host(tensor));
}

tensor::TensorObjectPtr view(const tensor::TensorObject& tensor, const std::vector<std::int64_t>& sizes,
                             const std::vector<std::int64_t>& strides, std::int64_t offset) {
  return tensor::TensorObjectPtr(
      tensor::make_tensor(tensor.storage, {.dtype = tensor.dtype,
                                           .sizes = sizes,
                                           .strides = strides,
                                           .storage_offset = tensor.storage_offset + offset}));
}

void expect_steady(const std::string& text, const std::function<std::string()>& call) {
  const cuda::Driver& driver = cuda::driver();
  const int before = gpu().pool().driver_calls();
  gpu().observer.streams.clear();
  EXPECT_EQ(call(), "") << text;
  EXPECT_EQ(gpu().pool().driver_calls(), before) << "asked the driver for memory: " << text;
  EXPECT_EQ(gpu().observer.streams, std::set<cuda::StreamHandle>{gpu().call.stream}) << text;
  gpu().synchronize();
  ASSERT_EQ(driver.stream_begin_capture(gpu().call.stream, cuda::kCaptureThreadLocal), cuda::kSuccess);
  EXPECT_EQ(call(), "") << "while recorded: " << text;
  cuda::GraphHandle graph = nullptr;
  EXPECT_EQ(driver.stream_end_capture(gpu().call.stream, &graph), cuda::kSuccess) << text;
  EXPECT_NE(graph, nullptr) << text;
}

std::string GpuMachine::reason_against(const nlohmann::json& one) const {
  // What the CPU finds out when it looks at values.
  static constexpr std::array kOfValues{"is out of bounds for dimension", "sorter index out of range",
                                        "source < number of ones in mask"};
  const std::string error = one.value("error", "");
  if (one.contains("error") && one.value("names_no_place", false)) {
    return "the host does not wait to look at values on a device";
  }
  for (const char* text : kOfValues) {
    if (error.find(text) != std::string::npos) return "the host does not wait to look at values on a device";
  }
  // Here they are in order then, too.
  if (!one.value("sorted", true)) return "the order is nobody's wish";
  return {};
}

bool GpuMachine::names_same_of_equals(const nlohmann::json& one) const {
  return one.value("op", "") != "topk";
}

}  // namespace penstock::gpu
