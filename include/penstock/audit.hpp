#pragma once

#include <penstock/device.hpp>
#include <penstock/export.hpp>

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
};

/// One piece of work that a run put on the device.
struct AuditEntry {
  enum class Kind {
    Kernel,  ///< Of the package, or one of Penstock's own operators.
    Copy,
    Fill,
    Library,   ///< A call of cuBLASLt or cuDNN, which launches kernels of its own.
    Operator,  ///< A registered operator or method, which was given the stream.
  };
  Kind kind = Kind::Kernel;
  std::string name;               ///< Of the kernel, the function or the operator.
  void* stream = nullptr;         ///< The `CUstream` that it went to.
  unsigned sm_count = 0;          ///< SMs that the stream's work may run on.
  bool in_green_context = false;  ///< These are those of a partition.
  bool in_place = false;          ///< The stream is the run's, and so is the partition.
};

/// What an audited run did. Thread: one caller at a time.
struct PENSTOCK_API Audit {
  AuditLevel level = AuditLevel::Model;
  Device device;
  void* stream = nullptr;         ///< That the run was to stay on: the caller's, or the lane's own where the
                                  ///< caller gave a default stream.
  unsigned sm_count = 0;          ///< Of it.
  bool in_green_context = false;  ///< Of it.
  std::vector<AuditEntry> entries;    ///< In the order in which they were put on the device.
  std::vector<std::string> not_seen;  ///< What this level cannot see, a sentence each.

  /// True where everything that the level sees stayed on the stream and in the partition. Host-only.
  /// Errors: none.
  [[nodiscard]] bool stayed() const noexcept;
};

/// "kernel", "copy", "fill", "library call", "operator". Host-only. Thread: thread-safe. Errors: none.
PENSTOCK_API std::string to_string(AuditEntry::Kind kind);

}  // namespace penstock
