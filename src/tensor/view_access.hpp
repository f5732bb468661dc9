#pragma once

#include "tensor/tensor_object.hpp"

#include <penstock/tensor.hpp>

#include <algorithm>
#include <cstddef>

namespace penstock {

/// Makes views of tensors that were checked when they were made.
struct TensorViewAccess {
  /// Makes `view` a view of `tensor`, which is defined and has at most kMaxRank dimensions.
  static void set(TensorView& view, const tensor::TensorObject& tensor) noexcept {
    const auto* begin = static_cast<const std::byte*>(tensor.storage->data);
    view.data_ = tensor.data;
    view.dtype_ = tensor.dtype;
    view.device_ = tensor.storage->device;
    view.rank_ = static_cast<std::size_t>(tensor.rank);
    view.storage_bytes_ = tensor.storage->bytes - static_cast<std::size_t>(tensor.data - begin);
    std::copy_n(tensor.size.begin(), view.rank_, view.sizes_.begin());
    std::copy_n(tensor.stride.begin(), view.rank_, view.strides_.begin());
  }
};

}  // namespace penstock
