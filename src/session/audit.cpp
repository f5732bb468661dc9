#include "session/audit.hpp"

#include <algorithm>

namespace penstock {

bool Audit::stayed() const noexcept {
  return std::ranges::all_of(
      entries, [](const AuditEntry& entry) { return entry.in_place || !entry.of_run || !entry.place_known; });
}

std::size_t Audit::outside_count() const noexcept {
  return static_cast<std::size_t>(std::ranges::count_if(
      entries, [](const AuditEntry& entry) { return !entry.of_run && !entry.in_place; }));
}

std::string to_string(AuditEntry::Kind kind) {
  switch (kind) {
    case AuditEntry::Kind::Kernel: return "kernel";
    case AuditEntry::Kind::Copy: return "copy";
    case AuditEntry::Kind::Fill: return "fill";
    case AuditEntry::Kind::Library: return "library call";
    case AuditEntry::Kind::Operator: return "operator";
    case AuditEntry::Kind::Other: return "other node";
  }
  return "unknown";
}

std::string to_string(AuditLevel level) {
  switch (level) {
    case AuditLevel::Model: return "model";
    case AuditLevel::Process: return "process";
    case AuditLevel::Graph: return "graph";
  }
  return "unknown";
}

namespace session {
namespace {

AuditEntry::Kind kind_of(shim::CudaObserver::Kind kind) noexcept {
  switch (kind) {
    case shim::CudaObserver::Kind::Kernel: return AuditEntry::Kind::Kernel;
    case shim::CudaObserver::Kind::Copy: return AuditEntry::Kind::Copy;
    case shim::CudaObserver::Kind::Fill: return AuditEntry::Kind::Fill;
    case shim::CudaObserver::Kind::Operator: return AuditEntry::Kind::Operator;
    case shim::CudaObserver::Kind::Library: break;
  }
  return AuditEntry::Kind::Library;
}

}  // namespace

AuditRecorder::AuditRecorder(LaneRun& run, const model::CudaModel& model, AuditLevel level)
    : run_(run), model_(model) {
  if (level == AuditLevel::Process) process_.emplace(run, model);
  run.call().observer = this;
}

void AuditRecorder::launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept {
  try {
    entries_.push_back({kind, std::string(name), stream});
    if (process_) process_->begin_call(entries_.size() - 1);
  } catch (...) {
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
}

Audit AuditRecorder::report() {
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  const cuda::ExecutionResource& expected = run_.lane().resource;
  const cuda::PrimaryContext& context = *model_.context();
  Audit audit{
      .level = process_ ? AuditLevel::Process : AuditLevel::Model,
      .device = {DeviceType::Cuda, context.device()},
      .stream = run_.stream(),
      .sm_count = run_.lane().sm_count,
      .in_green_context = expected.green != nullptr,
      .entries = {},
      .not_seen = {"which kernels a library launches: only the stream that it was given",
                   "what a registered operator does: only the stream that it was given",
                   "what other threads and libraries of this process put on the device",
                   "on which SMs the driver ran the kernels: the stream's partition is what it was asked for",
                   kReplaysNotSeen}};
  for (const Entry& entry : entries_) {
    const bool is_there = entry.stream == run_.stream();
    const cuda::ExecutionResource resource = is_there ? expected : cuda::resource_of(entry.stream, context);
    audit.entries.push_back({.kind = kind_of(entry.kind),
                             .name = entry.name,
                             .device = audit.device,
                             .stream = entry.stream,
                             .sm_count = is_there ? audit.sm_count : cuda::sm_count_of(resource),
                             .in_green_context = resource.green != nullptr,
                             .in_place = is_there});
  }
  if (process_) process_->report(audit);
  return audit;
}

}  // namespace session
}  // namespace penstock
