#pragma once

#include <penstock/value.hpp>

#include <nanobind/nanobind.h>

namespace penstock::python {

/// A value as Python has it: None, bool, int, float, str, bytes, list, tuple, dict, `Device`, `DType`,
/// `Tensor`. A text that is not UTF-8 keeps its bytes as surrogates.
[[nodiscard]] nanobind::object to_python(const Value& value);

/// The way back. Errors: TypeError names what a value cannot be.
[[nodiscard]] Value from_python(nanobind::handle object);

}  // namespace penstock::python
