#pragma once

#include "dlpack_abi.hpp"

#include <penstock/tensor.hpp>

#include <nanobind/nanobind.h>

#include <memory>

namespace penstock::python {

/// A tensor of DLPack as a view of the same memory. Memory of the host that CUDA knows is host memory here.
/// Errors: Unsupported for another device or element type; InvalidArgument as TensorView.
[[nodiscard]] TensorView view_of(const dlpack::Tensor& tensor);

/// DLPack's words for a device and an element type.
[[nodiscard]] dlpack::Device device_of(Device device) noexcept;
[[nodiscard]] dlpack::DataType type_of(DType dtype) noexcept;

/// A tensor for others to take, which keeps `owner`.
[[nodiscard]] dlpack::VersionedTensor* make_versioned(const TensorView& view,
                                                      std::shared_ptr<const void> owner);
/// The same as a capsule; `versioned` of DLPack 1, else of the versions before.
[[nodiscard]] nanobind::capsule make_capsule(const TensorView& view, std::shared_ptr<const void> owner,
                                             bool versioned);

/// What a capsule had, given back when this goes. Only with the GIL.
class TakenTensor {
 public:
  /// Takes over what a capsule of `__dlpack__` has. Errors: InvalidArgument for another capsule, for memory
  /// that may only be read, and for a version that is not known.
  explicit TakenTensor(nanobind::handle capsule);
  ~TakenTensor();
  TakenTensor(TakenTensor&& other) noexcept;
  TakenTensor& operator=(TakenTensor&&) = delete;

  [[nodiscard]] const dlpack::Tensor& tensor() const noexcept { return *tensor_; }

 private:
  dlpack::Tensor* tensor_ = nullptr;
  dlpack::ManagedTensor* unversioned_ = nullptr;
  dlpack::VersionedTensor* versioned_ = nullptr;
};

}  // namespace penstock::python
