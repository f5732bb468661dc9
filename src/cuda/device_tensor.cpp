#include <penstock/device_memory.hpp>

#include "base/fail.hpp"
#include "cuda/context.hpp"
#include "cuda/device_memory.hpp"
#include "cuda/driver.hpp"
#include "cuda/graph.hpp"
#include "tensor/reach.hpp"

#include <functional>
#include <memory>

namespace penstock {
namespace {

using cuda::DevicePointer;

DevicePointer address(const void* data) { return reinterpret_cast<DevicePointer>(data); }

/// A stream for one copy, which so waits for nothing else on the device.
class CopyStream {
 public:
  explicit CopyStream(const cuda::PrimaryContext& context) : context_(context) {
    const cuda::ContextScope scope(context);
    constexpr int kPriority = 0;
    cuda::check(cuda::driver().stream_create_with_priority(&stream_, cuda::kStreamNonBlocking, kPriority),
                "cuStreamCreateWithPriority", "a stream for a copy");
  }
  ~CopyStream() {
    cuda::release(context_, "cuStreamDestroy", "a stream for a copy",
                  [this](const cuda::Driver& driver) { return driver.stream_destroy(stream_); });
  }
  CopyStream(const CopyStream&) = delete;
  CopyStream& operator=(const CopyStream&) = delete;

  void copy(void* to, const void* from, std::size_t bytes) const {
    if (bytes == 0) return;
    const cuda::ContextScope scope(context_);
    // A capture of this thread or another may forbid waits.
    const cuda::CaptureModeScope mode(cuda::kCaptureRelaxed);
    cuda::check(cuda::driver().memcpy_async(address(to), address(from), bytes, stream_), "cuMemcpyAsync",
                fmt::format("{} bytes between host and cuda:{}", bytes, context_.device()));
    cuda::check(cuda::driver().stream_synchronize(stream_), "cuStreamSynchronize",
                fmt::format("{} bytes between host and cuda:{}", bytes, context_.device()));
  }

 private:
  const cuda::PrimaryContext& context_;
  cuda::StreamHandle stream_ = nullptr;
};

}  // namespace

Tensor copy_to_device(const TensorView& view, Device device) {
  if (view.device() != Device{} || device.type != DeviceType::Cuda) {
    base::fail(ErrorCode::InvalidArgument,
               "a copy of a tensor on {} to {}; it goes from the CPU to a CUDA device",
               to_string(view.device()), to_string(device));
  }
  const auto context = cuda::primary_context(device.index);
  const std::size_t bytes = tensor::reached_bytes(view);
  const auto memory = cuda::device_memory(context);
  void* data = nullptr;
  if (bytes != 0) {
    data = memory->take(bytes);
    if (data == nullptr) {
      base::fail(ErrorCode::OutOfMemory, "cannot allocate {} bytes of memory of {}", bytes,
                 to_string(device));
    }
  }
  const std::shared_ptr<void> owner(data != nullptr ? data : memory.get(), [memory, data](void*) {
    if (data != nullptr) memory->give(data);
  });
  CopyStream(*context).copy(data, view.data(), bytes);
  return Tensor::adopt(TensorView(data, view.dtype(), view.sizes(), view.strides(), bytes, device), owner);
}

Tensor copy_to_host(const TensorView& view) {
  if (view.device().type != DeviceType::Cuda) {
    base::fail(ErrorCode::InvalidArgument, "a copy to the host of a tensor on {}; it goes from a CUDA device",
               to_string(view.device()));
  }
  const auto context = cuda::primary_context(view.device().index);
  const std::size_t bytes = tensor::reached_bytes(view);
  const Tensor whole = Tensor::empty(DType::UInt8, {static_cast<std::int64_t>(bytes)});
  CopyStream(*context).copy(whole.view().data(), view.data(), bytes);
  const TensorView as(whole.view().data(), view.dtype(), view.sizes(), view.strides(), bytes);
  return view.is_contiguous() ? Tensor::adopt(as, std::make_shared<Tensor>(whole)) : Tensor::copy_of(as);
}

}  // namespace penstock
