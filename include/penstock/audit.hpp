#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace penstock {

/// How far an audit of a run sees.
enum class AuditLevel {
  /// What the package itself launches, copies and fills, and each call of a library (cuBLASLt, cuDNN) and of
  /// a registered operator with the stream that it was given. Seen where Penstock makes the calls. Not seen:
  /// which kernels a library launches, what an operator does, and what the rest of the process does.
  Model,
  /// That, and by NVIDIA's CUPTI every kernel, copy and fill that the process puts on its GPUs meanwhile: of
  /// the run, those of libraries included, and of others. Needs libcupti of CUDA 12.5 or later, which is
  /// opened then: the file that PENSTOCK_CUPTI names, or where other libraries of NVIDIA are found.
  Process,
  /// How a run is replayed: it is, from its CUDA graph, and every node of that is told with the name of its
  /// kernel, those of libraries too, and with what the driver says of the execution resource that it runs in.
  /// Beside the nodes, as at AuditLevel::Model, what Penstock puts on the stream before and behind the graph.
  /// A run that was not captured before is made twice, since the second one is.
  Graph,
};

/// How a run is audited.
struct AuditOptions {
  AuditLevel level = AuditLevel::Model;
};

/// One piece of work that was put on a device.
struct AuditEntry {
  enum class Kind {
    Kernel,  ///< At AuditLevel::Model of the package, or one of Penstock's own operators.
    Copy,
    Fill,
    Library,   ///< A call of cuBLASLt or cuDNN, which launches kernels of its own.
    Operator,  ///< A registered operator or method, which was given the stream.
    Other,     ///< Another node of a graph: a function of the host, an event, an empty one.
  };
  Kind kind = Kind::Kernel;
  std::string name;                      ///< Of the kernel, or of the function that was called.
  AuditLevel level = AuditLevel::Model;  ///< That saw it.
  bool of_run = true;                    ///< Put there by the run's thread in the run; false: by others.
  Device device;
  /// The `CUstream` that it went to. CUPTI tells only whether that is the run's: null where it is not.
  void* stream = nullptr;
  std::uint32_t stream_number = 0;   ///< CUPTI's; 0 at AuditLevel::Model.
  std::uint32_t context_number = 0;  ///< The same.
  unsigned sm_count = 0;             ///< SMs that the stream's work may run on; 0 where CUPTI does not tell.
  bool in_green_context = false;     ///< These are those of a partition.
  /// Of the run: the stream is the run's, and so is the partition. Of others: it is known that they are in a
  /// partition, or on another device.
  bool in_place = false;
  /// False of nodes of a graph that the driver does not tell the context of: `in_place`, `sm_count` and
  /// `in_green_context` say nothing then. Such are counted in Audit::missing_count.
  bool place_known = true;
};

/// What an audited run did. Thread: one caller at a time.
struct PENSTOCK_API Audit {
  AuditLevel level = AuditLevel::Model;
  Device device;
  void* stream = nullptr;         ///< That the run was to stay on: the caller's, or the lane's own where the
                                  ///< caller gave a default stream.
  unsigned sm_count = 0;          ///< Of it.
  bool in_green_context = false;  ///< Of it.
  /// In the order in which they were put on the device: what AuditLevel::Model saw, and then what
  /// AuditLevel::Process saw, or the nodes of the graph, in the order in which the driver tells them, those
  /// of a graph within the graph in its place.
  std::vector<AuditEntry> entries;
  std::vector<std::string> not_seen;  ///< What this level cannot see, a sentence each.
  /// Pieces of work that are known to have been, and that AuditLevel::Process has no record of, or that
  /// AuditLevel::Graph cannot tell the place of. Where there are any, it has not seen all of the run.
  std::size_t missing_count = 0;

  /// True where everything of the run that the level sees the place of stayed on the stream and in the
  /// partition. That is all of the run only where nothing is missing (`missing_count`). Host-only. Errors:
  /// none.
  [[nodiscard]] bool stayed() const noexcept;

  /// What others in the process put on the run's device meanwhile in no partition, or in none that is known:
  /// it may run on all SMs, those of every partition included. Host-only. Errors: none.
  [[nodiscard]] std::size_t outside_count() const noexcept;
};

/// "kernel", "copy", "fill", "library call", "operator", "other node". Host-only. Thread: thread-safe.
/// Errors: none.
PENSTOCK_API std::string to_string(AuditEntry::Kind kind);

/// "model", "process", "graph". Host-only. Thread: thread-safe. Errors: none.
PENSTOCK_API std::string to_string(AuditLevel level);

}  // namespace penstock
