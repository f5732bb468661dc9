#pragma once

#include "tensor/storage.hpp"

#include <penstock/dtype.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace penstock::tensor {

/// Dimensions that sizes and strides have room for. Generated checks of inputs read as many as the
/// model was exported with, whatever tensor they were given, so the room is PyTorch's own maximum.
inline constexpr std::size_t kRoomForDims = 64;

}  // namespace penstock::tensor

/// What an AtenTensorHandle of the C shim points to: a strided tensor over a shared storage.
/// Thread: one caller at a time; constants are read by many.
struct AtenTensorOpaque {
  penstock::tensor::Storage* storage = nullptr;  ///< One reference is held; null: undefined tensor.
  std::byte* data = nullptr;                     ///< storage->data + storage_offset elements.
  std::int64_t storage_offset = 0;               ///< In elements.
  std::int64_t numel = 0;
  penstock::DType dtype = penstock::DType::Float32;
  std::int32_t rank = 0;
  std::array<std::int64_t, penstock::tensor::kRoomForDims> size{};
  std::array<std::int64_t, penstock::tensor::kRoomForDims> stride{};
  AtenTensorOpaque* next_free = nullptr;  ///< For the pool of unused objects.

  [[nodiscard]] std::span<const std::int64_t> sizes() const noexcept {
    return {size.data(), static_cast<std::size_t>(rank)};
  }
  [[nodiscard]] std::span<const std::int64_t> strides() const noexcept {
    return {stride.data(), static_cast<std::size_t>(rank)};
  }
};

namespace penstock::tensor {

using TensorObject = AtenTensorOpaque;

/// Where a tensor lies in its storage, and how.
struct Layout {
  DType dtype = DType::Float32;
  std::span<const std::int64_t> sizes;
  std::span<const std::int64_t> strides;
  std::int64_t storage_offset = 0;
};

/// A tensor object over `storage`, of which it takes a reference. From a per-thread pool.
/// Errors: InvalidArgument for too many dimensions, negative sizes or overflow; OutOfMemory.
TensorObject* make_tensor(Storage* storage, const Layout& layout);

/// Gives a tensor object back to the pool of this thread and drops its storage reference. Null: nothing.
void free_tensor(TensorObject* tensor) noexcept;

/// Makes `tensor` what `made` is; the object stays. Errors: none.
void assign(TensorObject& tensor, TensorObject& made) noexcept;

/// Owns one tensor object.
struct TensorObjectDeleter {
  void operator()(TensorObject* tensor) const noexcept { free_tensor(tensor); }
};
using TensorObjectPtr = std::unique_ptr<TensorObject, TensorObjectDeleter>;

}  // namespace penstock::tensor
