#pragma once

#include "tensor/tensor_object.hpp"

namespace penstock::shim {

[[nodiscard]] inline bool is_on_cuda(const tensor::TensorObject& tensor) noexcept {
  return tensor.storage != nullptr && tensor.storage->device.type == DeviceType::Cuda;
}

/// A copy of all bytes from the first element to the last, strides and all. Stream-ordered.
tensor::TensorObjectPtr clone_bytes_on_cuda(const tensor::TensorObject& self);

/// Copies elements where one side or both are on the device. Between host and device it waits for the call's
/// stream, as the host's memory may go or be read right after.
void copy_with_cuda(const tensor::TensorObject& to, const tensor::TensorObject& from);

void zero_on_cuda(const tensor::TensorObject& self);

/// Copies one element to the host and waits for it: the call's stream only.
void read_element(void* to, const tensor::TensorObject& from, const char* function);

}  // namespace penstock::shim
