#pragma once

#include <nanobind/nanobind.h>

#include <memory>

namespace penstock::python {

/// A share of a Python object that may be let go on any thread, also when Python ends. Only with the GIL.
[[nodiscard]] std::shared_ptr<const void> share(nanobind::object object);

/// The object of a share. Only with the GIL.
[[nodiscard]] nanobind::handle shared_object(const std::shared_ptr<const void>& share) noexcept;

}  // namespace penstock::python
