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
  return fmt::format("{} SMs{}", sm_count, in_green_context ? " of a partition" : ", the whole device");
}

}  // namespace

void add_partition_option(CLI::App& app, PlacementOptions& options) {
  app.add_option("--partition", options.partition,
                 "Run in a partition of so many SMs (64) or that share of them (25%)")
      ->type_name("SMS")
      ->group(kGroup);
}

void add_audit_option(CLI::App& app, PlacementOptions& options) {
  app.add_flag("--audit", options.audit,
               "Print all that the run puts on the device, and fail where any of it left the stream or the "
               "partition")
      ->group(kGroup);
}

std::vector<Stream> make_streams(Device device, const PlacementOptions& options, int count) {
  if (device.type != DeviceType::Cuda) {
    if (!options.partition.empty()) throw UsageError("--partition divides a GPU: it needs --device cuda");
    if (options.audit) throw UsageError("--audit looks at what goes to a GPU: it needs --device cuda");
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

std::string audit_text(const Audit& audit) {
  std::string out = fmt::format("audit of what the package does, on {}: a stream with {}\n",
                                to_string(audit.device), place_text(audit.sm_count, audit.in_green_context));
  for (const AuditEntry& entry : audit.entries) {
    out += fmt::format("  {:<5} {:<13} {}", entry.in_place ? "ok" : "LEFT", to_string(entry.kind),
                       printable(entry.name));
    if (!entry.in_place) {
      out += fmt::format("  on stream {} with {}", entry.stream,
                         place_text(entry.sm_count, entry.in_green_context));
    }
    out += "\n";
  }
  const auto left =
      std::ranges::count_if(audit.entries, [](const AuditEntry& entry) { return !entry.in_place; });
  out += fmt::format("  {} of {} stayed on the stream and in its partition\n",
                     audit.entries.size() - static_cast<std::size_t>(left), audit.entries.size());
  for (const std::string& blind : audit.not_seen) out += fmt::format("  not seen: {}\n", blind);
  return out;
}

}  // namespace penstock::cli
