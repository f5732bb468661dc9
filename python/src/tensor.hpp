#pragma once

#include "share.hpp"
#include "streams.hpp"

#include <penstock/tensor.hpp>

#include <nanobind/nanobind.h>

#include <memory>
#include <optional>

namespace penstock::python {

struct Lent;

/// A tensor as Python has it: with the stream that it is ready on, and what its memory belongs to besides.
struct PyTensor {
  Tensor tensor;
  std::optional<PyStream> stream = std::nullopt;  ///< That it is ready on, on CUDA.
  /// Where that is a default stream, which is another one for another thread: when it is ready.
  std::shared_ptr<const Event> ready = nullptr;
  std::shared_ptr<const Lent> keeps = nullptr;  ///< Of the object whose memory it is, where it is one's.

  template <class Visit>
  int visit(Visit&& each) const;
};

/// The tensor that an object of `penstock.Tensor` is; null for every other object, and for one
/// whose `__init__` was not called.
[[nodiscard]] PyTensor* as_tensor(nanobind::handle object);

/// Over the memory of a tensor of any library, which is kept; ready on that library's current stream. Where
/// it does not tell which CUDA device it is on it is on `cuda_device`. Errors: as `Inputs::add`.
[[nodiscard]] PyTensor tensor_of(nanobind::handle object, std::int32_t cuda_device = 0);

/// The tensor in host memory: a copy, once its stream is done, where it is on a device. Blocking, without the
/// GIL.
[[nodiscard]] PyTensor to_cpu(const PyTensor& tensor);

/// What keeps the memory of a tensor for others, on whatever thread they let go of it.
[[nodiscard]] std::shared_ptr<const void> keeper_of(const PyTensor& tensor);

void bind_dtypes(nanobind::module_& module);
void bind_tensors(nanobind::module_& module);

}  // namespace penstock::python
