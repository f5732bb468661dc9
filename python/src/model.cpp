#include "model.hpp"

#include "errors.hpp"
#include "operators.hpp"
#include "options.hpp"
#include "share.hpp"
#include "tensor.hpp"
#include "values.hpp"

#include <penstock/error.hpp>

#include <nanobind/stl/filesystem.h>
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <filesystem>
#include <string>
#include <utility>

namespace penstock::python {

namespace nb = nanobind;
using namespace nb::literals;

PyModel::~PyModel() {
  idle_.clear();
  destroy_without_gil(std::move(model));
}

PyModel::PyModel(Model loaded, ModelInfo described, const SessionOptions& session_options)
    : model(std::move(loaded)), info(std::move(described)), options(session_options) {
  try {
    if (!model.call_spec_in().empty()) inputs = CallSpec::parse(model.call_spec_in());
    if (!model.call_spec_out().empty()) outputs = CallSpec::parse(model.call_spec_out());
  } catch (const Error& error) {
    // Calls of flat tensors need no structure.
    call_problem = error;
  }
}

std::unique_ptr<PySession> PyModel::take_session() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      auto taken = std::move(idle_.back());
      idle_.pop_back();
      return taken;
    }
  }
  return std::make_unique<PySession>(*this, options, nb::object());
}

void PyModel::put_back(std::unique_ptr<PySession> session) {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(session));
}

namespace {

/// Weights by name, as `Model::update_weights` takes them. The tensors are borrowed for a call; of those on a
/// device there are copies.
struct Weights {
  Inputs inputs;
  std::vector<PyTensor> copies;
  std::vector<NamedWeight> named;
  std::vector<nb::object> objects;  ///< A mapping may make its values when they are asked for.

  explicit Weights(nb::handle mapping) {
    if (!mapping.is_valid() || mapping.is_none()) return;
    if (!nb::hasattr(mapping, "keys")) wrong_kind(mapping, "weights", "mapping of names to tensors");
    for (const nb::handle key : mapping) {
      const auto name = cast_to<std::string>(key, "the name of a weight", "str");
      try {
        const nb::object& given = objects.emplace_back(mapping[key]);
        inputs.add(given);
        TensorView view = inputs.views().back();
        if (view.device().type == DeviceType::Cuda) {
          copies.push_back(to_cpu(tensor_of(given)));
          view = copies.back().tensor.view();
        }
        named.push_back({name, view});
      } catch (const Error& error) {
        throw Error(error.code(), "weight \"" + name + "\": " + error.what());
      }
    }
  }
};

std::unique_ptr<PyModel> load(const nb::object& source, const std::string& model, const nb::object& device,
                              const nb::object& sha256, const nb::object& weights, const nb::object& registry,
                              const std::vector<std::filesystem::path>& libraries,
                              const std::vector<std::filesystem::path>& tensorrt,
                              const std::string& generated_checks, const std::string& size_ranges,
                              const nb::kwargs& session) {
  const SessionOptions session_options = session_options_of(session);
  OpenOptions open;
  if (!sha256.is_none()) open.sha256 = cast_to<std::string>(sha256, "sha256", "str");
  const Package package = open_package(source, open);
  const ModelInfo& info = package.model(model);
  LoadOptions options;
  options.model = model;
  options.device = device.is_none() ? Device{info.device, 0} : device_from_string(bytes_of(nb::str(device)));
  options.generated_checks = generated_checks_of(generated_checks);
  options.size_ranges = size_ranges_of(size_ranges);
  nb::object functions;
  if (!registry.is_none()) {
    const PyRegistry* given = nullptr;
    if (!nb::try_cast(registry, given) || given == nullptr)
      wrong_kind(registry, "registry", "penstock.Registry");
    options.registry = given->registry;
    functions = nb::tuple(given->functions);
  }
  options.libraries = libraries;
  options.tensorrt = tensorrt;
  const Weights given(weights);
  options.weights = given.named;
  // Ctrl-C is looked at between the stages, and its exception kept until the load has cleaned up.
  bool interrupted = false;
  options.progress = [&](const LoadProgress&) {
    const nb::gil_scoped_acquire acquired;
    interrupted = interrupted || PyErr_CheckSignals() != 0;
    return !interrupted;
  };
  try {
    std::optional<Model> loaded;
    {
      const nb::gil_scoped_release released;
      loaded = Model::load(package, options);
    }
    auto made = std::make_unique<PyModel>(*std::move(loaded), info, session_options);
    made->functions = std::move(functions);
    return made;
  } catch (const Error& error) {
    if (interrupted && error.code() == ErrorCode::Cancelled) nb::raise_python_error();
    throw;
  }
}

std::unique_ptr<PyModel> load_engine(const nb::object& source, const nb::object& device,
                                     const nb::object& sha256,
                                     const std::vector<std::filesystem::path>& tensorrt,
                                     const nb::kwargs& session) {
  const SessionOptions session_options = session_options_of(session);
  EngineOptions options;
  if (!device.is_none()) options.device = device_from_string(bytes_of(nb::str(device)));
  if (!sha256.is_none()) options.sha256 = cast_to<std::string>(sha256, "sha256", "str");
  options.tensorrt = tensorrt;
  nb::bytes plan;
  const bool is_memory = nb::try_cast(source, plan);
  const auto path =
      is_memory ? std::filesystem::path() : path_of(source, "a plan is a path or the bytes of a file");
  std::optional<Model> loaded;
  {
    const nb::gil_scoped_release released;
    loaded = is_memory
                 ? Model::load_engine({static_cast<const std::byte*>(plan.data()), plan.size()}, options)
                 : Model::load_engine(path, options);
  }
  ModelInfo info;
  info.name = loaded->name();
  info.device = loaded->device().type;
  return std::make_unique<PyModel>(*std::move(loaded), std::move(info), session_options);
}

nb::object call_model(PyModel& self, const nb::args& args, nb::kwargs kwargs, OutputForm form,
                      bool detaches = false) {
  CallOptions options = take_call_options(self, kwargs, form);
  options.detaches = detaches;
  std::unique_ptr<PySession> session = self.take_session();
  try {
    nb::object made = session->call(args, kwargs, options);
    self.put_back(std::move(session));
    return made;
  } catch (...) {
    self.put_back(std::move(session));
    throw;
  }
}

nb::object call_flat(PyModel& self, const nb::object& inputs, const nb::object& stream, bool detach) {
  std::unique_ptr<PySession> session = self.take_session();
  try {
    nb::object made = session->call_flat(inputs, {stream, {}, OutputForm::Torch, detach});
    self.put_back(std::move(session));
    return made;
  } catch (...) {
    self.put_back(std::move(session));
    throw;
  }
}

void bind_specs(nb::module_& module) {
  nb::class_<DimSpec>(module, "DimSpec", "One dimension that a model accepts.")
      .def_ro("min", &DimSpec::min, "Smallest size.")
      .def_prop_ro(
          "max",
          [](const DimSpec& self) { return self.max == INT64_MAX ? std::nullopt : std::optional(self.max); },
          "Largest size; None: no bound.")
      .def_ro("symbol", &DimSpec::symbol, "The symbol that it was exported with; empty for a fixed size.");
  nb::class_<TensorSpec>(module, "TensorSpec", "One declared input of a model.")
      .def_ro("name", &TensorSpec::name, "\"arg0\", \"arg1\", ...")
      .def_ro("keyword", &TensorSpec::keyword, "The name in the exported call, where it has one.")
      .def_ro("dtype", &TensorSpec::dtype, "Element type; no other is converted.")
      .def_ro("device", &TensorSpec::device, "Where its memory must be.")
      .def_ro("dims", &TensorSpec::dims, "One a dimension; empty for a scalar.")
      .def("__repr__", [](const TensorSpec& self) { return "<" + self.name + ": " + to_string(self) + ">"; });
  nb::class_<ConstantInfo>(module, "ConstantInfo",
                           "A weight or buffer of a model, by the name it had in PyTorch.")
      .def_ro("name", &ConstantInfo::name, "Its name.")
      .def_ro("dtype", &ConstantInfo::dtype, "Element type.")
      .def_ro("bytes", &ConstantInfo::bytes, "Of its elements.")
      .def_ro("shape", &ConstantInfo::sizes, "Sizes.");
}

}  // namespace

void bind_models(nb::module_& module) {
  bind_specs(module);
  nb::class_<PyModel>(module, "Model", nb::type_slots(kCollected<PyModel>),
                      "One model of a package, loaded on one device: code and weights, shared by its "
                      "sessions. A call follows the "
                      "exported call, and gives what that gave, of `penstock.Tensor`. Thread-safe.")
      .def(
          "__call__",
          [](PyModel& self, const nb::args& args, const nb::kwargs& kwargs) {
            return call_model(self, args, kwargs, OutputForm::Penstock);
          },
          nb::sig("def __call__(self, *args: typing.Any, stream: typing.Any = ..., out: typing.Any = ..., "
                  "**kwargs: typing.Any) -> typing.Any"),
          "One inference. `stream=` and `out=` are read where the exported call has no keyword of that name. "
          "On CUDA "
          "it is put on the stream and not waited for.")
      .def(
          "call_torch",
          [](PyModel& self, const nb::args& args, const nb::kwargs& kwargs) {
            return call_model(self, args, kwargs, OutputForm::Torch);
          },
          nb::sig("def call_torch(self, *args: typing.Any, stream: typing.Any = ..., out: typing.Any = ..., "
                  "**kwargs: typing.Any) -> typing.Any"),
          "The same, giving tensors of torch.")
      .def(
          "call_torch_detached",
          [](PyModel& self, const nb::args& args, const nb::kwargs& kwargs) {
            return call_model(self, args, kwargs, OutputForm::Torch, true);
          },
          nb::sig(
              "def call_torch_detached(self, *args: typing.Any, stream: typing.Any = ..., out: typing.Any = "
              "..., **kwargs: typing.Any) -> typing.Any"),
          "As `call_torch`; takes tensors that require grad too, without their history.")
      .def("call_flat", call_flat, "inputs"_a, "stream"_a = nb::none(), nb::kw_only(), "detach"_a = false,
           nb::sig("def call_flat(self, inputs: typing.Sequence[typing.Any], stream: typing.Any = None, *, "
                   "detach: bool = False) -> list[typing.Any]"),
           "One inference on tensors in the order of `inputs`, giving a list of tensors of torch. With "
           "`detach` those that require grad are taken too.")
      .def(
          "session",
          [](nb::object self, const nb::kwargs& options) {
            const auto& model = nb::cast<const PyModel&>(self);
            const SessionOptions wanted = options.size() == 0 ? model.options : session_options_of(options);
            return std::make_unique<PySession>(model, wanted, std::move(self));
          },
          nb::sig("def session(self, *, graphs: str = ..., host_inputs: str = ..., threads: int = ..., "
                  "max_lanes: int "
                  "= ..., tf32_matmul: bool = ..., tf32_convolution: bool = ..., reduced_precision_sums: "
                  "bool = ...) -> "
                  "Session"),
          "A session: its own memory, graphs and options (graphs, threads, host_inputs, tf32_matmul, "
          "tf32_convolution, reduced_precision_sums, max_lanes); without any, those of the load. One a "
          "thread.")
      .def_prop_ro(
          "name", [](const PyModel& self) { return self.model.name(); }, "Name in the package.")
      .def_prop_ro(
          "device", [](const PyModel& self) { return self.model.device(); }, "Where it was loaded.")
      .def_prop_ro(
          "inputs",
          [](const PyModel& self) {
            const auto specs = self.model.inputs();
            return std::vector<TensorSpec>(specs.begin(), specs.end());
          },
          "Inputs in the order of the call, flattened.")
      .def_prop_ro(
          "output_names",
          [](const PyModel& self) {
            const auto names = self.model.output_names();
            return std::vector<std::string>(names.begin(), names.end());
          },
          "\"out0\", \"out1\", ..., flattened.")
      .def_prop_ro(
          "metadata", [](const PyModel& self) { return self.info.metadata; },
          "What the package states of itself.")
      .def_prop_ro(
          "constants",
          [](const PyModel& self) {
            const auto infos = self.model.constants();
            return std::vector<ConstantInfo>(infos.begin(), infos.end());
          },
          "Weights and buffers.")
      .def_prop_ro(
          "call_spec",
          [](const PyModel& self) {
            return std::pair(self.model.call_spec_in(), self.model.call_spec_out());
          },
          "How inputs and outputs are built, as torch writes it (JSON).")
      .def_prop_ro(
          "healthy", [](const PyModel& self) { return self.model.healthy(); },
          "False once a kernel of anyone in the process has faulted on the device.")
      .def(
          "custom_objects",
          [](const PyModel& self) {
            nb::dict made;
            for (const auto& [name, handle] : self.model.custom_objects())
              made[name.c_str()] = nb::cast(PyObjectHandle{handle, self.functions});
            return made;
          },
          nb::sig("def custom_objects(self) -> dict[str, ObjectHandle]"),
          "The live objects that the package carries, by name. A change is seen by every session from its "
          "next run on.")
      .def(
          "weight",
          [](const PyModel& self, const std::string& name) {
            const nb::gil_scoped_release released;
            return PyTensor{self.model.weight(name)};
          },
          "name"_a, "A copy of a weight or buffer as it is now.")
      .def(
          "update_weights",
          [](PyModel& self, const nb::object& weights, bool full) {
            const Weights given(weights);
            const nb::gil_scoped_release released;
            self.model.update_weights(given.named, {full ? UpdateScope::Full : UpdateScope::Partial});
          },
          "weights"_a, nb::kw_only(), "full"_a = false,
          "Replaces weights by those of a mapping of names. A run uses one version; every session takes up "
          "the new one "
          "at its next run. With `full`, all parameters have to be given.")
      .def(
          "__copy__", [](nb::object self) { return self; }, nb::sig("def __copy__(self) -> Model"),
          "The same: a loaded model is shared.")
      .def(
          "__deepcopy__", [](nb::object self, nb::handle) { return self; }, "memo"_a,
          nb::sig("def __deepcopy__(self, memo: typing.Any) -> Model"), "The same: a loaded model is shared.")
      .def("__repr__", [](const PyModel& self) {
        return "<penstock.Model \"" + self.model.name() + "\" on " + to_string(self.model.device()) + ">";
      });
  module.def(
      "load", load, "source"_a, "model"_a = "", nb::kw_only(), "device"_a = nb::none(),
      "sha256"_a = nb::none(), "weights"_a = nb::none(), "registry"_a = nb::none(),
      "libraries"_a = std::vector<std::filesystem::path>{},
      "tensorrt"_a = std::vector<std::filesystem::path>{}, "generated_checks"_a = "auto",
      "size_ranges"_a = "stated", "session"_a,
      nb::sig(
          "def load(source: str | os.PathLike[str] | bytes, model: str = '', *, device: typing.Any = None, "
          "graphs: str = 'auto', sha256: str | None = None, weights: typing.Mapping[str, typing.Any] | None "
          "= None, "
          "registry: Registry | None = None, libraries: typing.Sequence[str | os.PathLike[str]] = (), "
          "tensorrt: typing.Sequence[str | os.PathLike[str]] = (), "
          "generated_checks: str = 'auto', size_ranges: str = 'stated', host_inputs: str = 'refuse', "
          "threads: int = 0, max_lanes: int = "
          "16, "
          "tf32_matmul: bool = False, tf32_convolution: bool = True, reduced_precision_sums: bool = True) "
          "-> Model"),
      "Loads a model of a package, which is a path or the bytes of a file. Loading runs code of the "
      "package.");
  module.def(
      "load_engine", load_engine, "source"_a, nb::kw_only(), "device"_a = nb::none(), "sha256"_a = nb::none(),
      "tensorrt"_a = std::vector<std::filesystem::path>{}, "session"_a,
      nb::sig("def load_engine(source: str | os.PathLike[str] | bytes, *, device: typing.Any = None, graphs: "
              "str = 'auto', sha256: str | None = None, tensorrt: typing.Sequence[str | os.PathLike[str]] = "
              "(), host_inputs: str = 'refuse', max_lanes: int = 16) -> Model"),
      "Loads a TensorRT plan, which is a path or the bytes of a file, as a model: called with its inputs in "
      "the plan's order, or by their names. `custom_objects()[\"engine\"].get()` is the engine.");
}

}  // namespace penstock::python
