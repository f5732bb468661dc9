#include "placement.hpp"

#include "inputs.hpp"
#include "report.hpp"

#include <penstock/error.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>

namespace penstock::cli {
namespace {

constexpr const char* kGroup = "CUDA";

GreenContext make_partition(Device device, const std::string& part) {
  const SmResource all = SmResource::of_device(device.index);
  try {
    return GreenContext::create(all.split(part).front());
  } catch (const Error& error) {
    if (error.code() != ErrorCode::InvalidArgument) throw;
    throw UsageError(fmt::format("--partition: {}", error.what()));
  }
}

std::string place_text(unsigned sm_count, bool in_green_context) {
  if (sm_count == 0) return "SMs that CUPTI does not tell";
  return fmt::format("{} SMs{}", sm_count, in_green_context ? " of a partition" : ", the whole device");
}

/// "ok", "LEFT" and "UNKNOWN" of the run, "other" and "OUTSIDE" of others.
const char* verdict(const AuditEntry& entry) {
  if (!entry.place_known) return "UNKNOWN";
  if (entry.of_run) return entry.in_place ? "ok" : "LEFT";
  return entry.in_place ? "other" : "OUTSIDE";
}

std::string stream_text(const AuditEntry& entry) {
  if (entry.level != AuditLevel::Process) return fmt::format("stream {}", entry.stream);
  return fmt::format("CUPTI's stream {} of context {} on {}", entry.stream_number, entry.context_number,
                     to_string(entry.device));
}

std::string entry_text(const AuditEntry& entry) {
  std::string line = fmt::format("  {:<7} {:<7} {:<12} {}", verdict(entry), to_string(entry.level),
                                 to_string(entry.kind), printable(entry.name));
  if (entry.place_known && (!entry.of_run || !entry.in_place)) {
    line += fmt::format("  on {} with {}", stream_text(entry),
                        place_text(entry.sm_count, entry.in_green_context));
  }
  return line + "\n";
}

/// How much of the run one level has seen, and how much of that stayed. Of all of it AuditLevel::Model does
/// not speak, and others only where nothing is missing.
std::string sum_text(const Audit& audit, AuditLevel level) {
  std::size_t seen = 0;
  std::size_t stayed = 0;
  for (const AuditEntry& entry : audit.entries) {
    if (entry.level != level || !entry.of_run) continue;
    ++seen;
    stayed += entry.in_place && entry.place_known ? 1 : 0;
  }
  if (level == AuditLevel::Process && audit.missing_count == 0 && stayed == seen) {
    return fmt::format(
        "  process: all {} kernels, copies and fills of the run stayed on the stream and in its "
        "partition\n",
        seen);
  }
  if (level == AuditLevel::Graph && audit.missing_count == 0 && stayed == seen)
    return fmt::format("  graph: all {} nodes of the replayed graph stayed in the stream's partition\n",
                       seen);
  return fmt::format("  {}: {} of {} that were seen stayed on the stream and in its partition\n",
                     to_string(level), stayed, seen);
}

}  // namespace

void add_partition_option(CLI::App& app, PlacementOptions& options) {
  app.add_option("--partition", options.partition,
                 "Run in a partition of so many SMs (64) or that share of them (25%)")
      ->type_name("SMS")
      ->group(kGroup);
}

void add_audit_option(CLI::App& app, PlacementOptions& options) {
  app.add_flag("--audit{model}", options.audit,
               "Print what the run puts on the device, and fail where any of it left the stream or the "
               "partition: what Penstock calls (model), by CUPTI all that the process does (process), or "
               "the nodes of the CUDA graph that it is replayed from (graph)")
      ->check(CLI::IsMember({"model", "process", "graph"}))
      ->group(kGroup);
}

std::vector<Stream> make_streams(Device device, const PlacementOptions& options, int count) {
  if (device.type != DeviceType::Cuda) {
    if (!options.partition.empty()) throw UsageError("--partition divides a GPU: it needs --device cuda");
    if (!options.audit.empty())
      throw UsageError("--audit looks at what goes to a GPU: it needs --device cuda");
    return {};
  }
  std::optional<GreenContext> partition;
  if (!options.partition.empty()) partition = make_partition(device, options.partition);
  std::vector<Stream> streams;
  for (int i = 0; i < count; ++i) {
    streams.push_back(partition ? partition->create_stream() : Stream::create({.device = device.index}));
  }
  return streams;
}

std::string place_text(StreamView stream) { return place_text(stream.sm_count(), stream.in_green_context()); }

std::vector<Tensor> run_on(Session& session, const std::vector<Tensor>& inputs,
                           const std::optional<StreamView>& stream) {
  const std::vector<Tensor> placed = place_inputs(session.model(), inputs);
  if (!stream) return session.run(views_of(placed));
  std::vector<Tensor> outputs = session.enqueue(views_of(placed), *stream);
  stream->synchronize();
  return on_host(std::move(outputs));
}

AuditOptions audit_options(const PlacementOptions& options) {
  for (const AuditLevel level : {AuditLevel::Process, AuditLevel::Graph}) {
    if (options.audit == to_string(level)) return {.level = level};
  }
  return {.level = AuditLevel::Model};
}

namespace {

const char* subject(AuditLevel level) {
  switch (level) {
    case AuditLevel::Process: return "the process does";
    case AuditLevel::Graph: return "a replayed run does";
    default: return "the package does";
  }
}

}  // namespace

std::string audit_text(const Audit& audit) {
  std::string out = fmt::format("audit of what {}, on {}: a stream with {}\n", subject(audit.level),
                                to_string(audit.device), place_text(audit.sm_count, audit.in_green_context));
  for (const AuditEntry& entry : audit.entries) out += entry_text(entry);
  out += sum_text(audit, AuditLevel::Model);
  if (audit.level == AuditLevel::Graph) out += sum_text(audit, AuditLevel::Graph);
  if (audit.level == AuditLevel::Process) {
    out += sum_text(audit, AuditLevel::Process);
    const auto others = std::ranges::count(audit.entries, false, &AuditEntry::of_run);
    out += fmt::format(
        "  process: {} of others in this process meanwhile, {} of them in no partition that is known\n",
        others, audit.outside_count());
  }
  for (const std::string& blind : audit.not_seen) out += fmt::format("  not seen: {}\n", blind);
  return out;
}

}  // namespace penstock::cli
