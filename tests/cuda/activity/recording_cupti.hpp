#pragma once

#include <cstdint>
#include <string>

// Stands in for CUPTI on the recording driver: it gives records of what that is asked to do, and of what
// tests add. The library is opened where PENSTOCK_CUPTI names it; these functions steer it.
// In other processes PENSTOCK_RECORDING_CUPTI_ADD=run|others adds a kernel "added" on the whole device.
namespace penstock::recording {

struct Cupti {
  std::uint32_t version = 130001;
  bool in_use = false;            ///< By another tool.
  bool taken_over = false;        ///< By one that never asked: all records go to it.
  bool tells_contexts = true;     ///< Of those that were there before.
  unsigned forgotten = 0;         ///< The nth piece of work has no record; 0: each has.
  unsigned dropped = 0;           ///< Records that it says it has dropped.
  const char* stale = nullptr;    ///< The name that it tells of every kernel that the driver launches.
  const char* failing = nullptr;  ///< A function that answers CUPTI_ERROR_UNKNOWN: "cuptiActivityEnable".
};

/// A kernel that no driver call has made.
struct ForeignKernel {
  std::string name;
  bool of_run = false;  ///< Launched by the thread of the run, behind the driver's back.
  bool is_old = false;  ///< It was over before the trace began, but its record comes only now.
  int device = 0;
  std::uint32_t context = 1;
  std::uint32_t stream = 0;
  unsigned green_sm_count = 0;  ///< Of its context, where CUPTI tells that it is a green one.
};

}  // namespace penstock::recording

#define PENSTOCK_RECORDING_CUPTI_API __attribute__((visibility("default")))

/// Begins anew.
PENSTOCK_RECORDING_CUPTI_API void penstock_recording_cupti_reset(const penstock::recording::Cupti& cupti);

/// Adds a kernel that the next trace sees: of a run, in the region that is entered second.
PENSTOCK_RECORDING_CUPTI_API void penstock_recording_cupti_add(
    const penstock::recording::ForeignKernel& kernel);

/// Kinds of records that are enabled, subscribers, and regions that were entered and not left.
PENSTOCK_RECORDING_CUPTI_API unsigned penstock_recording_cupti_in_use();
