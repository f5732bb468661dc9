#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <string>
#include <string_view>

namespace penstock::python {

/// Makes errors of the library the classes of `penstock._errors`.
void bind_errors();

/// Throws a TypeError of Python.
[[noreturn]] void wrong_type(std::string_view message);

/// "a str", "numpy.ndarray": the type of an object, for messages.
[[nodiscard]] std::string type_text(nanobind::handle object);

}  // namespace penstock::python
