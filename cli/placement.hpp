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
  std::string audit;      ///< "model", "process", "graph"; empty: no audit.
};

/// --partition, and --audit with the other.
void add_partition_option(CLI::App& app, PlacementOptions& options);
void add_audit_option(CLI::App& app, PlacementOptions& options);

/// So many streams of the device, in one partition where one is asked for. None for the CPU.
/// Throws UsageError for options that only CUDA has, and for partitions that the device cannot give.
std::vector<Stream> make_streams(Device device, const PlacementOptions& options, int count);

/// "64 SMs of a partition", "132 SMs, the whole device": where the work of a stream runs.
std::string place_text(StreamView stream);

/// One run on the stream, or on the CPU where there is none; results in host memory.
std::vector<Tensor> run_on(Session& session, const std::vector<Tensor>& inputs,
                           const std::optional<StreamView>& stream);

/// What --audit names.
AuditOptions audit_options(const PlacementOptions& options);

/// The report of an audit: one line a piece of work, what left the stream or the partition, what others did,
/// and what is not seen.
std::string audit_text(const Audit& audit);

}  // namespace penstock::cli
