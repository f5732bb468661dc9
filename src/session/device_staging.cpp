#include "session/staging.hpp"

#include "cuda/driver.hpp"
#include "tensor/tensor_object.hpp"

namespace penstock::session {
namespace {

cuda::DevicePointer address(const void* data) { return reinterpret_cast<cuda::DevicePointer>(data); }

tensor::TensorObjectPtr over(void* data, std::size_t bytes, const TensorView& as) {
  const tensor::StorageReference storage(tensor::borrow_storage(data, bytes, as.device()));
  return tensor::TensorObjectPtr(tensor::make_tensor(
      storage.get(), {.dtype = as.dtype(), .sizes = as.sizes(), .strides = as.strides()}));
}

}  // namespace

void DeviceStaging::tell(shim::CudaObserver::Kind kind, const char* function) const noexcept {
  if (call_->observer != nullptr) call_->observer->launched(kind, function, call_->stream);
}

void DeviceStaging::make_room(Copy& copy, std::size_t bytes) {
  // Of the lane of this run: that of another may still be read by what is on its way there.
  copy.memory = std::shared_ptr<void>();
  tensor::Storage* const storage = call_->pool->allocate(bytes);
  copy.memory = std::shared_ptr<void>(storage->data, [storage](void*) { storage->drop(); });
  copy.capacity = bytes;
  tell(shim::CudaObserver::Kind::Fill, "cuMemsetD8Async");
  cuda::check(cuda::driver().memset_d8_async(address(storage->data), 0, bytes, call_->stream),
              "cuMemsetD8Async", "a copy of an input");
}

void DeviceStaging::fill(const Copy& copy, const TensorView& input) {
  tell(shim::CudaObserver::Kind::Copy, "cuMemcpyDtoDAsync");
  cuda::check(
      cuda::driver().memcpy_dtod_async(address(copy.data), address(input.data()), copy.bytes, call_->stream),
      "cuMemcpyDtoDAsync", "a copy of an input");
}

void DeviceStaging::finish(std::span<const TensorView> inputs) {
  for (std::size_t i = 0; i < copies().size(); ++i) {
    Copy& copy = copies()[i];
    if (!copy.used || copy.same_as != i) continue;
    if (copy.bytes != 0) {
      const tensor::TensorObjectPtr to = over(inputs[i].data(), inputs[i].storage_bytes(), inputs[i]);
      const tensor::TensorObjectPtr from = over(copy.data, copy.bytes, inputs[i]);
      call_->operators->copy(*call_, *to, *from);
    }
    copy.memory.reset();
    copy.capacity = 0;
  }
}

}  // namespace penstock::session
