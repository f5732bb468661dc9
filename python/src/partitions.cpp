#include "streams.hpp"

#include <penstock/partition.hpp>
#include <penstock/system.hpp>

#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

PyStream make_stream(const GreenContext& self, int priority) {
  auto made = std::make_shared<const Stream>(self.create_stream({priority}));
  return {made->view(), made};
}

std::vector<SmResource> split(const SmResource& self,
                              const std::variant<std::string, std::vector<unsigned>>& parts) {
  if (const auto* const text = std::get_if<std::string>(&parts)) return self.split(*text);
  return self.split(std::get<std::vector<unsigned>>(parts));
}

GreenContext make_context(const std::variant<SmResource, std::vector<SmResource>>& sms) {
  const nb::gil_scoped_release released;
  if (const auto* const one = std::get_if<SmResource>(&sms)) return GreenContext::create(*one);
  return GreenContext::create(std::get<std::vector<SmResource>>(sms));
}

void bind_resource(nb::module_& module) {
  nb::class_<SmResource>(
      module, "SmResource",
      "A set of streaming multiprocessors (SMs) of one GPU: a description, which reserves nothing.")
      .def_static("of_device", &SmResource::of_device, "device"_a = 0, "All SMs of a device.")
      .def_static(
          "of_stream", [](nb::handle stream) { return SmResource::of_stream(stream_of(stream).view); },
          "stream"_a, "The SMs that a stream's work may run on, also of a green context of someone else.")
      .def_prop_ro("device", &SmResource::device, "Ordinal of the GPU.")
      .def_prop_ro("sm_count", &SmResource::sm_count, "How many SMs.")
      .def_prop_ro("least_sm_count", &SmResource::least_sm_count, "The least SMs that a part can have.")
      .def_prop_ro("step_sm_count", &SmResource::step_sm_count, "The number in whose multiples parts grow.")
      .def(
          "split", split, "parts"_a,
          "Divides the SMs into parts that share none: \"32,25%,rest\", or numbers of SMs. What was given is "
          "`sm_count` of each. Nothing is reserved, so this is also the dry run.")
      .def("__repr__", [](const SmResource& self) {
        return "<penstock.SmResource of " + std::to_string(self.sm_count()) +
               " SMs of cuda:" + std::to_string(self.device()) + ">";
      });
}

}  // namespace

void bind_partitions(nb::module_& module) {
  bind_resource(module);
  nb::class_<GreenContext>(module, "GreenContext",
                           "A partition: the work of its streams runs on its SMs and on no others. Work in "
                           "no partition runs on all SMs, "
                           "these included. `with context as stream:` makes a stream of it the one that "
                           "calls without `stream=` go to.")
      .def(
          "__init__",
          [](GreenContext* self, const std::variant<SmResource, std::vector<SmResource>>& sms) {
            new (self) GreenContext(make_context(sms));
          },
          "sms"_a, "Makes one from a set of SMs, or from several that came of one split.")
      .def_prop_ro(
          "device", [](const GreenContext& self) { return self.device(); }, "Ordinal of the GPU.")
      .def_prop_ro(
          "sm_count", [](const GreenContext& self) { return self.sm_count(); }, "SMs that CUDA gave it.")
      .def_prop_ro(
          "resource", [](const GreenContext& self) { return self.resource(); },
          "Its SMs, which can be split.")
      .def_prop_ro(
          "handle",
          [](const GreenContext& self) { return reinterpret_cast<std::uintptr_t>(self.view().handle()); },
          "The CUgreenCtx as a number.")
      .def("create_stream", make_stream, nb::kw_only(), "priority"_a = 0,
           "Makes a stream whose work runs on these SMs.")
      .def("__enter__",
           [](GreenContext& self) {
             PyStream made = make_stream(self, 0);
             enter(made, &self);
             return made;
           })
      .def(
          "__exit__", [](const GreenContext& self, nb::args) { leave_partition(&self); },
          nb::sig("def __exit__(self, *unused: object) -> None"));
  module.def(
      "probe_sms",
      [](nb::handle stream) {
        const PyStream found = stream_of(stream);
        const nb::gil_scoped_release released;
        return probe_sms(found.view);
      },
      "stream"_a, "Runs a kernel on the stream that only says where it ran: the SM of each of its blocks.");
}

}  // namespace penstock::python
