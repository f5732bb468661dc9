#include "session/process_audit.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "session/audit.hpp"
#include "session/cuda_session.hpp"

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

namespace penstock::session {
namespace {

AuditEntry::Kind kind_of(cuda::Activity::Kind kind) noexcept {
  switch (kind) {
    case cuda::Activity::Kind::Kernel: return AuditEntry::Kind::Kernel;
    case cuda::Activity::Kind::Copy: return AuditEntry::Kind::Copy;
    case cuda::Activity::Kind::Fill: break;
  }
  return AuditEntry::Kind::Fill;
}

constexpr std::size_t kNoCall = SIZE_MAX;

/// True for what goes to the device itself; a call of a library or an operator is not in CUPTI's records.
bool is_work(AuditEntry::Kind kind) noexcept {
  return kind != AuditEntry::Kind::Library && kind != AuditEntry::Kind::Operator;
}

/// How many of the kernels, copies and fills that Penstock put on the device itself CUPTI does not know of.
/// `records` has, for each entry of AuditLevel::Model, how many records its call has.
std::size_t count_missing(const Audit& audit, std::span<const std::size_t> records) {
  std::size_t missing = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (is_work(audit.entries[i].kind) && records[i] == 0) ++missing;
  }
  return missing;
}

void tell_what_was_not_seen(Audit& audit, std::span<const std::size_t> records, std::size_t dropped) {
  audit.not_seen = {
      "what was put on the device before the audit began, and what of others went on after it",
      "on which of their SMs the blocks of a kernel ran: CUPTI tells its context, and how many SMs that has",
      "what other processes do", kReplaysNotSeen};
  audit.missing_count = count_missing(audit, records);
  if (audit.missing_count != 0) {
    audit.not_seen.push_back(fmt::format(
        "{} of the kernels, copies and fills that Penstock put on the device: CUPTI gave no record of them",
        audit.missing_count));
  }
  if (dropped != 0) audit.not_seen.push_back(fmt::format("{} records that CUPTI dropped", dropped));
  audit.missing_count += dropped;
}

}  // namespace

ProcessAudit::ProcessAudit(LaneRun& run, const model::CudaModel& model)
    : run_(run),
      trace_(model.operators().cupti()),
      primary_number_(trace_.context_number(model.context()->handle())) {
  {
    const cuda::ActivityRegion region(trace_);
    marker_region_ = region.number();
    mark();
  }
  begin_call(kNoCall);
}

void ProcessAudit::begin_call(std::size_t index) {
  region_.reset();
  region_.emplace(trace_);
  calls_.emplace(region_->number(), index);
}

void ProcessAudit::mark() const {
  const StoragePtr byte(run_.call().pool->allocate(1));
  cuda::check(
      cuda::driver().memset_d8_async(reinterpret_cast<cuda::DevicePointer>(byte->data), 0, 1, run_.stream()),
      "cuMemsetD8Async", "an audit of the process");
}

const cuda::Activity& ProcessAudit::marker_in(const cuda::Activities& seen) const {
  const auto found = std::ranges::find_if(seen.work, [&](const cuda::Activity& work) {
    const auto region = seen.regions.find(work.call);
    return region != seen.regions.end() && region->second == marker_region_;
  });
  if (found == seen.work.end()) {
    base::fail(ErrorCode::Internal,
               "an audit of the process: CUPTI gave no record of a fill on the run's stream, so that nothing "
               "can be said of the run; another tool may have taken CUPTI over meanwhile");
  }
  return *found;
}

void ProcessAudit::place(const cuda::Activities& seen, const Expected& wanted, const cuda::Activity& work,
                         AuditEntry& entry) const {
  const cuda::Activity& marker = wanted.marker;
  const cuda::ExecutionResource& expected = run_.lane().resource;
  const bool in_context = work.context == marker.context && work.device == marker.device;
  const auto told = seen.contexts.find(work.context);
  if (told != seen.contexts.end()) {
    entry.in_green_context = told->second.is_green;
    entry.sm_count = told->second.is_green ? told->second.sm_count : cuda::sm_count_of(work.device);
  } else if (in_context) {
    // CUPTI does not say, but the driver did.
    entry.in_green_context = expected.green != nullptr;
    entry.sm_count = run_.lane().sm_count;
  } else if (work.context == primary_number_) {
    entry.sm_count = cuda::sm_count_of(work.device);
  }
  if (entry.of_run) {
    entry.in_place = in_context && (work.stream == marker.stream || wanted.any_stream_of_it) &&
                     entry.in_green_context == (expected.green != nullptr) &&
                     entry.sm_count == run_.lane().sm_count;
    if (in_context && work.stream == marker.stream) entry.stream = run_.stream();
  } else {
    entry.in_place = entry.in_green_context || work.device != expected.device;
  }
}

void ProcessAudit::report(Audit& audit) {
  region_.reset();
  wait_for(run_.stream(), "an audited run");
  const cuda::Activities seen = trace_.finish();
  const cuda::Activity& marker = marker_in(seen);
  std::vector<std::size_t> records(audit.entries.size());
  for (const cuda::Activity& work : seen.work) {
    if (&work == &marker) continue;
    const auto region = seen.regions.find(work.call);
    const auto call = region == seen.regions.end() ? calls_.end() : calls_.find(region->second);
    AuditEntry entry{.kind = kind_of(work.kind),
                     .name = work.name,
                     .level = AuditLevel::Process,
                     .of_run = call != calls_.end(),
                     .device = {DeviceType::Cuda, work.device},
                     .stream_number = work.stream,
                     .context_number = work.context};
    Expected wanted{marker};
    if (entry.of_run && call->second != kNoCall) {
      ++records[call->second];
      wanted.any_stream_of_it = audit.entries[call->second].name == shim::kEngineCall;
      // Of a kernel whose handle another had before, which is unloaded, CUPTI may tell the name of that one.
      const AuditEntry& launched = audit.entries[call->second];
      if (launched.kind == AuditEntry::Kind::Kernel && entry.kind == launched.kind)
        entry.name = launched.name;
    }
    place(seen, wanted, work, entry);
    audit.entries.push_back(std::move(entry));
  }
  tell_what_was_not_seen(audit, records, seen.dropped);
}

}  // namespace penstock::session
