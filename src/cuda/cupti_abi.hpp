#pragma once

#include "cuda/abi.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

// What of CUPTI's C interface Penstock uses, written down here so that no toolkit is needed to build it and
// CUPTI of CUDA 12 and 13 can be opened. tests/abi compares it with cupti_activity.h.
namespace penstock::cuda::cupti {

using Result = int;
inline constexpr Result kSuccess = 0;
inline constexpr Result kMaxLimitReached = 12;
inline constexpr Result kNotInitialized = 15;
inline constexpr Result kMultipleSubscribers = 39;

/// What cuptiGetVersion answers, of those whose records are known to be laid out as below: they have only
/// grown at their ends since the first, which is that of CUDA 12.5, where contexts tell of their SMs.
inline constexpr std::uint32_t kFirstVersion = 23;
inline constexpr std::uint32_t kLastVersionOf12 = 28;
inline constexpr std::uint32_t kFirstVersionOf13 = 130000;
inline constexpr std::uint32_t kLastVersion = 130599;

/// CUpti_ActivityKind.
enum Kind : int {
  kCopy = 1,
  kFill = 2,
  kKernel = 3,
  kDriverCall = 4,
  kRuntimeCall = 5,
  kContext = 9,
  kConcurrentKernel = 10,  ///< What is enabled: it lets kernels run at once. Records are of either kind.
  kPeerCopy = 22,
  kExternalCorrelation = 39,
  kInternalLaunch = 48,
};

/// CUpti_ExternalCorrelationKind: the first that is for anybody.
inline constexpr int kCustomCorrelation = 3;
/// CUpti_ActivityFlag for cuptiActivityFlushAll: buffers with unfinished records too.
inline constexpr std::uint32_t kFlushForced = 1;

// The beginnings of the records that are read. All have `kind` first.

/// CUpti_ActivityKernel9 and later.
struct KernelRecord {
  int kind;
  std::array<std::byte, 12> unused1;
  std::uint64_t start;
  std::uint64_t end;
  std::uint64_t completed;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::array<std::int32_t, 10> unused2;
  std::uint32_t correlation;
  std::int64_t grid;
  const char* name;
};

/// CUpti_ActivityMemcpy5 and CUpti_ActivityMemset4 and later.
struct TransferRecord {
  int kind;
  std::uint8_t copy_kind;  ///< CUpti_ActivityMemcpyKind; of a fill, a part of its value.
  std::array<std::byte, 3> unused;
  std::uint64_t bytes;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::uint32_t correlation;
};

/// CUpti_ActivityMemcpyPtoP4.
struct PeerCopyRecord {
  int kind;
  std::array<std::byte, 4> unused1;
  std::uint64_t bytes;
  std::uint64_t start;
  std::uint64_t end;
  std::uint32_t device;
  std::uint32_t context;
  std::uint32_t stream;
  std::array<std::uint32_t, 4> unused2;
  std::uint32_t correlation;
};

/// CUpti_ActivityContext3 and later.
struct ContextRecord {
  int kind;
  std::uint32_t context;
  std::uint32_t device;
  std::array<std::uint16_t, 2> unused;
  std::uint32_t parent;
  std::uint8_t is_green;
  std::uint8_t padding;
  std::uint16_t sm_count;  ///< Of a green context.
};

/// CUpti_ActivityExternalCorrelation.
struct CorrelationRecord {
  int kind;
  int external_kind;
  std::uint64_t external;
  std::uint32_t correlation;
};

using Subscriber = struct SubscriberOpaque*;
using Callback = void (*)(void* user, int domain, std::uint32_t number, const void* data);
using BufferRequested = void (*)(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records);
using BufferCompleted = void (*)(ContextHandle context, std::uint32_t stream, std::uint8_t* buffer,
                                 std::size_t bytes, std::size_t valid_bytes);

/// The functions, named as in the library without "cupti".
struct Functions {
  Result (*GetVersion)(std::uint32_t* version) = nullptr;
  Result (*GetResultString)(Result result, const char** text) = nullptr;
  Result (*GetTimestamp)(std::uint64_t* nanoseconds) = nullptr;
  Result (*GetContextId)(ContextHandle context, std::uint32_t* number) = nullptr;
  Result (*Subscribe)(Subscriber* subscriber, Callback callback, void* user) = nullptr;
  Result (*Unsubscribe)(Subscriber subscriber) = nullptr;
  Result (*ActivityRegisterCallbacks)(BufferRequested requested, BufferCompleted completed) = nullptr;
  Result (*ActivityEnable)(Kind kind) = nullptr;
  Result (*ActivityEnableAndDump)(Kind kind) = nullptr;
  Result (*ActivityDisable)(Kind kind) = nullptr;
  Result (*ActivityFlushAll)(std::uint32_t flag) = nullptr;
  Result (*ActivityGetNextRecord)(std::uint8_t* buffer, std::size_t valid_bytes, int** record) = nullptr;
  Result (*ActivityGetNumDroppedRecords)(ContextHandle context, std::uint32_t stream,
                                         std::size_t* dropped) = nullptr;
  Result (*ActivityPushExternalCorrelationId)(int kind, std::uint64_t number) = nullptr;
  Result (*ActivityPopExternalCorrelationId)(int kind, std::uint64_t* number) = nullptr;
};

// For whoever fills Functions, and for the test.
#define PENSTOCK_CUPTI_FUNCTIONS(use)                                                                      \
  use(GetVersion) use(GetResultString) use(GetTimestamp) use(GetContextId) use(Subscribe) use(Unsubscribe) \
      use(ActivityRegisterCallbacks) use(ActivityEnable) use(ActivityEnableAndDump) use(ActivityDisable)   \
          use(ActivityFlushAll) use(ActivityGetNextRecord) use(ActivityGetNumDroppedRecords)               \
              use(ActivityPushExternalCorrelationId) use(ActivityPopExternalCorrelationId)

}  // namespace penstock::cuda::cupti
