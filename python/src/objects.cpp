#include "engines.hpp"
#include "errors.hpp"
#include "model.hpp"
#include "operators.hpp"
#include "values.hpp"

#include <penstock/custom_objects.hpp>
#include <penstock/error.hpp>
#include <penstock/operators.hpp>

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

Capture capture_of(bool allowed) { return allowed ? Capture::Allowed : Capture::Never; }

/// Keeps a function for as long as the registry, and what is loaded with it.
nb::handle keep(PyRegistry& self, nb::handle function) {
  self.functions.append(function);
  return function;
}

std::function<void(OperatorCall&)> runner(PyRegistry& self, nb::handle function) {
  if (PyCallable_Check(function.ptr()) == 0) wrong_type("a " + type_text(function) + " is no function");
  return [held = keep(self, function)](OperatorCall& call) { call_python(held, call); };
}

void add_operator(PyRegistry& self, const std::string& schema, const nb::object& function, bool capture) {
  self.registry.add(OperatorDefinition{schema, runner(self, function), capture_of(capture)});
}

void add_class(PyRegistry& self, const std::string& name, const nb::object& create, const nb::object& state,
               const nb::dict& methods, bool capture) {
  ClassDefinition definition;
  definition.name = name;
  if (PyCallable_Check(create.ptr()) == 0)
    wrong_type("create is a " + type_text(create) + ", and no function");
  definition.create = [held = keep(self, create)](const Value& written, const ObjectOrigin&) {
    const nb::gil_scoped_acquire acquired;
    try {
      return std::make_shared<PyCustomObject>(held(to_python(written)));
    } catch (nb::python_error& raised) {
      throw_raised(raised);
    }
  };
  if (!state.is_none()) {
    definition.state = [held = keep(self, state)](const CustomObject& object) {
      const nb::gil_scoped_acquire acquired;
      try {
        return from_python(held(dynamic_cast<const PyCustomObject&>(object).object()));
      } catch (nb::python_error& raised) {
        throw_raised(raised);
      }
    };
  }
  for (const auto& [schema, function] : methods)
    definition.methods.push_back({cast_to<std::string>(schema, "the schema of a method", "str"),
                                  runner(self, function), capture_of(capture)});
  self.registry.add(std::move(definition));
}

nb::object object_of(const PyObjectHandle& self) {
  const auto held = object_cast<PyCustomObject>(self.handle);
  return held == nullptr ? engine_of(self.handle) : held->object();
}

void mark_changed(const PyObjectHandle& self) {
  const auto held = object_cast<PyCustomObject>(self.handle);
  if (held == nullptr) {
    throw Error(ErrorCode::Unsupported,
                "object \"" + self.handle.name() + "\" is of class " + self.handle.class_name() +
                    ", which is not registered in Python and counts its changes itself");
  }
  held->changed();
}

}  // namespace

void bind_objects(nb::module_& module) {
  nb::class_<PyObjectHandle>(module, "ObjectHandle", nb::type_slots(kCollected<PyObjectHandle>),
                             "One live object of a loaded model. It stays also when the model is gone.")
      .def_prop_ro(
          "name", [](const PyObjectHandle& self) { return self.handle.name(); }, "How the package calls it.")
      .def_prop_ro(
          "class_name", [](const PyObjectHandle& self) { return self.handle.class_name(); },
          "\"ns.Name\", as it is registered.")
      .def("get", object_of, nb::sig("def get(self) -> typing.Any"),
           "The object itself, where its class is registered in Python; of a TensorRT engine a "
           "`TensorRTEngine`; else None.")
      .def_prop_ro(
          "state",
          [](const PyObjectHandle& self) {
            Value state = [&] {
              const nb::gil_scoped_release released;
              return self.handle.state();
            }();
            return to_python(state);
          },
          nb::sig("def state(self) -> typing.Any"), "The state as it is now, as its class gives it.")
      .def_prop_ro(
          "version",
          [](const PyObjectHandle& self) { return self.handle.get() ? self.handle.get()->version() : 0; },
          "Counts changes.")
      .def("changed", mark_changed,
           "To be called after each change of an object of a Python class that a run may notice: graphs are "
           "captured anew.")
      .def("__repr__", [](const PyObjectHandle& self) {
        return "<penstock.ObjectHandle \"" + self.handle.name() + "\" of " + self.handle.class_name() + ">";
      });
  nb::class_<PyRegistry>(module, "Registry", nb::type_slots(kCollected<PyRegistry>),
                         "Classes and operators by name, given to a load.")
      .def(nb::init<>())
      .def(
          "add_operator", add_operator, "schema"_a, "run"_a, nb::kw_only(), "capture"_a = false,
          nb::sig(
              "def add_operator(self, schema: str, run: typing.Callable[..., typing.Any], *, capture: bool = "
              "False) -> None"),
          "Adds an operator, by PyTorch's schema: \"ns::op(Tensor x, float scale=1.0) -> Tensor\". `run` is "
          "called with its "
          "arguments and returns its results; tensors are `penstock.Tensor` and end with the call. On CUDA "
          "it works on "
          "`penstock.current_stream()`. `capture`: a CUDA graph may hold what it does.")
      .def("add_class", add_class, "name"_a, "create"_a, nb::kw_only(), "state"_a = nb::none(),
           "methods"_a = nb::dict(), "capture"_a = false,
           nb::sig(
               "def add_class(self, name: str, create: typing.Callable[[typing.Any], typing.Any], *, state: "
               "typing.Callable[[typing.Any], typing.Any] | None = None, methods: typing.Mapping[str, "
               "typing.Callable[..., typing.Any]] = {}, capture: bool = False) -> None"),
           "Adds a class of objects. `create(state)` makes one of what its class in PyTorch wrote; "
           "`state(object)` is the way "
           "back; `methods` has functions by schema without the object, which they are called with first.")
      .def_prop_ro(
          "operators", [](const PyRegistry& self) { return self.registry.operators(); },
          "\"ns::op\", sorted.")
      .def_prop_ro(
          "classes", [](const PyRegistry& self) { return self.registry.classes(); }, "\"ns.Name\", sorted.");
}

}  // namespace penstock::python
