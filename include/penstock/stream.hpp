#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>

#include <cstddef>
#include <memory>

namespace penstock {

class Event;

/// A CUDA stream that someone else owns: of a `Stream`, of CUDA's runtime, of another library.
/// Two are equal where they name the same stream. docs/streams.md has the contract.
/// Thread: thread-safe, as CUDA's streams are. Lifetime: the owner's; using a view of a destroyed stream is a
/// defect that CUDA does not always notice.
class PENSTOCK_API StreamView {
 public:
  StreamView(int) = delete;
  StreamView(std::nullptr_t) = delete;

  /// The stream that all work goes to which names none, and which waits for all blocking streams of its
  /// context and they for it. It is that of the context that is current at the call that uses it. Host-only.
  /// Errors: none.
  [[nodiscard]] static StreamView legacy_default() noexcept;

  /// The calling thread's own default stream, in the context that is current at the call that uses it. CUDA
  /// has none while a green context is current: what uses it then is refused.
  /// Host-only. Errors: none.
  [[nodiscard]] static StreamView per_thread_default() noexcept;

  /// The stream of a `CUstream` or `cudaStream_t`. Null is the legacy default stream, as in CUDA itself.
  /// Host-only: the handle is not looked at. Errors: none.
  [[nodiscard]] static StreamView from_handle(void* handle) noexcept;

  /// The `CUstream`, which is also a `cudaStream_t`. Host-only. Errors: none.
  [[nodiscard]] void* handle() const noexcept { return handle_; }

  /// True for the legacy and the per-thread default stream. Host-only. Errors: none.
  [[nodiscard]] bool is_default() const noexcept;

  /// The device. Host-only. Errors: InvalidArgument for a default stream while no context is current, and
  /// for the per-thread one while a green context is; Cuda where the stream does not exist (any more).
  [[nodiscard]] Device device() const;

  /// Streaming multiprocessors that its work may run on: of the partition that it belongs to, else of the
  /// device. Host-only. Errors: as `device`.
  [[nodiscard]] unsigned sm_count() const;

  /// True where it belongs to a green context, whoever made that. Host-only. Errors: as `device`.
  [[nodiscard]] bool in_green_context() const;

  /// True while the stream's work is recorded into a CUDA graph, also where that has failed already.
  /// Host-only. Errors: as `device`; Cuda for the legacy default stream while a blocking stream of its
  /// context is captured.
  [[nodiscard]] bool is_capturing() const;

  /// True where all work is done. Host-only. Errors: as `device`; Cuda, also for work that failed; Cuda for a
  /// stream that is being captured, whose capture this ends.
  [[nodiscard]] bool is_done() const;

  /// Waits until all work is done, and lets go of what no work uses any more: old weights and engines, in any
  /// session. Blocking. Errors: as `is_done`.
  void synchronize() const;

  /// Work that is put on this stream from now on waits until the event is done, as it was recorded last. An
  /// event that was never recorded is done. Stream-ordered. Errors: as `device`; Cuda.
  void wait_for(const Event& event) const;

  friend bool operator==(const StreamView&, const StreamView&) noexcept = default;

 private:
  explicit StreamView(void* handle) noexcept : handle_(handle) {}
  void* handle_;
};

/// How a stream is made.
struct StreamOptions {
  int device = 0;  ///< Ordinal of the GPU.
  /// Lower numbers go first where blocks of two streams wait for the same SMs. `stream_priorities` has the
  /// range; numbers outside are moved into it by CUDA. Priorities do not stop what runs already.
  int priority = 0;
  /// Waits for the legacy default stream and it for this one, as streams of CUDA's runtime do by default.
  bool waits_for_default_stream = false;
};

/// Priorities that streams of a device can have: numbers from `greatest` to `least`, such as -5 to 0.
struct StreamPriorities {
  int least = 0;
  int greatest = 0;
};

/// The range of a device. Blocking the first time: CUDA makes its context.
/// Thread: thread-safe. Errors: NotFound (no driver, no such GPU), Incompatible, Cuda.
PENSTOCK_API StreamPriorities stream_priorities(int device = 0);

/// A CUDA stream of one's own. Partitions make them too: `GreenContext::create_stream`.
/// Thread: a stream is used from any thread; the object itself is moved and destroyed by one.
/// Lifetime: holds its green context, if any, and the device's primary context. Destroying it waits for
/// nothing: work that is on the stream is still done.
class PENSTOCK_API Stream {
 public:
  /// Makes a stream in the device's primary context. Blocking the first time: CUDA makes that context.
  /// Errors: NotFound (no driver, no such GPU), Incompatible (driver too old), OutOfMemory, Cuda.
  [[nodiscard]] static Stream create(const StreamOptions& options = {});

  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  /// Host-only. Lifetime: of the view, this stream. Errors: none.
  [[nodiscard]] StreamView view() const noexcept;
  operator StreamView() const noexcept { return view(); }  // NOLINT(google-explicit-constructor)

  /// The priority that CUDA gave it. Host-only. Errors: Cuda.
  [[nodiscard]] int priority() const;

  /// Implementation detail, for the library's own use.
  struct Impl;
  explicit Stream(std::unique_ptr<Impl> impl) noexcept;

 private:
  std::unique_ptr<Impl> impl_;
};

/// How an event is made.
struct EventOptions {
  int device = 0;         ///< Ordinal of the GPU whose streams record it.
  bool timing = false;    ///< Keeps the time at which it was done: `Event::milliseconds_between`.
  bool yielding = false;  ///< `Event::synchronize` gives the processor away instead of spinning.
};

/// A point in the work of a stream that others can wait for.
/// Thread: thread-safe, but for moving and destroying the object.
/// Lifetime: holds the device's primary context. May be destroyed while streams wait for it.
class PENSTOCK_API Event {
 public:
  /// Makes one that is done. Blocking the first time: CUDA makes the device's context.
  /// Errors: NotFound (no driver, no such GPU), Incompatible, OutOfMemory, Cuda.
  [[nodiscard]] static Event create(const EventOptions& options = {});

  ~Event();
  Event(Event&&) noexcept;
  Event& operator=(Event&&) noexcept;

  /// From now on stands for all work on the stream so far. Stream-ordered.
  /// Errors: as StreamView::device; InvalidArgument for a stream of another device; Cuda.
  void record(StreamView stream) const;

  /// True where the work that it stands for is done. Host-only. Errors: Cuda, also for work that failed.
  [[nodiscard]] bool is_done() const;

  /// Waits until the work that it stands for is done, and lets go as StreamView::synchronize. Blocking.
  /// Errors: Cuda, also for work that failed.
  void synchronize() const;

  /// Time on the device between two events, in milliseconds, with a resolution of about half a microsecond.
  /// Host-only. Errors: InvalidArgument where one was made without timing, was never recorded or is not done.
  [[nodiscard]] static double milliseconds_between(const Event& start, const Event& end);

  /// The `CUevent`, which is also a `cudaEvent_t`. Host-only. Lifetime: the event's. Errors: none.
  [[nodiscard]] void* handle() const noexcept;

 private:
  struct Impl;
  explicit Event(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock
