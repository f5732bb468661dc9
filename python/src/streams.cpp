#include "streams.hpp"

#include "errors.hpp"
#include "share.hpp"

#include <penstock/error.hpp>
#include <penstock/partition.hpp>

#include <nanobind/stl/pair.h>

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::python {
namespace {

namespace nb = nanobind;
using namespace nb::literals;

/// Of `with stream:`, innermost last. By thread, as torch's and CuPy's are.
struct Entered {
  PyStream stream;
  const void* by;
};
struct Stack {
  std::vector<Entered> streams;

  Stack() = default;
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() { cut(0); }
  /// The end of an entry may run code of Python, which finds the stack as it is then.
  void drop(std::vector<Entered>::iterator which) {
    const Entered gone = std::move(*which);
    streams.erase(which);
  }
  void cut(std::size_t count) {
    while (streams.size() > count) drop(std::prev(streams.end()));
  }
};
Stack& stack() {
  thread_local Stack made;
  return made;
}
std::vector<Entered>& entered() { return stack().streams; }

/// Takes the entry out wherever it is: who leaves a stream late (a coroutine, a generator) leaves it all the
/// same.
template <class Is>
void leave_where(const Is& is) {
  std::vector<Entered>& streams = entered();
  const auto found = std::find_if(streams.rbegin(), streams.rend(), is);
  const bool was_last = !streams.empty() && found == streams.rbegin();
  if (found != streams.rend()) stack().drop(std::prev(found.base()));
  if (!was_last) {
    throw Error(ErrorCode::InvalidArgument,
                "a stream is left that is not the one entered last; leave streams in the order of `with`");
  }
}

StreamView from_address(std::uintptr_t handle) {
  return StreamView::from_handle(reinterpret_cast<void*>(handle));  // NOLINT(performance-no-int-to-ptr)
}

/// The answer of `__cuda_stream__`: a version, which is 0, and a handle.
StreamView from_protocol(nb::handle object) {
  const nb::object protocol = object.attr("__cuda_stream__");
  const nb::object answer = PyCallable_Check(protocol.ptr()) != 0 ? protocol() : protocol;
  std::pair<int, std::uintptr_t> parts;
  try {
    parts = {nb::cast<int>(answer[0]), nb::cast<std::uintptr_t>(answer[1])};
  } catch (const std::exception&) {
    wrong_type("__cuda_stream__ of a " + type_text(object) +
               " does not give a pair of a version and a handle");
  }
  if (parts.first != 0) {
    throw Error(ErrorCode::Unsupported, "__cuda_stream__ of a " + type_text(object) + " is of version " +
                                            std::to_string(parts.first) + ", which is not known");
  }
  return from_address(parts.second);
}

std::uintptr_t address_of(const PyStream& stream) {
  return reinterpret_cast<std::uintptr_t>(stream.view.handle());
}

PyStream make_stream(int device, int priority, bool waits_for_default_stream) {
  auto made = std::make_shared<const Stream>([&] {
    const nb::gil_scoped_release released;
    return Stream::create({device, priority, waits_for_default_stream});
  }());
  return {made->view(), made};
}

std::string text_of(const PyStream& stream) {
  return "<penstock.Stream 0x" + nb::cast<std::string>(nb::str("{:x}").format(address_of(stream))) + ">";
}

void bind_stream(nb::module_& module) {
  nb::class_<PyStream>(
      module, "Stream",
      "A CUDA stream: a new one of the device, or `from_handle` of someone else's. `with stream:` "
      "makes it the one that calls without `stream=` go to, in this thread.")
      .def(
          "__init__",
          [](PyStream* self, int device, int priority, bool waits_for_default_stream) {
            new (self) PyStream(make_stream(device, priority, waits_for_default_stream));
          },
          "device"_a = 0, nb::kw_only(), "priority"_a = 0, "waits_for_default_stream"_a = false,
          "Makes a stream in the device's primary context. Lower numbers of priority go first. It waits for "
          "nothing of the legacy default stream unless told so.")
      .def_static(
          "from_handle", [](std::uintptr_t handle) { return PyStream{from_address(handle)}; }, "handle"_a,
          "The stream of a CUstream or cudaStream_t, which is not looked at. Its owner keeps it. 0 is the "
          "legacy "
          "default stream.")
      .def_static(
          "legacy_default", [] { return PyStream{StreamView::legacy_default()}; },
          "The default stream of the context that is current at the call that uses it.")
      .def_static(
          "per_thread_default", [] { return PyStream{StreamView::per_thread_default()}; },
          "The calling thread's own default stream.")
      .def_static(
          "of", [](nb::handle object) { return stream_of(object); }, "stream"_a,
          "The stream that an object stands for: with `__cuda_stream__`, of torch, of CuPy.")
      .def_prop_ro("handle", address_of,
                   "The CUstream as a number: what torch and CuPy call ExternalStream with.")
      .def(
          "__cuda_stream__", [](const PyStream& self) { return std::pair(0, address_of(self)); },
          "For other libraries: the version of this protocol and the handle.")
      .def_prop_ro(
          "is_default", [](const PyStream& self) { return self.view.is_default(); },
          "True for the legacy and the per-thread default stream.")
      .def_prop_ro(
          "device", [](const PyStream& self) { return self.view.device(); }, "Its device.")
      .def_prop_ro(
          "sm_count", [](const PyStream& self) { return self.view.sm_count(); },
          "Streaming multiprocessors that its work may run on.")
      .def_prop_ro(
          "in_green_context", [](const PyStream& self) { return self.view.in_green_context(); },
          "True where it belongs to a partition, whoever made that.")
      .def_prop_ro(
          "is_capturing", [](const PyStream& self) { return self.view.is_capturing(); },
          "True while its work is recorded into a CUDA graph.")
      .def_prop_ro(
          "is_done", [](const PyStream& self) { return self.view.is_done(); }, "True where all work is done.")
      .def(
          "synchronize", [](const PyStream& self) { self.view.synchronize(); },
          nb::call_guard<nb::gil_scoped_release>(), "Waits until all work is done.")
      .def(
          "wait_for", [](const PyStream& self, const Event& event) { self.view.wait_for(event); }, "event"_a,
          "Work that comes from now on waits until the event is done, as it was recorded last.")
      .def(
          "__enter__",
          [](nb::object self) {
            enter(nb::cast<const PyStream&>(self));
            return self;
          },
          nb::sig("def __enter__(self) -> Stream"))
      .def(
          "__exit__", [](const PyStream& self, nb::args) { leave(self.view); },
          nb::sig("def __exit__(self, *unused: object) -> None"))
      .def(
          "__eq__", [](const PyStream& self, const PyStream& other) { return self.view == other.view; },
          nb::is_operator(), nb::sig("def __eq__(self, other: object, /) -> bool"))
      .def("__hash__", address_of)
      .def("__repr__", text_of);
}

void bind_event(nb::module_& module) {
  nb::class_<Event>(module, "Event", "A point in the work of a stream that others can wait for.")
      .def(
          "__init__",
          [](Event* self, int device, bool timing, bool yielding) {
            new (self) Event(Event::create({device, timing, yielding}));
          },
          "device"_a = 0, nb::kw_only(), "timing"_a = false, "yielding"_a = false,
          "Makes one that is done. With `timing` it keeps the time; with `yielding` whoever waits gives the "
          "processor away.")
      .def(
          "record", [](const Event& self, nb::handle stream) { self.record(stream_of(stream).view); },
          "stream"_a, "From now on stands for all work on the stream so far.")
      .def_prop_ro("is_done", &Event::is_done, "True where the work that it stands for is done.")
      .def("synchronize", &Event::synchronize, nb::call_guard<nb::gil_scoped_release>(),
           "Waits until the work that it stands for is done.")
      .def_static("milliseconds_between", &Event::milliseconds_between, "start"_a, "end"_a,
                  "Time on the device between two events that were made with `timing`.")
      .def_prop_ro(
          "handle", [](const Event& self) { return reinterpret_cast<std::uintptr_t>(self.handle()); },
          "The CUevent as a number.");
}

}  // namespace

PyStream stream_of(nb::handle object) {
  PyStream* ours = nullptr;
  if (nb::try_cast(object, ours) && ours != nullptr) return *ours;
  if (nb::hasattr(object, "__cuda_stream__"))
    return {from_protocol(object), nullptr, share(nb::borrow(object))};
  // torch and CuPy before they had the protocol.
  for (const char* const name : {"cuda_stream", "ptr"}) {
    std::uintptr_t handle = 0;
    if (nb::hasattr(object, name) && nb::try_cast(object.attr(name), handle))
      return {from_address(handle), nullptr, share(nb::borrow(object))};
  }
  wrong_type(
      "a " + type_text(object) +
      " is no stream; give a penstock.Stream, a stream of torch or CuPy, an object with __cuda_stream__, "
      "or penstock.Stream.from_handle(number)");
}

Event event_behind(StreamView stream, std::int32_t device, std::optional<Stream>& beside) {
  Event made = Event::create({device});
  try {
    made.record(stream);
  } catch (const Error& error) {
    const bool is_legacy = stream.is_default() && stream != StreamView::per_thread_default();
    if (error.code() != ErrorCode::InvalidArgument || !is_legacy) throw;
    // What is put on a blocking stream comes behind the default stream, which cannot be named from here.
    if (!beside) beside = Stream::create({device, 0, true});
    made.record(*beside);
  }
  return made;
}

std::shared_ptr<const Event> ready_on(StreamView stream, std::int32_t device, std::optional<Stream>& beside) {
  if (!stream.is_default()) return nullptr;
  if (stream == StreamView::per_thread_default() && stream.is_capturing()) return nullptr;
  return std::make_shared<const Event>(event_behind(stream, device, beside));
}

void wait_on(StreamView taking, const Event& ready) {
  try {
    taking.wait_for(ready);
  } catch (const Error& error) {
    // A default stream where no context is current: there is nothing on the device to tell to wait.
    if (error.code() != ErrorCode::InvalidArgument || !taking.is_default()) throw;
    ready.synchronize();
  }
}

void enter(PyStream stream, const void* by) { entered().push_back({std::move(stream), by}); }

void leave(StreamView stream) {
  leave_where([&](const Entered& each) { return each.by == nullptr && each.stream.view == stream; });
}

void leave_partition(const void* by) {
  leave_where([&](const Entered& each) { return each.by == by; });
}

std::size_t entered_count() { return entered().size(); }

void leave_down_to(std::size_t count) noexcept { stack().cut(count); }

const PyStream* entered_stream() { return entered().empty() ? nullptr : &entered().back().stream; }

PyStream current_stream(Library library, std::int32_t device) {
  const nb::dict modules = nb::borrow<nb::dict>(PyImport_GetModuleDict());
  if (library == Library::Torch && modules.contains("torch")) {
    const nb::object stream = modules["torch"].attr("cuda").attr("current_stream")(device);
    return {from_address(nb::cast<std::uintptr_t>(stream.attr("cuda_stream"))), nullptr, share(stream)};
  }
  if (library == Library::CuPy && modules.contains("cupy")) {
    const nb::object stream = modules["cupy"].attr("cuda").attr("get_current_stream")(device);
    return {from_address(nb::cast<std::uintptr_t>(stream.attr("ptr"))), nullptr, share(stream)};
  }
  return {StreamView::legacy_default()};
}

void bind_streams(nb::module_& module) {
  bind_event(module);
  bind_stream(module);
}

}  // namespace penstock::python
