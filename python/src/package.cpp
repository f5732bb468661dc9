#include "errors.hpp"
#include "model.hpp"
#include "tensor.hpp"
#include "values.hpp"

#include <penstock/package.hpp>
#include <penstock/system.hpp>
#include <penstock/version.hpp>

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::python {

namespace nb = nanobind;
using namespace nb::literals;

std::filesystem::path path_of(nb::handle source, const std::string& wanted) {
  if (PyUnicode_Check(source.ptr()) == 0 && PyBytes_Check(source.ptr()) == 0 &&
      !nb::hasattr(source, "__fspath__"))
    wrong_type(wanted + ", and no " + type_text(source));
  PyObject* encoded = nullptr;
  if (PyUnicode_FSConverter(source.ptr(), &encoded) == 0) nb::raise_python_error();
  const nb::object held = nb::steal(encoded);
  return {std::string(PyBytes_AsString(encoded), static_cast<std::size_t>(PyBytes_Size(encoded)))};
}

Package open_package(const nb::object& source, const OpenOptions& options) {
  if (PyUnicode_Check(source.ptr()) != 0 || nb::hasattr(source, "__fspath__")) {
    const std::filesystem::path path = path_of(source, {});
    const nb::gil_scoped_release released;
    return Package::open(path, options);
  }
  if (PyObject_CheckBuffer(source.ptr()) == 0)
    wrong_type("a package is a path or the bytes of a file, and no " + type_text(source));
  // The view of the memory holds the object until the package lets go of it.
  const nb::object view = nb::steal(PyMemoryView_GetContiguous(source.ptr(), PyBUF_READ, 'C'));
  if (!view.is_valid()) nb::raise_python_error();
  const Py_buffer* const buffer = PyMemoryView_GET_BUFFER(view.ptr());
  const std::span<const std::byte> bytes(static_cast<const std::byte*>(buffer->buf),
                                         static_cast<std::size_t>(buffer->len));
  const std::shared_ptr<const void> owner = share(view);
  const nb::gil_scoped_release released;
  return Package::open_memory(bytes, owner, "<bytes>", options);
}

void bind_packages(nb::module_& module) {
  nb::class_<Requirements>(module, "Requirements",
                           "What a model library needs from the machine and from Penstock.")
      .def_ro("shim_functions", &Requirements::shim_functions, "Functions of PyTorch that it imports.")
      .def_ro("missing_functions", &Requirements::missing_functions,
              "Those of them that Penstock does not have.")
      .def_ro("operators", &Requirements::operators, "Operators that have to be registered.")
      .def_ro("classes", &Requirements::classes, "Classes of objects that have to be registered.")
      .def_ro("libraries", &Requirements::libraries, "Shared libraries.")
      .def_ro("instruction_sets", &Requirements::instruction_sets, "\"AVX2\", ...");
  nb::class_<ObjectInfo>(module, "ObjectInfo", "What a package has of one object.")
      .def_ro("name", &ObjectInfo::name, "\"_torchbind_obj0\"")
      .def_ro("class_name", &ObjectInfo::class_name, "\"ns.Name\"")
      .def_prop_ro(
          "state", [](const ObjectInfo& self) { return to_python(self.state); },
          nb::sig("def state(self) -> typing.Any"), "What the class wrote of it.");
  nb::class_<ModelInfo>(module, "ModelInfo",
                        "One model of a package, as far as can be known without running it.")
      .def_ro("name", &ModelInfo::name, "Its name.")
      .def_prop_ro(
          "device", [](const ModelInfo& self) { return self.device == DeviceType::Cuda ? "cuda" : "cpu"; },
          "\"cpu\" or \"cuda\".")
      .def_ro("metadata", &ModelInfo::metadata, "The package's own keys.")
      .def_ro("weights_bytes", &ModelInfo::weights_bytes, "Bytes of the weights.")
      .def_ro("needs", &ModelInfo::needs, "What it needs.")
      .def_ro("obstacles", &ModelInfo::obstacles, "What keeps this machine from running it, a sentence each.")
      .def_ro("output_names", &ModelInfo::output_names, "\"out0\", ...");
  nb::class_<Package>(module, "Package",
                      "An opened `.pt2`: its index and manifests. Nothing of it is executed.")
      .def(
          "__init__",
          [](Package* self, const nb::object& source, const std::string& sha256) {
            new (self) Package(open_package(source, {sha256}));
          },
          "source"_a, nb::kw_only(), "sha256"_a = "",
          nb::sig("def __init__(self, source: str | os.PathLike[str] | bytes, *, sha256: str = '') -> None"),
          "Opens an archive file, the folder that one was unpacked into, or the bytes of a file.")
      .def_prop_ro(
          "name", [](const Package& self) { return text_of(self.name()); }, nb::sig("def name(self) -> str"),
          "The path it was opened with.")
      .def_prop_ro("bytes", &Package::bytes, "Size of the archive.")
      .def_prop_ro(
          "models",
          [](const Package& self) {
            return std::vector<ModelInfo>(self.models().begin(), self.models().end());
          },
          "All models, sorted by name.")
      .def(
          "custom_objects",
          [](const Package& self, const std::string& model) { return self.custom_objects(model); },
          "model"_a = "",
          "The live objects that a model carries. No class is needed, and nothing is created.");
}

}  // namespace penstock::python
