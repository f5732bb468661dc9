#include "engines.hpp"

#include "errors.hpp"
#include "streams.hpp"

#include <penstock/error.hpp>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

/// What engines run on by their own wish, which Python may let go of: kept until they are given another one.
/// Only with the GIL.
struct KeptStream {
  std::weak_ptr<TensorRTEngine> engine;
  PyStream stream;
};
std::map<const TensorRTEngine*, KeptStream>& kept_streams() {
  // Never destroyed: Python may be gone by then.
  static auto& kept = *new std::map<const TensorRTEngine*, KeptStream>;
  return kept;
}

void set_stream(const PyTensorRTEngine& self, const nb::object& stream) {
  auto& kept = kept_streams();
  std::erase_if(kept, [](const auto& each) { return each.second.engine.expired(); });
  if (stream.is_none()) {
    self.engine->set_stream(std::nullopt);
    kept.erase(self.engine.get());
    return;
  }
  PyStream taken = stream_of(stream);
  self.engine->set_stream(taken.view);
  kept.insert_or_assign(self.engine.get(), KeptStream{self.engine, std::move(taken)});
}

nb::object stream_of_engine(const PyTensorRTEngine& self) {
  const std::optional<StreamView> stream = self.engine->stream();
  if (!stream) return nb::none();
  const auto kept = kept_streams().find(self.engine.get());
  return nb::cast(kept != kept_streams().end() && kept->second.stream.view == *stream ? kept->second.stream
                                                                                      : PyStream{*stream});
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

void set_communicator(const PyTensorRTEngine& self, std::optional<std::uintptr_t> address) {
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
          "layer_information", [](const PyTensorRTEngine& self) { return self.engine->layer_information(); },
          "The layers, as TensorRT's inspector writes them (JSON).")
      .def_prop_rw("stream", stream_of_engine, set_stream, nb::arg().none(),
                   nb::for_getter(nb::sig("def stream(self) -> Stream | None")),
                   nb::for_setter(nb::sig("def stream(self, stream: typing.Any, /) -> None")),
                   "The stream that it runs on instead of the session's, which both wait for by events; any "
                   "object that stands for one. None: the session's, as at first.")
      .def_prop_rw(
          "profile", [](const PyTensorRTEngine& self) { return self.engine->profile(); },
          [](const PyTensorRTEngine& self, std::optional<int> profile) { self.engine->set_profile(profile); },
          nb::arg().none(), "The profile that it runs with. None: one that the sizes fit, as at first.")
      .def_prop_rw(
          "weight_budget", [](const PyTensorRTEngine& self) { return self.engine->weight_budget(); },
          [](const PyTensorRTEngine& self, std::int64_t bytes) {
            const nb::gil_scoped_release released;
            self.engine->set_weight_budget(bytes);
          },
          "Bytes of device memory for weights that TensorRT streams; 0 where the plan streams none. Setting "
          "it builds the engine anew.")
      .def_prop_ro(
          "streamable_weight_bytes",
          [](const PyTensorRTEngine& self) { return self.engine->streamable_weight_bytes(); },
          "Of the weights that can be streamed.")
      .def_prop_rw(
          "profiling", [](const PyTensorRTEngine& self) { return self.engine->profiling(); },
          [](const PyTensorRTEngine& self, bool on) { self.engine->set_profiling(on); },
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
          [](const PyTensorRTEngine& self, bool on) { self.engine->set_output_allocator(on); },
          "Gives all outputs by the way of those whose size the data decide.")
      .def_prop_rw(
          "reused_outputs", [](const PyTensorRTEngine& self) { return self.engine->reused_outputs(); },
          [](const PyTensorRTEngine& self, bool on) { self.engine->set_reused_outputs(on); },
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
