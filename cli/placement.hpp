#pragma once

#include <penstock/audit.hpp>
#include <penstock/device.hpp>
#include <penstock/partition.hpp>
#include <penstock/session.hpp>
#include <penstock/stream.hpp>

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace penstock::cli {

/// Where on a CUDA device runs go.
struct PlacementOptions {
  std::string partition;  ///< SMs, as SmResource::split takes one part: "64", "25%"; empty: the whole device.
  std::string audit;      ///< "model", "process"; empty: no audit.
};

void add_placement_options(CLI::App& app, PlacementOptions& options);

/// A stream of the device, in a partition where one is asked for. Nothing for the CPU.
/// Throws UsageError for options that only CUDA has, and for partitions that the device cannot give.
std::optional<Stream> make_stream(Device device, const PlacementOptions& options);

/// One run on the stream, or on the CPU where there is none; results in host memory.
std::vector<Tensor> run_on(Session& session, const std::vector<Tensor>& inputs,
                           const std::optional<Stream>& stream);

/// What --audit names.
AuditOptions audit_options(const PlacementOptions& options);

/// The report of an audit: one line a piece of work, what left the stream or the partition, what others did,
/// and what is not seen.
std::string audit_text(const Audit& audit);

}  // namespace penstock::cli
