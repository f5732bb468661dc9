#include "commands.hpp"
#include "graphs.hpp"
#include "inputs.hpp"
#include "loading.hpp"
#include "option_values.hpp"
#include "placement.hpp"
#include "report.hpp"
#include "timed_runs.hpp"
#include "timing.hpp"

#include <penstock/session.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace penstock::cli {
namespace {

using Json = nlohmann::ordered_json;

struct BenchCommand {
  ModelChoice choice;
  InputOptions inputs;
  PlacementOptions placement;
  std::string graphs;
  double warm_up_ms = 200;
  double duration_s = 3;
  bool duration_given = false;
  std::int64_t iterations = 0;
  int sessions = 1;
  std::vector<double> percentiles{50, 90, 99};
  std::string times_file;
  bool json = false;
};

RunGoal goal_of(const BenchCommand& command) {
  // trtexec runs at least as many iterations and at least as long. A number of iterations alone is
  // taken at its word.
  constexpr std::int64_t kIterations = 10;
  if (command.iterations > 0 && !command.duration_given) return {command.warm_up_ms, command.iterations, 0};
  return {command.warm_up_ms, std::max(command.iterations, kIterations),
          static_cast<std::int64_t>(command.duration_s * 1e9)};
}

/// What was found out before and between the timed runs.
struct Report {
  std::string model;
  std::string device;
  std::vector<std::string> inputs;
  int threads = 1;
  std::int64_t load_ns = 0;
  std::int64_t first_run_ns = 0;
  std::uint64_t arena_bytes = 0;
  std::string place;  ///< On the device; empty on the CPU.
  GraphMode graph_mode = GraphMode::Auto;
  GraphStatistics graphs;  ///< Of all sessions.
  Samples samples;
};

Report measure(const BenchCommand& command) {
  const GivenInputs given = read_inputs(command.inputs);
  const std::int64_t load_begin = now_ns();
  const Model model = load_model(command.choice);
  Report report;
  report.load_ns = now_ns() - load_begin;
  report.model = model.name();
  report.device = to_string(model.device());

  const std::vector<Tensor> inputs =
      place_inputs(model, given.empty() ? smallest_inputs(model, given.seed) : bind_inputs(model, given));
  const std::vector<TensorView> views = views_of(inputs);
  for (std::size_t i = 0; i < views.size(); ++i) {
    report.inputs.push_back(fmt::format("{} {}", input_names(model.inputs()[i]), to_string(views[i])));
  }
  const std::vector<Stream> streams = make_streams(model.device(), command.placement, command.sessions);
  report.samples.on_cuda = !streams.empty();
  if (!streams.empty()) report.place = place_text(streams.front().view());
  const GraphOptions graphs = graph_options(command.graphs, model.device());
  report.graph_mode = graphs.mode;
  std::vector<TimedSession> sessions;
  sessions.reserve(static_cast<std::size_t>(command.sessions));
  for (std::size_t i = 0; i < static_cast<std::size_t>(command.sessions); ++i) {
    std::optional<StreamView> stream;
    if (!streams.empty()) stream = streams[i];
    sessions.emplace_back(Session(model, {.threads = command.choice.threads, .graphs = graphs}), stream);
  }
  report.threads = sessions[0].session().threads();
  const Sample first = sessions[0].run(views);
  report.first_run_ns = first.end_ns - first.begin_ns;
  report.samples.of_sessions = run_sessions(sessions, views, goal_of(command));
  std::vector<GraphStatistics> statistics;
  for (const TimedSession& each : sessions) {
    report.arena_bytes += each.session().memory().held_bytes;
    statistics.push_back(each.session().graph_statistics());
  }
  report.graphs = sum_of(statistics);
  return report;
}

std::string advice_of(const Report& report, const Summary& summary) {
  return graph_advice(report.graphs, report.graph_mode, summary.device->bound_by_host());
}

std::string page(const BenchCommand& command, const Report& report, const Summary& summary) {
  std::string out = fmt::format("{}\n", printable(command.choice.file));
  const auto line = [&](std::string_view label, std::string_view value) {
    fmt::format_to(std::back_inserter(out), "  {:<14}{}\n", label, printable(value));
  };
  line("model", fmt::format("\"{}\" on {}, {} session{}, {} thread{} each", report.model, report.device,
                            command.sessions, command.sessions == 1 ? "" : "s", report.threads,
                            report.threads == 1 ? "" : "s"));
  if (!report.place.empty()) line("runs in", report.place);
  for (std::size_t i = 0; i < report.inputs.size(); ++i) line(i == 0 ? "inputs" : "", report.inputs[i]);
  line("load", time_text(static_cast<double>(report.load_ns)));
  line("first run", time_text(static_cast<double>(report.first_run_ns)));
  line("arena", bytes_text(report.arena_bytes));
  line("throughput", fmt::format("{:.1f} runs/s ({} runs in {})", summary.per_second, summary.count,
                                 time_text(summary.wall_ns)));
  const auto distribution = [&](std::string_view label, const Distribution& of) {
    line(label, "min " + time_text(of.min_ns));
    line("", "mean " + time_text(of.mean_ns));
    for (const auto& [percent, value] : of.percentiles) {
      line("",
           fmt::format("{} {}", percent == 50 ? "median" : fmt::format("p{:g}", percent), time_text(value)));
    }
    line("", "max " + time_text(of.max_ns));
  };
  distribution("latency", summary.latency);
  if (!summary.device) return out;
  distribution("host enqueue", summary.device->enqueue);
  distribution("GPU", summary.device->gpu);
  line("bound by", summary.device->bound_by_host()
                       ? "the host: the GPU waits for it to put work on the stream"
                       : "the GPU: the host has put a run on the stream before the GPU is done");
  const std::vector<std::string> graphs = graph_lines(report.graphs);
  for (std::size_t i = 0; i < graphs.size(); ++i) line(i == 0 ? "graphs" : "", graphs[i]);
  const std::string advice = advice_of(report, summary);
  if (!advice.empty()) line("advice", advice);
  return out;
}

Json json_of(const Distribution& of) {
  Json result;
  result["min"] = of.min_ns / 1e6;
  result["mean"] = of.mean_ns / 1e6;
  for (const auto& [percent, value] : of.percentiles) result[fmt::format("p{:g}", percent)] = value / 1e6;
  result["max"] = of.max_ns / 1e6;
  return result;
}

Json json_of(const BenchCommand& command, const Report& report, const Summary& summary) {
  Json result;
  result["file"] = command.choice.file;
  result["model"] = report.model;
  result["device"] = report.device;
  result["inputs"] = report.inputs;
  result["sessions"] = command.sessions;
  result["threads"] = report.threads;
  result["load_ms"] = static_cast<double>(report.load_ns) / 1e6;
  result["first_run_ms"] = static_cast<double>(report.first_run_ns) / 1e6;
  result["arena_bytes"] = report.arena_bytes;
  result["runs"] = summary.count;
  result["wall_ms"] = summary.wall_ns / 1e6;
  result["runs_per_second"] = summary.per_second;
  result["latency_ms"] = json_of(summary.latency);
  if (!summary.device) return result;
  result["runs_in"] = report.place;
  result["enqueue_ms"] = json_of(summary.device->enqueue);
  result["gpu_ms"] = json_of(summary.device->gpu);
  result["bound_by"] = summary.device->bound_by_host() ? "host" : "gpu";
  result["graphs"] = graph_json(report.graphs);
  result["advice"] = advice_of(report, summary);
  return result;
}

int bench(const BenchCommand& command) {
  for (const double percent : command.percentiles) {
    if (!(percent >= 0 && percent <= 100)) throw UsageError("--percentile: give numbers from 0 to 100");
  }
  const Report report = measure(command);
  const Summary summary = summarize(report.samples, command.percentiles);
  if (!command.times_file.empty()) export_times(command.times_file, report.samples);
  if (command.json) {
    write_json(json_of(command, report, summary));
  } else {
    write_out(page(command, report, summary));
  }
  return kExitOk;
}

void add_measuring_options(CLI::App& app, BenchCommand& command) {
  const std::string group = "Measuring (trtexec's spellings are taken too)";
  app.add_option("--warm-up,--warmUp", command.warm_up_ms, "Run this long before timing (default 200)")
      ->type_name("MS")
      ->check(number_in({.most = 1e9, .whole = false}))
      ->group(group);
  app.add_option_function<double>(
         "--duration",
         [&command](double seconds) {
           command.duration_s = seconds;
           command.duration_given = true;
         },
         "Time at least this long (default 3, or 0 with --iterations)")
      ->type_name("S")
      ->check(number_in({.most = 1e9, .whole = false}))
      ->group(group);
  app.add_option("--iterations", command.iterations,
                 "Time at least this many runs of each session (default 10)")
      ->type_name("N")
      ->check(number_in({.least = 1}))
      ->group(group);
  app.add_option("--sessions,--infStreams,--streams", command.sessions,
                 "Sessions that run at the same time, each on a thread of its own (default 1)")
      ->type_name("N")
      ->check(number_in({.least = 1, .most = 1024}))
      ->group(group);
  app.add_option("--percentile", command.percentiles, "Percentiles of the times (default 50,90,99)")
      ->type_name("P,P,...")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--export-times,--exportTimes", command.times_file, "Write the times of every run as JSON")
      ->type_name("FILE")
      ->check(not_empty())
      ->group(group);
}

}  // namespace

Action add_bench(CLI::App& app) {
  const auto command = std::make_shared<BenchCommand>();
  add_package_options(app, command->choice);
  add_load_options(app, command->choice);
  app.add_flag("--json", command->json, "Print the results as JSON");
  add_measuring_options(app, *command);
  add_input_options(app, command->inputs);
  add_partition_option(app, command->placement);
  add_graphs_option(app, command->graphs);
  app.footer(
      "Without inputs, the model runs on made-up ones of the smallest sizes that it takes.\n\n"
      "Examples:\n"
      "  penstock bench model.pt2\n"
      "  penstock bench model.pt2 --shapes image:8x3x224x224 --duration 10 --percentile 50,99,99.9\n"
      "  penstock bench model.pt2 --warmUp=500 --iterations=1000 --infStreams=2 --exportTimes=times.json");
  return [command] { return bench(*command); };
}

}  // namespace penstock::cli
