#include "session/audit.hpp"

#include <algorithm>

namespace penstock {

bool Audit::stayed() const noexcept { return std::ranges::all_of(entries, &AuditEntry::in_place); }

std::string to_string(AuditEntry::Kind kind) {
  switch (kind) {
    case AuditEntry::Kind::Kernel: return "kernel";
    case AuditEntry::Kind::Copy: return "copy";
    case AuditEntry::Kind::Fill: return "fill";
    case AuditEntry::Kind::Library: return "library call";
    case AuditEntry::Kind::Operator: return "operator";
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

void AuditRecorder::launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept {
  try {
    entries_.push_back({kind, std::string(name), stream});
  } catch (...) {
    if (failure_ == nullptr) failure_ = std::current_exception();
  }
}

Audit AuditRecorder::report(const LaneRun& run, const cuda::PrimaryContext& context) const {
  if (failure_ != nullptr) std::rethrow_exception(failure_);
  const cuda::ExecutionResource& expected = run.lane().resource;
  Audit audit{
      .device = {DeviceType::Cuda, context.device()},
      .stream = run.stream(),
      .sm_count = run.lane().sm_count,
      .in_green_context = expected.green != nullptr,
      .entries = {},
      .not_seen = {
          "which kernels a library launches: only the stream that it was given",
          "what a registered operator does: only the stream that it was given",
          "what other threads and libraries of this process put on the device",
          "on which SMs the driver ran the kernels: the stream's partition is what it was asked for"}};
  for (const Entry& entry : entries_) {
    const bool is_there = entry.stream == run.stream();
    const cuda::ExecutionResource resource = is_there ? expected : cuda::resource_of(entry.stream, context);
    audit.entries.push_back({.kind = kind_of(entry.kind),
                             .name = entry.name,
                             .stream = entry.stream,
                             .sm_count = is_there ? audit.sm_count : cuda::sm_count_of(resource),
                             .in_green_context = resource.green != nullptr,
                             .in_place = is_there});
  }
  return audit;
}

}  // namespace session
}  // namespace penstock
