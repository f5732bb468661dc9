// Compares our declarations of CUPTI with its own headers. Compiled only: what differs does not compile. The
// newest structure of each kind is named on the command line, as they differ between versions.
#include "cuda/cupti_abi.hpp"

#include <cuda.h>

#include <cupti_result.h>

#include <cupti_version.h>

#include <cupti_callbacks.h>

#include <cupti_activity.h>

#include <cstddef>
#include <type_traits>

namespace {

namespace ours = penstock::cuda::cupti;
using Kernel = THEIR_KERNEL;
using Copy = THEIR_COPY;
using PeerCopy = THEIR_PEER_COPY;
using Fill = THEIR_FILL;
using Context = THEIR_CONTEXT;

/// What a value is to the calling convention: an address, or an integer of some size.
template <class T>
constexpr int passing() {
  if constexpr (std::is_void_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return 1;
  } else {
    static_assert(std::is_enum_v<T> || std::is_integral_v<T>);
    return 2 + static_cast<int>(sizeof(T));
  }
}

template <class Ours, class Theirs>
struct SameCall : std::false_type {};
template <class R1, class... A1, class R2, class... A2>
requires(sizeof...(A1) == sizeof...(A2)) struct SameCall<R1(A1...), R2(A2...)>
    : std::bool_constant<passing<R1>() == passing<R2>() && (... && (passing<A1>() == passing<A2>()))> {
};

template <class Ours, class Theirs>
inline constexpr bool same_call = SameCall<std::remove_pointer_t<Ours>, std::remove_pointer_t<Theirs>>::value;

#define PENSTOCK_COMPARE(name) \
  static_assert(same_call<decltype(ours::Functions::name), decltype(cupti##name)>, #name);
PENSTOCK_CUPTI_FUNCTIONS(PENSTOCK_COMPARE)
#undef PENSTOCK_COMPARE
static_assert(same_call<ours::Callback, CUpti_CallbackFunc>);
static_assert(same_call<ours::BufferRequested, CUpti_BuffersCallbackRequestFunc>);
static_assert(same_call<ours::BufferCompleted, CUpti_BuffersCallbackCompleteFunc>);
static_assert(!same_call<void (*)(int), void(void*)> && !same_call<void (*)(int), void(long)>);

#define PENSTOCK_SAME(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs))
PENSTOCK_SAME(ours::kSuccess, CUPTI_SUCCESS);
PENSTOCK_SAME(ours::kMaxLimitReached, CUPTI_ERROR_MAX_LIMIT_REACHED);
PENSTOCK_SAME(ours::kMultipleSubscribers, CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
PENSTOCK_SAME(ours::kCopy, CUPTI_ACTIVITY_KIND_MEMCPY);
PENSTOCK_SAME(ours::kFill, CUPTI_ACTIVITY_KIND_MEMSET);
PENSTOCK_SAME(ours::kKernel, CUPTI_ACTIVITY_KIND_KERNEL);
PENSTOCK_SAME(ours::kDriverCall, CUPTI_ACTIVITY_KIND_DRIVER);
PENSTOCK_SAME(ours::kRuntimeCall, CUPTI_ACTIVITY_KIND_RUNTIME);
PENSTOCK_SAME(ours::kContext, CUPTI_ACTIVITY_KIND_CONTEXT);
PENSTOCK_SAME(ours::kConcurrentKernel, CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
PENSTOCK_SAME(ours::kPeerCopy, CUPTI_ACTIVITY_KIND_MEMCPY2);
PENSTOCK_SAME(ours::kExternalCorrelation, CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION);
PENSTOCK_SAME(ours::kInternalLaunch, CUPTI_ACTIVITY_KIND_INTERNAL_LAUNCH_API);
PENSTOCK_SAME(ours::kCustomCorrelation, CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0);
PENSTOCK_SAME(ours::kFlushForced, CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
// The headers are of a version that is taken.
constexpr bool of_12 =
    CUPTI_API_VERSION >= ours::kFirstVersion && CUPTI_API_VERSION <= ours::kLastVersionOf12;
constexpr bool of_13 =
    CUPTI_API_VERSION >= ours::kFirstVersionOf13 && CUPTI_API_VERSION <= ours::kLastVersion;
static_assert(of_12 || of_13);

#define PENSTOCK_FIELD(Ours, member, Theirs, field)                        \
  static_assert(offsetof(ours::Ours, member) == offsetof(Theirs, field) && \
                    sizeof(ours::Ours::member) == sizeof(Theirs::field),   \
                #Theirs "::" #field)
#define PENSTOCK_WORK(Ours, Theirs)                         \
  PENSTOCK_FIELD(Ours, kind, Theirs, kind);                 \
  PENSTOCK_FIELD(Ours, start, Theirs, start);               \
  PENSTOCK_FIELD(Ours, end, Theirs, end);                   \
  PENSTOCK_FIELD(Ours, device, Theirs, deviceId);           \
  PENSTOCK_FIELD(Ours, context, Theirs, contextId);         \
  PENSTOCK_FIELD(Ours, stream, Theirs, streamId);           \
  PENSTOCK_FIELD(Ours, correlation, Theirs, correlationId); \
  static_assert(sizeof(ours::Ours) <= sizeof(Theirs))

PENSTOCK_WORK(KernelRecord, Kernel);
PENSTOCK_FIELD(KernelRecord, name, Kernel, name);
PENSTOCK_WORK(TransferRecord, Copy);
PENSTOCK_FIELD(TransferRecord, copy_kind, Copy, copyKind);
PENSTOCK_WORK(TransferRecord, Fill);
PENSTOCK_WORK(PeerCopyRecord, PeerCopy);
PENSTOCK_FIELD(ContextRecord, kind, Context, kind);
PENSTOCK_FIELD(ContextRecord, context, Context, contextId);
PENSTOCK_FIELD(ContextRecord, device, Context, deviceId);
PENSTOCK_FIELD(ContextRecord, is_green, Context, isGreenContext);
PENSTOCK_FIELD(ContextRecord, sm_count, Context, numMultiprocessors);
static_assert(sizeof(ours::ContextRecord) <= sizeof(Context));
PENSTOCK_FIELD(CorrelationRecord, kind, CUpti_ActivityExternalCorrelation, kind);
PENSTOCK_FIELD(CorrelationRecord, external_kind, CUpti_ActivityExternalCorrelation, externalKind);
PENSTOCK_FIELD(CorrelationRecord, external, CUpti_ActivityExternalCorrelation, externalId);
PENSTOCK_FIELD(CorrelationRecord, correlation, CUpti_ActivityExternalCorrelation, correlationId);
static_assert(sizeof(ours::CorrelationRecord) <= sizeof(CUpti_ActivityExternalCorrelation));

}  // namespace
