#include "graphs.hpp"

#include "commands.hpp"
#include "report.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace penstock::cli {
namespace {

/// Of the reasons that are the model's own; null: there are none.
const GraphStatistics::Eager* most_frequent(const GraphStatistics& statistics) {
  const GraphStatistics::Eager* most = nullptr;
  for (const GraphStatistics::Eager& each : statistics.eager) {
    if (each.reason != kFirstRun && (most == nullptr || each.runs > most->runs)) most = &each;
  }
  return most;
}

}  // namespace

void add_graphs_option(CLI::App& app, std::string& mode) {
  app.add_option("--graphs", mode,
                 "CUDA graphs: auto replays what can be captured (the default), off nothing, require fails "
                 "where a run cannot be captured")
      ->type_name("MODE")
      ->check(CLI::IsMember({"auto", "off", "require"}))
      ->group("CUDA");
}

GraphOptions graph_options(const std::string& mode, Device device) {
  if (!mode.empty() && device.type != DeviceType::Cuda) {
    throw UsageError("--graphs is about CUDA graphs: it needs --device cuda");
  }
  GraphOptions options;
  if (mode == "off") options.mode = GraphMode::Off;
  if (mode == "require") options.mode = GraphMode::Require;
  return options;
}

GraphStatistics sum_of(const std::vector<GraphStatistics>& sessions) {
  GraphStatistics sum;
  for (const GraphStatistics& each : sessions) {
    sum.captures += each.captures;
    sum.replays += each.replays;
    sum.recorded += each.recorded;
    sum.patched_nodes += each.patched_nodes;
    sum.fills += each.fills;
    sum.dropped += each.dropped;
    sum.held += each.held;
    sum.held_bytes += each.held_bytes;
    if (sum.fixed.empty()) sum.fixed = each.fixed;
    for (const GraphStatistics::Eager& eager : each.eager) {
      const auto found = std::ranges::find(sum.eager, eager.reason, &GraphStatistics::Eager::reason);
      if (found != sum.eager.end()) {
        found->runs += eager.runs;
      } else {
        sum.eager.push_back(eager);
      }
    }
  }
  return sum;
}

std::vector<std::string> graph_lines(const GraphStatistics& statistics) {
  std::vector<std::string> lines;
  if (statistics.captures == 0) {
    lines.push_back("none captured");
  } else {
    lines.push_back(fmt::format("{} captured, {} replays, {} node{} given other addresses",
                                statistics.captures, statistics.replays, statistics.patched_nodes,
                                statistics.patched_nodes == 1 ? "" : "s"));
    lines.push_back(
        fmt::format("{} held, which work in {}", statistics.held, bytes_text(statistics.held_bytes)));
  }
  if (statistics.fills != 0) {
    lines.push_back(fmt::format("{} fills of 4 bytes behind replays", statistics.fills));
  }
  for (const GraphStatistics::Eager& each : statistics.eager) {
    lines.push_back(
        fmt::format("{} run{} call by call: {}", each.runs, each.runs == 1 ? "" : "s", each.reason));
  }
  return lines;
}

std::string graph_advice(const GraphStatistics& statistics, GraphMode mode, bool bound_by_host) {
  if (mode == GraphMode::Off) {
    return bound_by_host ? "the host is the bound: --graphs auto replays runs as CUDA graphs" : "";
  }
  const GraphStatistics::Eager* const most = most_frequent(statistics);
  if (most != nullptr && most->runs > statistics.replays && bound_by_host) {
    return fmt::format(
        "the host is the bound, and runs are not replayed: {}. docs/graphs.md says what can be "
        "captured",
        most->reason);
  }
  if (!statistics.fixed.empty()) {
    return "give inputs at the same addresses: " + statistics.fixed;
  }
  return "";
}

nlohmann::ordered_json graph_json(const GraphStatistics& statistics) {
  nlohmann::ordered_json result;
  result["captures"] = statistics.captures;
  result["replays"] = statistics.replays;
  result["patched_nodes"] = statistics.patched_nodes;
  result["fills"] = statistics.fills;
  result["dropped"] = statistics.dropped;
  result["held"] = statistics.held;
  result["held_bytes"] = statistics.held_bytes;
  result["fixed"] = statistics.fixed;
  result["eager"] = nlohmann::ordered_json::array();
  for (const GraphStatistics::Eager& each : statistics.eager) {
    result["eager"].push_back({{"reason", each.reason}, {"runs", each.runs}});
  }
  return result;
}

}  // namespace penstock::cli
