#include "session/cuda_session.hpp"

#include "base/fail.hpp"
#include "cuda/callers_capture.hpp"
#include "cuda/driver.hpp"
#include "cuda/graph.hpp"
#include "tensor/reach.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::session {
namespace {

cuda::DevicePointer address(const void* data) { return reinterpret_cast<cuda::DevicePointer>(data); }

/// Where the device reads host memory of this address; null where it cannot.
void* device_address(void* data, int device) {
  unsigned memory_type = 0;
  cuda::DevicePointer pointer = 0;
  int ordinal = -1;
  std::array<int, 3> attributes{cuda::kPointerMemoryType, cuda::kPointerDevicePointer,
                                cuda::kPointerDeviceOrdinal};
  std::array<void*, 3> values{&memory_type, &pointer, &ordinal};
  const cuda::Result result = cuda::driver().pointer_get_attributes(attributes.size(), attributes.data(),
                                                                    values.data(), address(data));
  if (result != cuda::kSuccess || pointer == 0) return nullptr;
  // Device memory that was said to be the host's is not the host's.
  if (memory_type == cuda::kMemoryDevice && ordinal != device) return nullptr;
  return reinterpret_cast<void*>(pointer);
}

std::size_t checked_bound(int max_lanes) {
  if (max_lanes >= 1) return static_cast<std::size_t>(max_lanes);
  base::fail(ErrorCode::InvalidArgument, "a session of at most {} lanes; it needs at least 1", max_lanes);
}

TensorView on_device(const TensorView& view, void* data, Device device) {
  return TensorView(data, view.dtype(), view.sizes(), view.strides(), view.storage_bytes(), device);
}

}  // namespace

CudaSession::CudaSession(std::shared_ptr<model::CudaModel> model, const SessionOptions& options)
    : lanes_(std::move(model), checked_bound(options.max_lanes)),
      graphs_(options.graphs),
      numerics_(options.numerics),
      host_inputs_(options.host_inputs) {}

PlacedInputs CudaSession::place(std::span<const TensorView> given, const model::InputRules& rules,
                                HostInputs host_inputs) {
  const auto is_elsewhere = [&](std::size_t i) {
    return given[i].device() == Device{} && rules.device_of(i).type == DeviceType::Cuda &&
           given[i].data() != nullptr;
  };
  std::size_t first = 0;
  // A wrong number of inputs is for the check of inputs to say.
  const std::size_t known = std::min(given.size(), rules.input_count());
  while (first < known && !is_elsewhere(first)) ++first;
  if (first == known) return {given, {}};
  const int device = lanes_.model().context()->device();
  const Device there{DeviceType::Cuda, device};
  // Without a context of the device the driver does not tell where that sees the host's memory.
  const cuda::ContextScope scope(*lanes_.model().context());
  views_.assign(given.begin(), given.end());
  to_copy_.clear();
  for (std::size_t i = first; i < known; ++i) {
    if (!is_elsewhere(i)) continue;
    void* const seen = device_address(given[i].data(), device);
    if (seen != nullptr) {
      views_[i] = on_device(given[i], seen, there);
    } else if (host_inputs == HostInputs::Copy) {
      views_[i] = on_device(given[i], given[i].data(), there);
      to_copy_.push_back(i);
    }
  }
  return {views_, to_copy_};
}

std::span<const TensorView> CudaSession::copy_inputs(const shim::CudaCall& call, const PlacedInputs& placed) {
  copies_.clear();
  if (placed.to_copy.empty()) return placed.views;
  for (const std::size_t i : placed.to_copy) {
    const TensorView& view = views_[i];
    const std::size_t bytes = tensor::reached_bytes(view);
    StoragePtr memory(call.pool->allocate(std::max(bytes, view.storage_bytes())));
    if (call.observer != nullptr) {
      call.observer->launched(shim::CudaObserver::Kind::Copy, "cuMemcpyHtoDAsync", call.stream);
    }
    cuda::check(cuda::driver().memcpy_htod_async(address(memory->data), view.data(), bytes, call.stream),
                "cuMemcpyHtoDAsync", "an input in host memory");
    views_[i] = on_device(view, memory->data, view.device());
    copies_.push_back(std::move(memory));
  }
  return views_;
}

bool CudaSession::hand_over_copies(std::span<AtenTensorHandle> outputs) {
  bool has_one = false;
  for (AtenTensorHandle& output : outputs) {
    if (output == nullptr) continue;
    const auto* const data = static_cast<const std::byte*>(output->data);
    for (const StoragePtr& copy : copies_) {
      const auto* const begin = static_cast<const std::byte*>(copy->data);
      if (data < begin || data >= begin + copy->bytes) continue;
      const auto offset = static_cast<std::size_t>(data - begin);
      copy->retain();
      const tensor::StorageReference part(tensor::narrow_storage(copy.get(), offset, copy->bytes - offset));
      tensor::TensorObject* const held = tensor::make_tensor(
          part.get(), {.dtype = output->dtype, .sizes = output->sizes(), .strides = output->strides()});
      tensor::free_tensor(std::exchange(output, held));
      has_one = true;
      break;
    }
  }
  copies_.clear();
  return has_one;
}

GraphStatistics CudaSession::graph_statistics() const {
  GraphStatistics statistics = graphs_.statistics();
  lanes_.add_graphs(statistics);
  return statistics;
}

void wait_for(cuda::StreamHandle stream, const std::string& what) {
  // A capture of this thread or another may forbid waits.
  const cuda::CaptureModeScope scope(cuda::kCaptureRelaxed);
  cuda::check(cuda::driver().stream_synchronize(stream), "cuStreamSynchronize", what);
  cuda::let_go_of_used();
}

}  // namespace penstock::session
