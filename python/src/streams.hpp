#pragma once

#include <penstock/device.hpp>
#include <penstock/stream.hpp>

#include <nanobind/nanobind.h>

#include <cstddef>
#include <memory>
#include <optional>

namespace penstock::python {

/// A stream as Python has it: one of Penstock's own, or a view of another library's with what keeps it.
struct PyStream {
  StreamView view;
  std::shared_ptr<const Stream> owned = nullptr;
  std::shared_ptr<const void> keeps = nullptr;
};

/// The stream that an object stands for: a `Stream`, anything with `__cuda_stream__`, a stream of torch or
/// CuPy. Errors: TypeError says what is taken.
[[nodiscard]] PyStream stream_of(nanobind::handle object);

/// The stream of the innermost `with stream:` of the calling thread; null where there is none.
[[nodiscard]] const PyStream* entered_stream();
/// The beginning and the end of `with`, in the calling thread; `by` is the partition that it is over, null
/// for a stream itself. Errors: InvalidArgument where another one was entered last.
void enter(PyStream stream, const void* by = nullptr);
void leave(StreamView stream);
void leave_partition(const void* by);
/// How many the calling thread has entered and not left; and the end of all but the first of them.
[[nodiscard]] std::size_t entered_count();
void leave_down_to(std::size_t count) noexcept;

/// An event behind all that is on a stream of a device. The legacy default stream is that of the current
/// context, or of the device's primary one where none is current; for that `beside` keeps a stream.
[[nodiscard]] Event event_behind(StreamView stream, std::int32_t device, std::optional<Stream>& beside);

/// When what is on a default stream now will be done, for other threads, whose default streams are others;
/// null for other streams, and for one that is being captured.
[[nodiscard]] std::shared_ptr<const Event> ready_on(StreamView stream, std::int32_t device,
                                                    std::optional<Stream>& beside);

/// Makes work that comes on `taking` wait for an event.
void wait_on(StreamView taking, const Event& ready);

/// The current stream of torch or CuPy, whichever made the tensors of a call, else the default stream.
enum class Library { None, Torch, CuPy };
[[nodiscard]] PyStream current_stream(Library library, std::int32_t device);

void bind_streams(nanobind::module_& module);
void bind_partitions(nanobind::module_& module);

}  // namespace penstock::python
