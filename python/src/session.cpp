#include "errors.hpp"
#include "model.hpp"
#include "options.hpp"
#include "tensor.hpp"

#include <penstock/audit.hpp>
#include <penstock/error.hpp>

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

AuditLevel level_of(const std::string& text) {
  for (const AuditLevel level : {AuditLevel::Model, AuditLevel::Process, AuditLevel::Graph}) {
    if (to_string(level) == text) return level;
  }
  throw Error(ErrorCode::InvalidArgument,
              "level is \"" + text + "\", and can be \"model\", \"process\" or \"graph\"");
}

std::uintptr_t address(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

void bind_audit(nb::module_& module) {
  nb::class_<AuditEntry>(module, "AuditEntry", "One piece of work that was put on a device.")
      .def_prop_ro(
          "kind", [](const AuditEntry& self) { return to_string(self.kind); },
          "\"kernel\", \"copy\", \"fill\", \"library call\", \"operator\", \"other node\".")
      .def_ro("name", &AuditEntry::name, "Of the kernel, or of the function that was called.")
      .def_prop_ro(
          "level", [](const AuditEntry& self) { return to_string(self.level); }, "The level that saw it.")
      .def_ro("of_run", &AuditEntry::of_run, "Put there by the run; False: by others in the process.")
      .def_ro("device", &AuditEntry::device, "Its device.")
      .def_prop_ro(
          "stream", [](const AuditEntry& self) { return address(self.stream); }, "The CUstream; 0: not told.")
      .def_ro("sm_count", &AuditEntry::sm_count, "SMs that it may have run on; 0: not told.")
      .def_ro("in_green_context", &AuditEntry::in_green_context, "These are those of a partition.")
      .def_ro("in_place", &AuditEntry::in_place, "Of the run: on its stream and in its partition.")
      .def_ro("place_known", &AuditEntry::place_known, "False where the driver does not tell.")
      .def("__repr__", [](const AuditEntry& self) {
        return "<" + to_string(self.kind) + " " + self.name + (self.in_place ? "" : ", not in place") + ">";
      });
  nb::class_<Audit>(module, "Audit", "What an audited run put on the device, and where that went.")
      .def_prop_ro(
          "level", [](const Audit& self) { return to_string(self.level); }, "How far it saw.")
      .def_ro("device", &Audit::device, "The device of the run.")
      .def_prop_ro(
          "stream", [](const Audit& self) { return address(self.stream); },
          "The stream that the run was to stay on.")
      .def_ro("sm_count", &Audit::sm_count, "SMs of that stream.")
      .def_ro("in_green_context", &Audit::in_green_context, "True where it is of a partition.")
      .def_ro("entries", &Audit::entries, "In the order in which they were put on the device.")
      .def_ro("not_seen", &Audit::not_seen, "What this level cannot see, a sentence each.")
      .def_ro("missing_count", &Audit::missing_count,
              "Pieces of work that are known to have been, and have no entry.")
      .def_prop_ro("stayed", &Audit::stayed, "True where all of the run that was seen stayed on the stream.")
      .def_prop_ro("outside_count", &Audit::outside_count,
                   "What others put on the device meanwhile in no partition.");
}

void bind_statistics(nb::module_& module) {
  nb::class_<LastRun>(module, "LastRun", "How the last run was put on its stream.")
      .def_ro("replayed", &LastRun::replayed, "It was a replay of a CUDA graph.")
      .def_ro("reason", &LastRun::reason, "Why it was not.")
      .def("__repr__", [](const LastRun& self) {
        return self.replayed ? std::string("<replayed>") : "<not replayed: " + self.reason + ">";
      });
  nb::class_<GraphStatistics>(module, "GraphStatistics", "What a session did with CUDA graphs so far.")
      .def_ro("captures", &GraphStatistics::captures, "Graphs that were captured.")
      .def_ro("replays", &GraphStatistics::replays, "Runs that were replays.")
      .def_ro("recorded", &GraphStatistics::recorded, "Runs recorded into graphs that the caller captured.")
      .def_ro("patched_nodes", &GraphStatistics::patched_nodes, "Nodes that were told of another address.")
      .def_ro("fills", &GraphStatistics::fills,
              "Fills behind replays that a synchronization of the device sees.")
      .def_ro("dropped", &GraphStatistics::dropped, "Captured runs that went.")
      .def_ro("held", &GraphStatistics::held, "Captured runs that are there.")
      .def_ro("held_bytes", &GraphStatistics::held_bytes, "Device memory that they work in.")
      .def_ro("fixed", &GraphStatistics::fixed,
              "Why the last graph takes inputs only where they lay; empty: it does not.")
      .def_prop_ro(
          "eager",
          [](const GraphStatistics& self) {
            std::map<std::string, std::uint64_t> made;
            for (const auto& [reason, runs] : self.eager) made[reason] = runs;
            return made;
          },
          "Runs that were not replayed, by the reason.");
  nb::class_<SessionMemory>(module, "SessionMemory", "Memory of a session, in bytes.")
      .def_ro("held_bytes", &SessionMemory::held_bytes, "For runs to come, those in use included.")
      .def_ro("peak_bytes", &SessionMemory::peak_bytes, "The most that were in use at once.");
  nb::class_<StreamWaits>(module, "StreamWaits", "What a session on CUDA has waited for, over all its runs.")
      .def_ro("stream_changes", &StreamWaits::stream_changes, "Changes of stream: one wait each.")
      .def_ro("fences", &StreamWaits::fences,
              "Events around runs for callers on a default stream: two a run.");
}

}  // namespace

void bind_sessions(nb::module_& module) {
  bind_audit(module);
  bind_statistics(module);
  nb::class_<PySession>(
      module, "Session", nb::type_slots(kCollected<PySession>),
      "The mutable state of running a model: memory, graphs, options. One thread at a time; sessions "
      "of one model run in parallel.")
      .def(
          "run",
          [](PySession& self, const nb::args& args, nb::kwargs kwargs) {
            return self.call(args, kwargs, take_call_options(self.model(), kwargs, OutputForm::Penstock));
          },
          nb::sig(
              "def run(self, *args: typing.Any, stream: typing.Any = ..., out: typing.Any = ..., **kwargs: "
              "typing.Any) -> typing.Any"),
          "One inference, as a call of the model. `out`: tensors to write to, built as the outputs are. On "
          "CUDA it is put "
          "on the stream and not waited for.")
      .def(
          "run_torch",
          [](PySession& self, const nb::args& args, nb::kwargs kwargs) {
            return self.call(args, kwargs, take_call_options(self.model(), kwargs, OutputForm::Torch));
          },
          nb::sig("def run_torch(self, *args: typing.Any, stream: typing.Any = ..., out: typing.Any = ..., "
                  "**kwargs: "
                  "typing.Any) -> typing.Any"),
          "The same, giving tensors of torch.")
      .def(
          "audit",
          [](PySession& self, const nb::args& args, nb::kwargs kwargs) {
            std::string level = "model";
            if (kwargs.contains("level")) {
              level = cast_to<std::string>(kwargs["level"], "level", "str");
              PyDict_DelItemString(kwargs.ptr(), "level");
            }
            const CallOptions options = take_call_options(self.model(), kwargs, OutputForm::Penstock);
            return self.audit(args, kwargs, options.stream, level_of(level));
          },
          nb::sig(
              "def audit(self, *args: typing.Any, level: str = 'model', stream: typing.Any = ..., **kwargs: "
              "typing.Any) -> Audit"),
          "Runs once on CUDA, waits, and tells what was put on the device and where that went. `level` is "
          "\"model\", "
          "\"process\" or \"graph\".")
      .def(
          "prepare",
          [](PySession& self, const std::optional<std::vector<std::vector<std::int64_t>>>& shapes,
             const nb::object& stream) {
            self.prepare(shapes.value_or(std::vector<std::vector<std::int64_t>>{}), stream);
          },
          "shapes"_a = nb::none(), nb::kw_only(), "stream"_a = nb::none(),
          "Makes a run of these sizes ready, its CUDA graph included, on the execution resource of the "
          "stream. "
          "`shapes`: sizes of each input; without, the declared minimum.")
      .def_prop_ro("last_run", &PySession::last_run,
                   "Whether the last run on CUDA was replayed, and why not.")
      .def_prop_ro("graph_statistics", &PySession::graph_statistics, "Captures, replays and runs without.")
      .def_prop_ro("stream_waits", &PySession::stream_waits, "Waits so far.")
      .def_prop_ro("memory", &PySession::memory, "Memory held for runs.")
      .def("release_memory", &PySession::release_memory, "Gives back what no run and no output uses.")
      .def_prop_ro("threads", &PySession::threads, "Threads that a run uses at most.");
}

}  // namespace penstock::python
