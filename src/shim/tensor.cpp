#include "cpu/copy.hpp"
#include "cpu/strided.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/cuda_call.hpp"
#include "shim/cuda_tensor.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"
#include "shim/weight_copies.hpp"
#include "tensor/layout.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"

#include <algorithm>
#include <array>
#include <cstring>

using namespace penstock;
using penstock::base::fail;
using penstock::shim::CallContext;
using penstock::shim::checked_dtype;
using penstock::shim::checked_span;
using penstock::shim::guarded;
using penstock::tensor::TensorObject;
using penstock::tensor::TensorObjectPtr;

namespace {

/// The device that a model library names by numbers: the host, or that of the current call.
Device checked_device(std::int32_t type, std::int32_t index) {
  if (type == static_cast<std::int32_t>(DeviceType::Cpu)) return {};
  const CallContext* const context = shim::current_context();
  const bool on_cuda = context != nullptr && context->cuda != nullptr;
  if (!on_cuda) {
    fail(ErrorCode::Unsupported, "the model asks for memory on PyTorch's device type {} in a run on the CPU",
         type);
  }
  if (type != static_cast<std::int32_t>(DeviceType::Cuda) || (index >= 0 && index != context->cuda->device)) {
    fail(ErrorCode::Unsupported,
         "the model asks for memory on PyTorch's device type {}, number {}, in a run on cuda:{}", type, index,
         context->cuda->device);
  }
  return {DeviceType::Cuda, context->cuda->device};
}

/// A tensor over memory of the model library: its weights while it is loaded.
TensorObjectPtr tensor_over(void* data, const tensor::Layout& layout, Device device) {
  const auto& [dtype, sizes, strides, offset] = layout;
  const auto extent = tensor::checked_extent(sizes, strides);
  const auto elements = extent && offset >= 0 ? base::checked_add(*extent, offset) : std::nullopt;
  const auto bytes =
      elements ? base::checked_mul<std::uint64_t>(static_cast<std::uint64_t>(*elements), element_bytes(dtype))
               : std::nullopt;
  if (!bytes) {
    fail(ErrorCode::InvalidArgument, "a tensor of sizes {} and strides {} at offset {}",
         tensor::sizes_text(sizes), tensor::sizes_text(strides), offset);
  }
  CallContext* context = shim::current_context();
  const bool is_weight = context != nullptr && context->purpose == CallContext::Purpose::Load;
  // On the device a library's weights are where it says.
  const bool is_elsewhere = is_weight && context->copies != nullptr && device == Device{};
  if (is_elsewhere && !context->copies->given.empty()) return context->copies->take_given(sizes);
  const tensor::StorageReference storage(is_elsewhere ? context->copies->storage(data, *bytes)
                                                      : tensor::borrow_storage(data, *bytes, device));
  TensorObjectPtr tensor(tensor::make_tensor(storage.get(), layout));
  if (is_weight) {
    storage->of_model = !is_elsewhere;
    context->weights.push_back(shim::share(*tensor));
  }
  return tensor;
}

TensorObjectPtr make_on(bool on_host, const tensor::Layout& layout) {
  return on_host ? shim::make_result(layout.dtype, layout.sizes, layout.strides)
                 : shim::make_cuda_result(layout.dtype, layout.sizes, layout.strides);
}

TensorObjectPtr view_of(const TensorObject& self, const tensor::Layout& layout) {
  if (self.storage == nullptr) fail(ErrorCode::InvalidArgument, "a view of an undefined tensor");
  return TensorObjectPtr(tensor::make_tensor(self.storage, layout));
}

}  // namespace

extern "C" {

AOTITorchError penstock_delete_tensor_object(AtenTensorHandle tensor) {
  tensor::free_tensor(tensor);
  return 0;
}

AOTITorchError penstock_new_tensor_handle(AtenTensorHandle tensor, AtenTensorHandle* ret) {
  return guarded([&] { *ret = shim::share(*tensor).release(); });
}

AOTITorchError penstock_new_uninitialized_tensor(AtenTensorHandle* ret) {
  return guarded([&] {
    const std::int64_t size = 0;
    const std::int64_t stride = 1;
    *ret = tensor::make_tensor(nullptr, {.sizes = {&size, 1}, .strides = {&stride, 1}});
  });
}

AOTITorchError penstock_empty_strided(std::int64_t ndim, const std::int64_t* sizes,
                                      const std::int64_t* strides, std::int32_t dtype,
                                      std::int32_t device_type, std::int32_t device_index,
                                      AtenTensorHandle* ret) {
  return guarded([&] {
    shim::refuse_while_probing();
    const bool on_host = checked_device(device_type, device_index) == Device{};
    *ret = make_on(on_host, {.dtype = checked_dtype(dtype),
                             .sizes = checked_span(sizes, ndim),
                             .strides = checked_span(strides, ndim)})
               .release();
  });
}

AOTITorchError penstock_create_tensor_from_blob(void* data, std::int64_t ndim, const std::int64_t* sizes,
                                                const std::int64_t* strides, std::int64_t storage_offset,
                                                std::int32_t dtype, std::int32_t device_type,
                                                std::int32_t device_index, AtenTensorHandle* ret) {
  return guarded([&] {
    const tensor::Layout layout{.dtype = checked_dtype(dtype),
                                .sizes = checked_span(sizes, ndim),
                                .strides = checked_span(strides, ndim),
                                .storage_offset = storage_offset};
    *ret = tensor_over(data, layout, checked_device(device_type, device_index)).release();
  });
}

AOTITorchError penstock_create_tensor_from_blob_v2(void* data, std::int64_t ndim, const std::int64_t* sizes,
                                                   const std::int64_t* strides, std::int64_t storage_offset,
                                                   std::int32_t dtype, std::int32_t device_type,
                                                   std::int32_t device_index, AtenTensorHandle* ret,
                                                   std::int32_t layout, const std::uint8_t*, std::int64_t) {
  if (layout != 0) {
    return guarded([&] {
      fail(ErrorCode::Unsupported,
           "the model has a weight in PyTorch's layout number {} (packed for MKL-DNN); export it without "
           "freezing, so that weights stay strided",
           layout);
    });
  }
  return penstock_create_tensor_from_blob(data, ndim, sizes, strides, storage_offset, dtype, device_type,
                                          device_index, ret);
}

AOTITorchError penstock_reinterpret_tensor(AtenTensorHandle self, std::int64_t ndim,
                                           const std::int64_t* sizes, const std::int64_t* strides,
                                           std::int64_t storage_offset, AtenTensorHandle* ret) {
  return guarded([&] {
    shim::refuse_while_probing();
    // The offset counts from self's own first element, as at::inductor's _reinterpret_tensor has it.
    const auto offset = base::checked_add(self->storage_offset, storage_offset);
    if (!offset) fail(ErrorCode::InvalidArgument, "a view at offset {}", storage_offset);
    *ret = view_of(*self, {.dtype = self->dtype,
                           .sizes = checked_span(sizes, ndim),
                           .strides = checked_span(strides, ndim),
                           .storage_offset = *offset})
               .release();
  });
}

AOTITorchError penstock_alloc_from_pool(AtenTensorHandle self, std::int64_t offset_bytes, std::int32_t dtype,
                                        std::int64_t ndim, const std::int64_t* sizes,
                                        const std::int64_t* strides, AtenTensorHandle* ret) {
  return guarded([&] {
    const DType type = checked_dtype(dtype);
    const auto element = static_cast<std::int64_t>(element_bytes(type));
    if (offset_bytes < 0 || offset_bytes % element != 0 || self->storage_offset != 0) {
      fail(ErrorCode::InvalidArgument, "a {} tensor at byte {} of a memory pool", dtype_name(type),
           offset_bytes);
    }
    *ret = view_of(*self, {.dtype = type,
                           .sizes = checked_span(sizes, ndim),
                           .strides = checked_span(strides, ndim),
                           .storage_offset = offset_bytes / element})
               .release();
  });
}

AOTITorchError penstock_as_strided(AtenTensorHandle self, const std::int64_t* sizes,
                                   const std::int64_t* strides, AtenTensorHandle* ret) {
  return guarded([&] {
    *ret = view_of(*self, {.dtype = self->dtype,
                           .sizes = checked_span(sizes, self->rank),
                           .strides = checked_span(strides, self->rank),
                           .storage_offset = self->storage_offset})
               .release();
  });
}

AOTITorchError penstock_clone(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    const cpu::ResultLayout layout = cpu::like_layout(*self);
    const bool on_host = !shim::is_on_cuda(*self);
    TensorObjectPtr made =
        make_on(on_host, {.dtype = self->dtype, .sizes = layout.sizes, .strides = layout.strides});
    if (on_host) {
      cpu::copy(*made, *self);
    } else {
      shim::copy_with_cuda(*made, *self);
    }
    *ret = made.release();
  });
}

AOTITorchError penstock_clone_preserve_strides(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    if (shim::is_on_cuda(*self)) {
      *ret = shim::clone_bytes_on_cuda(*self).release();
      return;
    }
    TensorObjectPtr made = shim::make_result(self->dtype, self->sizes(), self->strides());
    // All bytes between, gaps too: strides may overlap, and then elements cannot be copied one by one.
    const std::size_t bytes = made->storage->bytes;
    if (bytes != 0) std::memcpy(made->data, self->data, bytes);
    *ret = made.release();
  });
}

AOTITorchError penstock_tensor_copy_(AtenTensorHandle source, AtenTensorHandle destination) {
  return guarded([&] {
    shim::refuse_while_probing();
    if (shim::is_on_cuda(*destination) || shim::is_on_cuda(*source)) {
      shim::copy_with_cuda(*destination, *source);
    } else {
      cpu::copy(*destination, *source);
    }
  });
}

AOTITorchError penstock_copy_(AtenTensorHandle self, AtenTensorHandle source, std::int32_t) {
  return penstock_tensor_copy_(source, self);
}

AOTITorchError penstock_assign_tensors(AtenTensorHandle source, AtenTensorHandle destination) {
  return guarded([&] {
    TensorObjectPtr shared = shim::share(*source);
    // The handle stays, what it refers to changes.
    std::swap(*shared, *destination);
    std::swap(shared->next_free, destination->next_free);
  });
}

/// torch.Tensor.set_ of a tensor: the names of the two are the other way round.
AOTITorchError penstock_set_source_tensor(AtenTensorHandle self, AtenTensorHandle source) {
  return penstock_assign_tensors(source, self);
}

AOTITorchError penstock_assign_tensors_out(AtenTensorHandle source, AtenTensorHandle* ret) {
  return penstock_new_tensor_handle(source, ret);
}

AOTITorchError penstock_zero_(AtenTensorHandle self) {
  return guarded([&] {
    shim::refuse_while_probing();
    if (shim::is_on_cuda(*self)) return shim::zero_on_cuda(*self);
    const std::size_t element = element_bytes(self->dtype);
    if (tensor::is_contiguous(self->sizes(), self->strides())) {
      std::memset(self->data, 0, static_cast<std::size_t>(self->numel) * element);
      return;
    }
    const std::array<std::byte, 16> zero{};
    const std::array<std::int64_t, tensor::kRoomForDims> still{};
    tensor::copy_strided(self->data, self->strides(), zero.data(),
                         {still.data(), static_cast<std::size_t>(self->rank)}, self->sizes(), element);
  });
}

}  // extern "C"

namespace penstock::shim {

std::span<const TableEntry> tensor_functions() {
  static const std::array kTable{
      entry("aoti_torch_delete_tensor_object", &penstock_delete_tensor_object),
      entry("aoti_torch_new_tensor_handle", &penstock_new_tensor_handle),
      entry("aoti_torch_new_uninitialized_tensor", &penstock_new_uninitialized_tensor),
      entry("aoti_torch_empty_strided", &penstock_empty_strided),
      entry("aoti_torch_create_tensor_from_blob", &penstock_create_tensor_from_blob),
      entry("aoti_torch_create_tensor_from_blob_v2", &penstock_create_tensor_from_blob_v2),
      entry("aoti_torch__reinterpret_tensor", &penstock_reinterpret_tensor),
      entry("aoti_torch__alloc_from_pool", &penstock_alloc_from_pool),
      entry("aoti_torch_as_strided", &penstock_as_strided),
      entry("aoti_torch_clone", &penstock_clone),
      entry("aoti_torch_clone_preserve_strides", &penstock_clone_preserve_strides),
      entry("aoti_torch_tensor_copy_", &penstock_tensor_copy_),
      entry("aoti_torch_copy_", &penstock_copy_),
      entry("aoti_torch_assign_tensors", &penstock_assign_tensors),
      entry("aoti_torch_cpu_set__source_Tensor", &penstock_set_source_tensor),
      entry("aoti_torch_assign_tensors_out", &penstock_assign_tensors_out),
      entry("aoti_torch_zero_", &penstock_zero_),
  };
  return kTable;
}

}  // namespace penstock::shim
