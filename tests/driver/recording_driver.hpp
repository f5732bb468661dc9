#pragma once

#include "cuda/abi.hpp"

#include <array>
#include <cstddef>
#include <functional>
#include <span>

// libpenstock_recording_driver.so stands in for libcuda.so.1 where PENSTOCK_LIBCUDA names it: a machine with
// GPUs whose memory is host memory, whose copies and fills happen in stream order, and whose kernels do not
// run but are written down. Graphs hold what was captured, and are replayed in the order of the capture.
// These functions steer it, in the process that has opened it. All are thread-safe.
//
// For other processes there are variables, read when the library is opened:
//   PENSTOCK_RECORDING_GPUS=N        how many GPUs there are (1)
//   PENSTOCK_RECORDING_VERSION=V     of CUDA that the driver says it is of (13000)
//   PENSTOCK_RECORDING_LOG=FILE      where the log goes as well
//   PENSTOCK_RECORDING_KERNEL_MS=MS  what a kernel takes by the clock of events
//   PENSTOCK_RECORDING_FAIL=F:N:R    the Nth call of function F answers R; "*" is any function
namespace penstock::recording {

struct Machine {
  int devices = 1;
  int driver_version = 13000;
  unsigned sm_count = 132;  ///< At most 192.
  unsigned least = 8;       ///< SMs of a partition.
  unsigned step = 8;
  std::size_t memory_bytes = std::size_t{80} << 30;
  bool nodes_name_kernels = false;  ///< Kernel nodes have a CUkernel, as those of CUDA's own libraries do.
};

/// What has been made and not been given back.
struct Alive {
  unsigned streams = 0;
  unsigned events = 0;
  unsigned green_contexts = 0;
  unsigned primary_contexts = 0;  ///< Retained ones.
  unsigned modules = 0;
  unsigned graphs = 0;
  unsigned graph_execs = 0;
  unsigned user_objects = 0;  ///< Whose creator has references.
  std::size_t device_bytes = 0;
  std::size_t host_bytes = 0;

  friend bool operator==(const Alive&, const Alive&) = default;
};

/// A call that is to go wrong.
struct Fault {
  const char* function = nullptr;  ///< "cuStreamCreateWithPriority"; null: any.
  unsigned nth = 1;                ///< Of the calls from now on.
  bool every = false;              ///< Every nth.
  bool sticky = false;             ///< The device answers the same to everything from then on.
  int result = 999;
};

/// Work that is put on a stream, as a profiler sees it.
struct Work {
  const char* name = nullptr;  ///< As in the log: "cuLaunchKernel add_kernel grid 4x1x1".
  int device = 0;
  unsigned context = 0;  ///< As penstock_recording_context tells.
  unsigned stream = 0;
  bool in_green_context = false;
  unsigned sm_count = 0;
};
using Listener = void (*)(const Work& work);

/// Kinds of memory that others may have made.
enum class ForeignMemory { Managed, Pinned, Registered };

/// What becomes of a call that is captured: a node of the primary context, as of a library that leaves its
/// stream; a graph within the graph; both.
enum class CapturedAs { OfPrimary, Child, ChildOfPrimary };

/// A kernel as it would run now.
struct KernelLaunch {
  const char* name = nullptr;
  std::array<unsigned, 3> grid{};
  std::array<unsigned, 3> block{};
  unsigned shared_bytes = 0;
  std::span<const std::byte> parameters;  ///< As the kernel finds them; none where its image does not tell.
  const char* resource = nullptr;         ///< "green#1 (32 SMs)"
};
using KernelAction = std::function<void(const KernelLaunch&)>;

}  // namespace penstock::recording

#define PENSTOCK_RECORDING_API __attribute__((visibility("default")))

/// Begins anew: nothing is alive, the log is empty, no call fails. Handles from before are void. The calling
/// thread has no context.
PENSTOCK_RECORDING_API void penstock_recording_reset(const penstock::recording::Machine& machine);

/// What was called, a line each, as "cuLaunchKernel add_kernel grid 4x1x1 stream#3 green#1 (32 SMs)".
/// Valid until the next call of this function on the thread.
PENSTOCK_RECORDING_API const char* penstock_recording_log();
PENSTOCK_RECORDING_API void penstock_recording_clear_log();

/// Holds a stream back, as a kernel would that waits for the host; lets it go on. A default stream is that of
/// the thread's context. False where there is no such stream.
PENSTOCK_RECORDING_API bool penstock_recording_hold(void* stream);
PENSTOCK_RECORDING_API bool penstock_recording_let_go(void* stream);

/// Whether a call that has to wait for a held stream lets all that are held go, as their end would, and says
/// so in the log ("cuMemFree waits for stream#1"), until the next reset. Otherwise it fails, which is a
/// violation.
PENSTOCK_RECORDING_API void penstock_recording_end_waits(bool ends);

/// A stream of a context beside the primary one, as cuCtxCreate makes it; gone with the next reset. Null
/// where there is no such device.
PENSTOCK_RECORDING_API void* penstock_recording_stream_of_other_context(int device);

/// What a kernel does, in the order of the stream, launched or replayed, until the next reset. "" is any
/// kernel. Calls of the driver within it are not allowed.
PENSTOCK_RECORDING_API void penstock_recording_kernel(const char* name,
                                                      penstock::recording::KernelAction action);

/// How a kernel, or a call by its name ("cuMemsetD8Async"), is captured from now on, until the next reset.
PENSTOCK_RECORDING_API void penstock_recording_capture(const char* name, penstock::recording::CapturedAs as);

/// Whether cuCtxSynchronize with the primary context current waits for all that was put on the stream. It
/// does not where that ends with a graph and the stream is a green context's.
PENSTOCK_RECORDING_API bool penstock_recording_device_waits_for(void* stream);

/// What must not happen, a line each: calls that would have waited for a held stream, which failed with
/// CUDA_ERROR_UNKNOWN; graphs launched when what they use is gone; calls from functions that the driver
/// calls.
PENSTOCK_RECORDING_API const char* penstock_recording_violations();

PENSTOCK_RECORDING_API penstock::recording::Alive penstock_recording_alive();

/// Adds a fault. Those that give something back do so and answer the error all the same, as CUDA's do.
PENSTOCK_RECORDING_API void penstock_recording_fail(const penstock::recording::Fault& fault);
PENSTOCK_RECORDING_API void penstock_recording_clear_faults();

/// Calls so far that a fault could have hit.
PENSTOCK_RECORDING_API unsigned penstock_recording_calls();

/// Who is told of all work, on the thread that puts it on a stream and before that call returns; null:
/// nobody.
PENSTOCK_RECORDING_API void penstock_recording_listen(penstock::recording::Listener listener);

/// The number of a context; 0 where there is no such.
PENSTOCK_RECORDING_API unsigned penstock_recording_context(const void* context);

/// Memory as others make it; freed by the next reset.
PENSTOCK_RECORDING_API void* penstock_recording_memory(penstock::recording::ForeignMemory kind,
                                                       std::size_t bytes);
