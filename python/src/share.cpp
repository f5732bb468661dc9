#include "share.hpp"

namespace penstock::python {

namespace nb = nanobind;

std::shared_ptr<const void> share(nb::object object) {
  PyObject* const held = object.release().ptr();
  return {held, [](const void* kept) {
            if (Py_IsInitialized() == 0) return;
            const nb::gil_scoped_acquire acquired;
            Py_DECREF(static_cast<PyObject*>(const_cast<void*>(kept)));  // NOLINT
          }};
}

nb::handle shared_object(const std::shared_ptr<const void>& share) noexcept {
  return static_cast<PyObject*>(const_cast<void*>(share.get()));  // NOLINT
}

}  // namespace penstock::python
