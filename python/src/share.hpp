#pragma once

#include <nanobind/nanobind.h>

#include <memory>

namespace penstock::python {

/// A share of a Python object that may be let go on any thread, also when Python ends. Only with the GIL.
[[nodiscard]] std::shared_ptr<const void> share(nanobind::object object);

/// The object of a share. Only with the GIL.
[[nodiscard]] nanobind::handle shared_object(const std::shared_ptr<const void>& share) noexcept;

/// Tells Python's collector of cycles what an object of a bound class holds: `T::visit` calls its argument
/// with the object of each reference that it has. A cycle is broken by what it has of Python besides (a list,
/// a dict, a function), so none of the classes is cleared.
template <class T>
int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nanobind::inst_ready(self)) return 0;
  return nanobind::inst_ptr<T>(self)->visit([&](PyObject* held) -> int {
    Py_VISIT(held);
    return 0;
  });
}

/// The slots of a class whose objects Python's collector looks into; T has `visit`.
template <class T>
inline PyType_Slot kCollected[] = {{Py_tp_traverse, reinterpret_cast<void*>(&traverse<T>)}, {0, nullptr}};

/// Lets go of what may wait for a device, or have an object of Python let go of by another thread.
template <class Value>
void destroy_without_gil(Value&& value) {
  if (Py_IsInitialized() == 0 || PyGILState_Check() == 0) return;
  const nanobind::gil_scoped_release released;
  const auto gone = std::move(value);
}

}  // namespace penstock::python
