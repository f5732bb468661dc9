#include "cuda/activity_trace.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <utility>

namespace penstock::cuda {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::size_t kBufferAlignment = 8;

constexpr std::array kEnabled{
    cupti::kConcurrentKernel, cupti::kCopy,        cupti::kPeerCopy,           cupti::kFill,
    cupti::kDriverCall,       cupti::kRuntimeCall, cupti::kExternalCorrelation};

/// Where buffers go that CUPTI has filled: its callbacks are told nothing else. It may call them from threads
/// of its own, and with buffers of a trace that has ended.
struct Sink {
  std::mutex mutex;
  const cupti::Functions* functions = nullptr;
  Activities* seen = nullptr;  ///< Null: nobody listens.
  std::uint64_t began = 0;
  std::exception_ptr failure;
};

// Never destroyed: CUPTI may call while the process exits.
Sink& sink() {
  static auto& kept = *new Sink;
  return kept;
}

std::mutex& one_at_a_time() {
  static auto& kept = *new std::mutex;
  return kept;
}

std::string version_text(std::uint32_t version) {
  if (version < cupti::kFirstVersionOf13) return fmt::format("API version {}", version);
  return fmt::format("API version {}, of CUDA {}.{}", version, version / 10000, version / 100 % 100);
}

std::string result_text(const cupti::Functions& functions, cupti::Result result) {
  const char* text = nullptr;
  const bool told = functions.GetResultString(result, &text) == cupti::kSuccess && text != nullptr;
  return fmt::format("{} ({})", told ? text : "unknown error", result);
}

void check_cupti(const cupti::Functions& functions, cupti::Result result, const char* call) {
  if (result == cupti::kSuccess) return;
  base::fail(ErrorCode::Cuda, "an audit of the process: {} failed: {}", call, result_text(functions, result));
}

void check_version(const cupti::Functions& functions) {
  std::uint32_t version = 0;
  check_cupti(functions, functions.GetVersion(&version), "cuptiGetVersion");
  const bool of_12 = version >= cupti::kFirstVersion && version <= cupti::kLastVersionOf12;
  const bool of_13 = version >= cupti::kFirstVersionOf13 && version <= cupti::kLastVersion;
  if (of_12 || of_13) return;
  base::fail(ErrorCode::Incompatible,
             "an audit of the process: this CUPTI ({}) is not one whose records Penstock knows, which are "
             "those of CUDA 12.5 to 12.9 and 13.0 to 13.5; name another in PENSTOCK_CUPTI, or audit the "
             "model alone",
             version_text(version));
}

const char* copy_name(std::uint8_t kind) {
  constexpr std::array kNames{"copy",
                              "host to device",
                              "device to host",
                              "host to array",
                              "array to host",
                              "array to array",
                              "array to device",
                              "device to array",
                              "device to device",
                              "host to host",
                              "device to another device"};
  return kind < kNames.size() ? kNames[kind] : kNames[0];
}

template <class Record>
Activity activity_of(const Record& record, Activity::Kind kind, const char* name) {
  return {.kind = kind,
          .name = name == nullptr ? "" : name,
          .device = static_cast<int>(record.device),
          .context = record.context,
          .stream = record.stream,
          .call = record.correlation};
}

/// An unfinished record has no end yet.
template <class Record>
bool is_over(const Record& record, std::uint64_t began) {
  return record.end != 0 && record.end < began;
}

template <class Record>
void add(Sink& to, const void* data, Activity::Kind kind, const char* name) {
  const auto& record = *static_cast<const Record*>(data);
  if (!is_over(record, to.began)) to.seen->work.push_back(activity_of(record, kind, name));
}

void take(Sink& to, const int* record) {
  switch (*record) {
    case cupti::kKernel:
    case cupti::kConcurrentKernel:
      add<cupti::KernelRecord>(to, record, Activity::Kind::Kernel,
                               reinterpret_cast<const cupti::KernelRecord*>(record)->name);
      break;
    case cupti::kCopy:
      add<cupti::TransferRecord>(
          to, record, Activity::Kind::Copy,
          copy_name(reinterpret_cast<const cupti::TransferRecord*>(record)->copy_kind));
      break;
    case cupti::kPeerCopy:
      add<cupti::PeerCopyRecord>(to, record, Activity::Kind::Copy, "device to another device");
      break;
    case cupti::kFill: add<cupti::TransferRecord>(to, record, Activity::Kind::Fill, "fill"); break;
    case cupti::kContext: {
      const auto& context = *reinterpret_cast<const cupti::ContextRecord*>(record);
      to.seen->contexts[context.context] = {context.is_green != 0, context.sm_count};
      break;
    }
    case cupti::kExternalCorrelation: {
      const auto& region = *reinterpret_cast<const cupti::CorrelationRecord*>(record);
      if (region.external_kind == cupti::kCustomCorrelation) {
        to.seen->regions[region.correlation] = region.external;
      }
      break;
    }
    default: break;
  }
}

void buffer_requested(std::uint8_t** buffer, std::size_t* bytes, std::size_t* most_records) {
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kBufferAlignment, kBufferBytes));
  *bytes = *buffer == nullptr ? 0 : kBufferBytes;
  *most_records = 0;  // As many as there is room for.
}

void buffer_completed(ContextHandle context, std::uint32_t stream, std::uint8_t* buffer, std::size_t,
                      std::size_t valid_bytes) {
  Sink& to = sink();
  {
    const std::lock_guard lock(to.mutex);
    try {
      int* record = nullptr;
      while (to.seen != nullptr && valid_bytes != 0 &&
             to.functions->ActivityGetNextRecord(buffer, valid_bytes, &record) == cupti::kSuccess) {
        take(to, record);
      }
      std::size_t dropped = 0;
      if (to.seen != nullptr &&
          to.functions->ActivityGetNumDroppedRecords(context, stream, &dropped) == cupti::kSuccess) {
        to.seen->dropped += dropped;
      }
    } catch (...) {
      if (to.failure == nullptr) to.failure = std::current_exception();
    }
  }
  std::free(buffer);
}

}  // namespace

ActivityTrace::ActivityTrace(const cupti::Functions& functions)
    : functions_(functions), alone_(one_at_a_time()) {
  check_version(functions_);
  // Nothing is called back: to subscribe is how tools keep out of each other's way.
  const cupti::Result subscribed = functions_.Subscribe(
      &subscriber_, [](void*, int, std::uint32_t, const void*) {}, nullptr);
  if (subscribed == cupti::kMultipleSubscribers) {
    base::fail(ErrorCode::Unsupported,
               "an audit of the process: another tool uses CUPTI in this process (a profiler or a debugger), "
               "and CUPTI serves one; end it, or audit the model alone");
  }
  if (subscribed != cupti::kSuccess) {
    base::fail(ErrorCode::Unsupported,
               "an audit of the process: CUPTI does not serve this process: cuptiSubscribe failed: {}; audit "
               "the model alone",
               result_text(functions_, subscribed));
  }
  try {
    check_cupti(functions_, functions_.ActivityRegisterCallbacks(&buffer_requested, &buffer_completed),
                "cuptiActivityRegisterCallbacks");
    std::uint64_t now = 0;
    check_cupti(functions_, functions_.GetTimestamp(&now), "cuptiGetTimestamp");
    {
      Sink& to = sink();
      const std::lock_guard lock(to.mutex);
      to.functions = &functions_;
      to.seen = &seen_;
      to.began = now;
      to.failure = nullptr;
    }
    for (const cupti::Kind kind : kEnabled) {
      check_cupti(functions_, functions_.ActivityEnable(kind), "cuptiActivityEnable");
    }
    // Not on all machines; without it, launches by means that NVIDIA's libraries alone have are of nobody.
    functions_.ActivityEnable(cupti::kInternalLaunch);
    check_cupti(functions_, functions_.ActivityEnableAndDump(cupti::kContext), "cuptiActivityEnableAndDump");
  } catch (...) {
    end();
    throw;
  }
}

ActivityTrace::~ActivityTrace() { end(); }

std::uint32_t ActivityTrace::context_number(ContextHandle context) const noexcept {
  std::uint32_t number = 0;
  return functions_.GetContextId(context, &number) == cupti::kSuccess ? number : 0;
}

void ActivityTrace::end() noexcept {
  if (subscriber_ == nullptr) return;
  for (const cupti::Kind kind : kEnabled) functions_.ActivityDisable(kind);
  functions_.ActivityDisable(cupti::kInternalLaunch);
  functions_.ActivityDisable(cupti::kContext);
  {
    Sink& to = sink();
    const std::lock_guard lock(to.mutex);
    to.seen = nullptr;
  }
  functions_.Unsubscribe(subscriber_);
  subscriber_ = nullptr;
}

Activities ActivityTrace::finish() {
  // Without the lock: it calls back.
  const cupti::Result flushed = functions_.ActivityFlushAll(cupti::kFlushForced);
  end();
  check_cupti(functions_, flushed, "cuptiActivityFlushAll");
  {
    Sink& from = sink();
    const std::lock_guard lock(from.mutex);
    if (from.failure != nullptr) std::rethrow_exception(std::exchange(from.failure, nullptr));
  }
  std::ranges::stable_sort(seen_.work, {}, &Activity::call);
  return std::move(seen_);
}

ActivityRegion::ActivityRegion(const ActivityTrace& trace)
    : functions_(trace.functions_), number_([] {
        static std::atomic<std::uint64_t> next = 1;
        return next.fetch_add(1, std::memory_order_relaxed);
      }()) {
  check_cupti(functions_, functions_.ActivityPushExternalCorrelationId(cupti::kCustomCorrelation, number_),
              "cuptiActivityPushExternalCorrelationId");
}

ActivityRegion::~ActivityRegion() {
  std::uint64_t number = 0;
  functions_.ActivityPopExternalCorrelationId(cupti::kCustomCorrelation, &number);
}

}  // namespace penstock::cuda
