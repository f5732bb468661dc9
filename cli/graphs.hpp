#pragma once

#include <penstock/graphs.hpp>
#include <penstock/session.hpp>

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace penstock::cli {

/// --graphs auto|off|require into `mode`, which stays empty where it is not given.
void add_graphs_option(CLI::App& app, std::string& mode);

/// What --graphs names; as sessions do by default where it is empty. Throws UsageError for a device that has
/// no graphs.
GraphOptions graph_options(const std::string& mode, Device device);

/// What the sessions did with graphs, added up.
GraphStatistics sum_of(const std::vector<GraphStatistics>& sessions);

/// Lines of a report: what was captured and replayed, which runs were not and why.
std::vector<std::string> graph_lines(const GraphStatistics& statistics);

/// What would make runs faster; empty where graphs do what they can.
std::string graph_advice(const GraphStatistics& statistics, GraphMode mode, bool bound_by_host);

nlohmann::ordered_json graph_json(const GraphStatistics& statistics);

}  // namespace penstock::cli
