#pragma once

#include <penstock/custom_objects.hpp>
#include <penstock/tensorrt.hpp>

#include <nanobind/nanobind.h>

#include <memory>

namespace penstock::python {

/// A TensorRT engine as Python has it; copies share it.
struct PyTensorRTEngine {
  std::shared_ptr<TensorRTEngine> engine;
};

/// The engine of a handle; None where it is something else.
[[nodiscard]] nanobind::object engine_of(const ObjectHandle& handle);

void bind_engines(nanobind::module_& module);

}  // namespace penstock::python
