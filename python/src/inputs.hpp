#pragma once

#include "lent.hpp"
#include "streams.hpp"

#include <penstock/tensor.hpp>

#include <nanobind/nanobind.h>

#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace penstock::python {

/// Views of the tensors that Python objects are, and what keeps them: no element is copied, and no stream
/// waits. Takes a `penstock.Tensor`, and what has the buffer protocol, `__dlpack__`, or
/// `__cuda_array_interface__`. Only with the GIL.
class Inputs {
 public:
  /// Adds an object as the next view. Errors: TypeError for an object that is no tensor; InvalidArgument and
  /// Unsupported for one that cannot be used: read-only, of big-endian elements, one that requires grad.
  void add(nanobind::handle object);
  /// Adds a view of no tensor.
  void add_nothing() { add_view({}); }
  /// What keeps the memory of a view that `object` gave, on whatever thread it is let go: the object, and
  /// what its library gave the memory with.
  [[nodiscard]] std::shared_ptr<const Lent> keep(std::size_t index, nanobind::handle object);
  /// For the next call. Memory that does not say which CUDA device it is on is on `cuda_device`.
  void clear(std::int32_t cuda_device = 0) noexcept;
  /// From now on takes tensors of torch that require grad, detached from their history.
  void detach() noexcept { detaches_ = true; }

  [[nodiscard]] std::span<const TensorView> views() const noexcept { return views_; }
  /// Which library made the first of them that one of the two made.
  [[nodiscard]] Library library() const noexcept { return library_; }

 private:
  void add_dlpack(nanobind::handle object);
  void add_cuda_array(nanobind::handle object);

  std::vector<TensorView> views_;
  /// With what a view's memory was given, until the call ends; shared where others keep it for longer.
  using Kept =
      std::variant<std::monostate, TakenBuffer, TakenTensor, nanobind::object, std::shared_ptr<const Lent>>;
  void add_view(const TensorView& view, Kept kept = {});
  std::vector<Kept> kept_;  ///< One a view.
  Library library_ = Library::None;
  bool detaches_ = false;
  std::int32_t cuda_device_ = 0;
};

/// True for what `Inputs::add` takes.
[[nodiscard]] bool is_tensor(nanobind::handle object);

/// A tensor of torch over the memory of a view, which `owner` keeps. Imports torch.
[[nodiscard]] nanobind::object make_torch_tensor(const TensorView& view, std::shared_ptr<const void> owner);

}  // namespace penstock::python
