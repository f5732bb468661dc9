#pragma once

#include "tensor.hpp"

#include <penstock/custom_objects.hpp>
#include <penstock/operators.hpp>

#include <nanobind/nanobind.h>

#include <exception>
#include <memory>
#include <string_view>

namespace penstock::python {

/// An object of a class that is registered in Python, as the library holds it.
class PyCustomObject final : public CustomObject {
 public:
  explicit PyCustomObject(nanobind::object object) : object_(share(std::move(object))) {}
  /// The object. Only with the GIL.
  [[nodiscard]] nanobind::object object() const;
  using CustomObject::changed;

 private:
  std::shared_ptr<const void> object_;
};

/// Operators and classes by name, and what of Python they call: the library holds no reference to that, so
/// that Python's collector sees all there are. Who can have it called holds it.
struct PyRegistry {
  Registry registry;
  nanobind::list functions = {};

  template <class Visit>
  int visit(Visit&& each) const {
    return each(functions.ptr());
  }
};

/// One live object of a model, with what its class calls.
struct PyObjectHandle {
  ObjectHandle handle;
  nanobind::object functions = {};

  template <class Visit>
  int visit(Visit&& each) const {
    return each(functions.ptr());
  }
};

/// Calls a function of Python with the arguments of a call, and gives what it returns. Takes the GIL.
/// Errors: Internal with the words of what the function raises, which the error has as its cause in Python.
void call_python(nanobind::handle function, OperatorCall& call);

/// What a function of Python raised that the library called last on this thread, where `message` has its
/// words.
[[nodiscard]] nanobind::object take_cause(std::string_view message);
/// Throws what is raised as an error of the library, and keeps it as the cause.
[[noreturn]] void throw_raised(nanobind::python_error& raised);

}  // namespace penstock::python
