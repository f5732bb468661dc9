#include "recording_cupti.hpp"

#include "cuda/cupti_abi.hpp"
#include "recording_driver.hpp"

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string_view>
#include <vector>

using namespace penstock::cuda;
namespace recording = penstock::recording;

namespace {

constexpr std::size_t kMostRecordBytes = 256;

/// One record, padded as the newest versions of it are: readers may not rely on its size.
using Bytes = std::vector<std::uint8_t>;

struct State {
  std::recursive_mutex mutex;
  recording::Cupti given;
  cupti::BufferRequested requested = nullptr;
  cupti::BufferCompleted completed = nullptr;
  bool subscribed = false;
  std::set<int> enabled;
  std::vector<Bytes> records;
  std::vector<recording::ForeignKernel> foreign;
  std::set<std::string> names;  ///< Stay where they are.
  std::uint32_t next_call = 1;
  unsigned regions_entered = 0;
  unsigned regions_open = 0;
  unsigned work = 0;
  std::uint64_t time = 2;
  std::uint64_t began = 0;  ///< When the time was last asked for.
};

/// Other processes are steered by a variable.
State* make_state() {
  auto* const made = new State;
  const char* const added = std::getenv("PENSTOCK_RECORDING_CUPTI_ADD");
  if (added != nullptr) {
    made->foreign.push_back(
        {.name = "added", .of_run = std::string_view(added) == "run", .context = 1, .stream = 7});
  }
  return made;
}

State& state() {
  static auto& kept = *make_state();
  return kept;
}

thread_local std::vector<std::uint64_t> regions;

template <class Record>
void put(State& to, const Record& record) {
  Bytes bytes(kMostRecordBytes, 0xEE);
  std::memcpy(bytes.data(), &record, sizeof record);
  to.records.push_back(std::move(bytes));
}

bool has(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

void put_correlation(State& to, std::uint64_t region, std::uint32_t call) {
  put(to, cupti::CorrelationRecord{.kind = cupti::kExternalCorrelation,
                                   .external_kind = cupti::kCustomCorrelation,
                                   .external = region,
                                   .correlation = call});
}

void put_kernel(State& to, const std::string& name, const recording::Work& work, std::uint32_t call,
                bool is_old = false) {
  cupti::KernelRecord record{};
  record.kind = cupti::kConcurrentKernel;
  record.start = to.time;
  record.end = is_old ? to.began - 1 : to.time + 1;
  record.device = static_cast<std::uint32_t>(work.device);
  record.context = work.context;
  record.stream = work.stream;
  record.correlation = call;
  record.name = to.names.insert(name).first->c_str();
  put(to, record);
}

void put_transfer(State& to, cupti::Kind kind, std::uint8_t copy_kind, const recording::Work& work,
                  std::uint32_t call) {
  cupti::TransferRecord record{};
  record.kind = kind;
  record.copy_kind = copy_kind;
  record.start = to.time;
  record.end = to.time + 1;
  record.device = static_cast<std::uint32_t>(work.device);
  record.context = work.context;
  record.stream = work.stream;
  record.correlation = call;
  put(to, record);
}

void put_context(State& to, const recording::Work& work) {
  put(to, cupti::ContextRecord{
              .kind = cupti::kContext,
              .context = work.context,
              .device = static_cast<std::uint32_t>(work.device),
              .unused = {},
              .parent = 0,
              .is_green = static_cast<std::uint8_t>(work.in_green_context),
              .padding = 0,
              .sm_count = static_cast<std::uint16_t>(work.in_green_context ? work.sm_count : 0)});
}

/// A product of the stand-in for cuBLASLt is a host function: here it is the kernel that it would launch.
void see(const recording::Work& work) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  const std::string_view name = work.name;
  const bool is_copy = has(name, "cuMemcpy");
  const bool is_fill = has(name, "cuMemset");
  const bool is_kernel = has(name, "cuLaunchKernel ");
  const bool is_product = has(name, "cuLaunchHostFunc");
  if (!is_copy && !is_fill && !is_kernel && !is_product) return;
  if (++to.work == to.given.forgotten || to.given.taken_over) return;
  ++to.time;
  if (to.given.tells_contexts) put_context(to, work);
  const std::uint32_t call = to.next_call++;
  if (!regions.empty()) put_correlation(to, regions.back(), call);
  if (is_kernel) {
    const std::string_view rest = name.substr(std::string_view("cuLaunchKernel ").size());
    const std::string kernel(rest.substr(0, rest.find(' ')));
    put_kernel(to, to.given.stale != nullptr ? to.given.stale : kernel, work, call);
  } else if (is_product) {
    put_kernel(to, "product_of_cublaslt", work, call);
  } else {
    constexpr std::uint8_t kDeviceToDevice = 8;
    put_transfer(to, is_copy ? cupti::kCopy : cupti::kFill, is_copy ? kDeviceToDevice : 0, work, call);
  }
}

cupti::Result answer(const char* function) {
  const State& told = state();
  return told.given.failing != nullptr && std::strcmp(told.given.failing, function) == 0 ? kUnknown
                                                                                         : cupti::kSuccess;
}

}  // namespace

void penstock_recording_cupti_reset(const recording::Cupti& given) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  to.given = given;
  to.records.clear();
  to.foreign.clear();
  to.enabled.clear();
  to.subscribed = false;
  to.regions_open = 0;
}

void penstock_recording_cupti_add(const recording::ForeignKernel& kernel) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  to.foreign.push_back(kernel);
}

unsigned penstock_recording_cupti_in_use() {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  return static_cast<unsigned>(to.enabled.size()) + (to.subscribed ? 1 : 0) + to.regions_open;
}

#define PENSTOCK_CUPTI_API extern "C" __attribute__((visibility("default"))) cupti::Result

PENSTOCK_CUPTI_API cuptiGetVersion(std::uint32_t* version) {
  *version = state().given.version;
  return answer("cuptiGetVersion");
}

PENSTOCK_CUPTI_API cuptiGetResultString(cupti::Result, const char** text) {
  *text = "CUPTI_ERROR_UNKNOWN";
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiGetTimestamp(std::uint64_t* nanoseconds) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  *nanoseconds = to.began = to.time;
  return answer("cuptiGetTimestamp");
}

PENSTOCK_CUPTI_API cuptiGetContextId(ContextHandle context, std::uint32_t* number) {
  *number = penstock_recording_context(context);
  return answer("cuptiGetContextId");
}

PENSTOCK_CUPTI_API cuptiSubscribe(cupti::Subscriber* subscriber, cupti::Callback, void*) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  if (to.given.in_use || to.subscribed) return cupti::kMultipleSubscribers;
  if (answer("cuptiSubscribe") != cupti::kSuccess) return kUnknown;
  to.subscribed = true;
  to.work = 0;
  to.regions_entered = 0;
  *subscriber = reinterpret_cast<cupti::Subscriber>(&to);
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiUnsubscribe(cupti::Subscriber) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  to.subscribed = false;
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiActivityRegisterCallbacks(cupti::BufferRequested requested,
                                                  cupti::BufferCompleted completed) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  to.requested = requested;
  to.completed = completed;
  return answer("cuptiActivityRegisterCallbacks");
}

PENSTOCK_CUPTI_API cuptiActivityEnable(cupti::Kind kind) {
  State& to = state();
  if (answer("cuptiActivityEnable") != cupti::kSuccess) return kUnknown;
  penstock_recording_listen(&see);
  const std::lock_guard lock(to.mutex);
  to.enabled.insert(kind);
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiActivityEnableAndDump(cupti::Kind kind) {
  if (answer("cuptiActivityEnableAndDump") != cupti::kSuccess) return kUnknown;
  return cuptiActivityEnable(kind);
}

PENSTOCK_CUPTI_API cuptiActivityDisable(cupti::Kind kind) {
  penstock_recording_listen(nullptr);
  State& to = state();
  const std::lock_guard lock(to.mutex);
  to.enabled.erase(kind);
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiActivityPushExternalCorrelationId(int kind, std::uint64_t number) {
  if (kind != cupti::kCustomCorrelation) return kUnknown;
  regions.push_back(number);
  State& to = state();
  const std::lock_guard lock(to.mutex);
  ++to.regions_open;
  if (++to.regions_entered != 2) return answer("cuptiActivityPushExternalCorrelationId");
  for (const recording::ForeignKernel& kernel : to.foreign) {
    const recording::Work work{.device = kernel.device,
                               .context = kernel.context,
                               .stream = kernel.stream,
                               .in_green_context = true,
                               .sm_count = kernel.green_sm_count};
    if (kernel.green_sm_count != 0) put_context(to, work);
    const std::uint32_t call = to.next_call++;
    if (kernel.of_run) put_correlation(to, number, call);
    put_kernel(to, kernel.name, work, call, kernel.is_old);
  }
  to.foreign.clear();
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiActivityPopExternalCorrelationId(int, std::uint64_t* number) {
  if (regions.empty()) return kUnknown;
  *number = regions.back();
  regions.pop_back();
  State& to = state();
  const std::lock_guard lock(to.mutex);
  --to.regions_open;
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiActivityFlushAll(std::uint32_t) {
  State& to = state();
  std::vector<Bytes> records;
  {
    const std::lock_guard lock(to.mutex);
    records.swap(to.records);
  }
  std::size_t next = 0;
  do {
    std::uint8_t* buffer = nullptr;
    std::size_t bytes = 0;
    std::size_t most = 0;
    to.requested(&buffer, &bytes, &most);
    if (buffer == nullptr) return kUnknown;
    std::size_t used = 0;
    // A few in each buffer, so that there are several.
    constexpr std::size_t kInBuffer = 5;
    for (; next < records.size() && used < kInBuffer * kMostRecordBytes; ++next) {
      std::memcpy(buffer + used, records[next].data(), kMostRecordBytes);
      used += kMostRecordBytes;
    }
    to.completed(nullptr, 0, buffer, bytes, used);
  } while (next < records.size());
  return answer("cuptiActivityFlushAll");
}

PENSTOCK_CUPTI_API cuptiActivityGetNextRecord(std::uint8_t* buffer, std::size_t valid_bytes, int** record) {
  std::uint8_t* const next =
      *record == nullptr ? buffer : reinterpret_cast<std::uint8_t*>(*record) + kMostRecordBytes;
  if (next >= buffer + valid_bytes) return cupti::kMaxLimitReached;
  *record = reinterpret_cast<int*>(next);
  return cupti::kSuccess;
}

PENSTOCK_CUPTI_API cuptiActivityGetNumDroppedRecords(ContextHandle, std::uint32_t, std::size_t* dropped) {
  State& to = state();
  const std::lock_guard lock(to.mutex);
  *dropped = to.given.dropped;
  to.given.dropped = 0;
  return cupti::kSuccess;
}
