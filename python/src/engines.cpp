#include "engines.hpp"

#include "errors.hpp"
#include "streams.hpp"

#include <penstock/error.hpp>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <string>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

void set_stream(const PyTensorRTEngine& self, const nb::object& stream) {
  const std::optional<PyStream> taken = stream.is_none() ? std::nullopt : std::optional(stream_of(stream));
  const nb::gil_scoped_release released;
  if (!taken) return self.engine->set_stream(std::nullopt);
  self.engine->set_stream(taken->view, taken->owned != nullptr ? taken->owned : taken->keeps);
}

nb::object stream_of_engine(const PyTensorRTEngine& self) {
  const std::optional<StreamView> stream = self.engine->stream();
  return stream ? nb::cast(PyStream{*stream, nullptr, self.engine->stream_owner()}) : nb::none();
}

nb::tuple tuple_of(const std::vector<std::int64_t>& numbers) {
  nb::list made;
  for (const std::int64_t number : numbers) made.append(number);
  return nb::tuple(made);
}

nb::tuple range_of(const PyTensorRTEngine& self, int profile, std::size_t input) {
  const TensorRTRange range = self.engine->range(profile, input);
  return nb::make_tuple(tuple_of(range.least), tuple_of(range.best), tuple_of(range.most));
}

std::vector<TensorRTTensor> copied(std::span<const TensorRTTensor> tensors) {
  return {tensors.begin(), tensors.end()};
}

/// A setting. Another thread may be building the engine anew meanwhile, which is waited for.
template <class Value>
auto setter(void (TensorRTEngine::*set)(Value)) {
  return [set](const PyTensorRTEngine& self, Value value) {
    const nb::gil_scoped_release released;
    ((*self.engine).*set)(value);
  };
}

void set_communicator(const PyTensorRTEngine& self, std::optional<std::uintptr_t> address) {
  const nb::gil_scoped_release released;
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  self.engine->set_communicator(reinterpret_cast<void*>(address.value_or(0)));
}

std::optional<std::uintptr_t> communicator_of(const PyTensorRTEngine& self) {
  void* const communicator = self.engine->communicator();
  return communicator == nullptr ? std::nullopt
                                 : std::optional(reinterpret_cast<std::uintptr_t>(communicator));
}

}  // namespace

nb::object engine_of(const ObjectHandle& handle) {
  auto engine = object_cast<TensorRTEngine>(handle);
  return engine == nullptr ? nb::none() : nb::cast(PyTensorRTEngine{std::move(engine)});
}

void bind_engines(nb::module_& module) {
  nb::class_<TensorRTTensor>(module, "TensorRTTensor", "An input or output of a TensorRT engine.")
      .def_ro("name", &TensorRTTensor::name, "In the plan.")
      .def_ro("dtype", &TensorRTTensor::dtype, "Element type.")
      .def_prop_ro(
          "shape", [](const TensorRTTensor& self) { return tuple_of(self.sizes); },
          nb::sig("def shape(self) -> tuple[int, ...]"), "Sizes; -1: dynamic.")
      .def_ro("on_host", &TensorRTTensor::on_host, "TensorRT reads it in host memory: the values of a shape.")
      .def_ro("alias_of", &TensorRTTensor::alias_of,
              "Of an output: the input that it changes in place; empty: none.");
  nb::class_<PyTensorRTEngine>(module, "TensorRTEngine",
                               "A TensorRT engine within a package, or of a plan. What is set is taken up by "
                               "every session at its next run. Thread-safe.")
      .def_prop_ro(
          "name", [](const PyTensorRTEngine& self) { return self.engine->name(); },
          "How the package calls it.")
      .def_prop_ro(
          "library", [](const PyTensorRTEngine& self) { return self.engine->library(); },
          "The library that runs it.")
      .def_prop_ro(
          "inputs", [](const PyTensorRTEngine& self) { return copied(self.engine->inputs()); },
          "In the order of calls.")
      .def_prop_ro(
          "outputs", [](const PyTensorRTEngine& self) { return copied(self.engine->outputs()); },
          "In the order of calls.")
      .def_prop_ro(
          "profile_count", [](const PyTensorRTEngine& self) { return self.engine->profile_count(); },
          "Optimization profiles that there are.")
      .def("range", range_of, "profile"_a, "input"_a,
           nb::sig("def range(self, profile: int, input: int) -> tuple[tuple[int, ...], tuple[int, ...], "
                   "tuple[int, ...]]"),
           "Least, best and most sizes that a profile takes of an input; of one on the host its values.")
      .def_prop_ro(
          "aux_stream_count", [](const PyTensorRTEngine& self) { return self.engine->aux_stream_count(); },
          "Streams that it uses besides the session's, in the same partition.")
      .def_prop_ro(
          "run_bytes", [](const PyTensorRTEngine& self) { return self.engine->run_bytes(); },
          "Device memory that a session needs for each run of it.")
      .def(
          "layer_information",
          [](const PyTensorRTEngine& self) {
            const nb::gil_scoped_release released;
            return self.engine->layer_information();
          },
          "The layers, as TensorRT's inspector writes them (JSON).")
      .def_prop_rw(
          "stream", stream_of_engine, set_stream, nb::arg().none(),
          nb::for_getter(nb::sig("def stream(self) -> Stream | None")),
          nb::for_setter(nb::sig("def stream(self, stream: typing.Any, /) -> None")),
          "The stream that it runs on instead of the session's, which both wait for by events; any "
          "object that stands for one. None: the session's, as at first. A run that is replayed from a "
          "graph runs in its partition, within the session's work.")
      .def_prop_rw(
          "profile", [](const PyTensorRTEngine& self) { return self.engine->profile(); },
          setter(&TensorRTEngine::set_profile), nb::arg().none(),
          "The profile that it runs with. None: one that the sizes fit, as at first.")
      .def_prop_rw(
          "weight_budget", [](const PyTensorRTEngine& self) { return self.engine->weight_budget(); },
          setter(&TensorRTEngine::set_weight_budget),
          "Bytes of device memory for weights that TensorRT streams; 0 where the plan streams none. Setting "
          "it builds the engine anew.")
      .def_prop_ro(
          "streamable_weight_bytes",
          [](const PyTensorRTEngine& self) { return self.engine->streamable_weight_bytes(); },
          "Of the weights that can be streamed.")
      .def_prop_rw(
          "profiling", [](const PyTensorRTEngine& self) { return self.engine->profiling(); },
          setter(&TensorRTEngine::set_profiling),
          "Measures each layer in every run: such runs wait for the device.")
      .def_prop_ro(
          "layer_times",
          [](const PyTensorRTEngine& self) {
            std::vector<std::pair<std::string, double>> times;
            for (const TensorRTLayerTime& each : self.engine->layer_times())
              times.emplace_back(each.layer, each.milliseconds);
            return times;
          },
          "Names and milliseconds of the layers, of the last run that was measured.")
      .def_prop_rw(
          "output_allocator", [](const PyTensorRTEngine& self) { return self.engine->output_allocator(); },
          setter(&TensorRTEngine::set_output_allocator),
          "Gives all outputs by the way of those whose size the data decide.")
      .def_prop_rw(
          "reused_outputs", [](const PyTensorRTEngine& self) { return self.engine->reused_outputs(); },
          setter(&TensorRTEngine::set_reused_outputs),
          "Writes outputs of the same sizes into the same memory at every run.")
      .def_prop_rw("communicator", communicator_of, set_communicator, nb::arg().none(),
                   "The address of the ncclComm_t for plans with collectives; None: none.")
      .def("__eq__",
           [](const PyTensorRTEngine& self, nb::handle other) {
             const PyTensorRTEngine* that = nullptr;
             return nb::try_cast(other, that) && that != nullptr && that->engine == self.engine;
           })
      .def("__hash__",
           [](const PyTensorRTEngine& self) { return reinterpret_cast<std::uintptr_t>(self.engine.get()); })
      .def("__repr__", [](const PyTensorRTEngine& self) {
        return "<penstock.TensorRTEngine \"" + self.engine->name() + "\" by " + self.engine->library() + ">";
      });
}

}  // namespace penstock::python
