#pragma once

#include "dlpack.hpp"

#include <penstock/tensor.hpp>

#include <nanobind/nanobind.h>

#include <cstddef>
#include <memory>
#include <variant>

// Memory of objects of Python that outlives a call, and what keeps it.
namespace penstock::python {

/// Memory that the buffer protocol gave, given back when this goes. Only with the GIL.
class TakenBuffer {
 public:
  /// Errors: InvalidArgument for memory that is read-only or does not lie as elements of one type;
  /// Unsupported for elements that Penstock does not have.
  explicit TakenBuffer(nanobind::handle object);
  ~TakenBuffer();
  TakenBuffer(TakenBuffer&& other) noexcept;
  TakenBuffer& operator=(TakenBuffer&&) = delete;

  [[nodiscard]] TensorView view() const;
  [[nodiscard]] PyObject* lender() const noexcept { return buffer_.obj; }

 private:
  Py_buffer buffer_{};
};

/// What keeps the memory of a tensor of another library: the object, and what its library gave the memory
/// with.
struct Lent {
  std::variant<std::monostate, TakenBuffer, TakenTensor> given;
  nanobind::object object;
  const std::byte* begin = nullptr;  ///< Of the memory; null where it has none.

  template <class Visit>
  int visit(Visit&& each) const {
    const auto* const buffer = std::get_if<TakenBuffer>(&given);
    if (const int stop = each(buffer != nullptr ? buffer->lender() : nullptr); stop != 0) return stop;
    return each(object.ptr());
  }
};

/// What keeps memory that has this within already; null where nothing does. An output that is in its input's
/// memory, and is the next call's input, would have a keeper of its own each time, which keeps the one
/// before. Only with the GIL.
[[nodiscard]] std::shared_ptr<const Lent> keeper_of_memory(const std::byte* begin, const std::byte* end);

/// The shared end of memory up to `end`, on any thread. Only with the GIL.
[[nodiscard]] std::shared_ptr<const Lent> shared_lent(std::unique_ptr<Lent> lent, const std::byte* end);

}  // namespace penstock::python
