#include "commands.hpp"
#include "inputs.hpp"
#include "loading.hpp"
#include "plans.hpp"
#include "report.hpp"

#include <penstock/tensorrt.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <climits>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace penstock::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  ModelChoice choice;
  bool json = false;
  bool verbose = false;
};

std::string_view weights_text(WeightsForm form) {
  switch (form) {
    case WeightsForm::None: return "none";
    case WeightsForm::Embedded: return "in the library";
    case WeightsForm::BinaryBlob: return "in a file of their own";
    case WeightsForm::PickleWeights: return "in files of their own";
    case WeightsForm::External: return "not in the package: --weights FILE gives them";
  }
  return "unknown";
}

std::string_view weights_key(WeightsForm form) {
  switch (form) {
    case WeightsForm::None: return "none";
    case WeightsForm::Embedded: return "embedded";
    case WeightsForm::BinaryBlob: return "binary_blob";
    case WeightsForm::PickleWeights: return "pickle_weights";
    case WeightsForm::External: return "external";
  }
  return "unknown";
}

std::string_view device_text(DeviceType device) { return device == DeviceType::Cuda ? "cuda" : "cpu"; }

/// Lines of "label  value", later lines of a label indented below its first.
class Section {
 public:
  explicit Section(std::string& out) : out_(out) {}
  void line(std::string_view label, std::string_view value) {
    if (value.empty()) return;
    fmt::format_to(std::back_inserter(out_), "  {:<14}{}\n", label, printable(value));
  }
  void lines(std::string_view label, const std::vector<std::string>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) line(i == 0 ? label : "", values[i]);
  }

 private:
  std::string& out_;
};

std::vector<std::string> input_lines(const ModelInfo& info) {
  std::size_t name_width = 0;
  std::size_t keyword_width = 0;
  for (const TensorSpec& spec : info.input_hints) {
    name_width = std::max(name_width, spec.name.size());
    keyword_width = std::max(keyword_width, spec.keyword.size());
  }
  if (keyword_width > 0) keyword_width += 2;
  const std::vector<std::string> places = input_places(info);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < info.input_hints.size(); ++i) {
    const TensorSpec& spec = info.input_hints[i];
    lines.push_back(
        fmt::format("{:<{}}  {:<{}}{}", spec.name, name_width, spec.keyword, keyword_width, spec_text(spec)));
    if (!places.empty() && !places[i].empty()) lines.back() += "  " + places[i];
  }
  if (lines.empty()) lines.emplace_back("not stated");
  return lines;
}

std::vector<std::string> output_texts(const ModelInfo& info) {
  std::vector<std::string> texts = info.output_names;
  const std::vector<std::string> places = output_places(info);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (!places[i].empty()) texts[i] += " " + places[i];
  }
  return texts;
}

std::string functions_text(const Requirements& needs) {
  const std::size_t count = needs.shim_functions.size();
  // A library for another machine, of which no more is read: every other one calls some.
  if (count == 0) return "not known";
  if (needs.missing_functions.empty()) return fmt::format("{} of PyTorch's, all of them in Penstock", count);
  return fmt::format("{} of PyTorch's, {} of them missing", count, needs.missing_functions.size());
}

// What runs engines is in Penstock.
constexpr std::string_view kEngineClass = "tensorrt.Engine";
constexpr std::string_view kEngineOperator = "tensorrt::execute_engine";

/// Operators, classes and TensorRT are not in the package: whether they are there is not known before a load.
std::string can_run_text(const ModelInfo& info) {
  if (!info.obstacles.empty()) return "no";
  std::vector<std::string_view> more;
  const auto lacks = [](const std::vector<std::string>& names, std::string_view own) {
    return std::ranges::any_of(names, [&](const std::string& name) { return name != own; });
  };
  if (lacks(info.needs.operators, kEngineOperator) || lacks(info.needs.classes, kEngineClass))
    more.emplace_back("its operators and classes (--library FILE)");
  if (std::ranges::find(info.needs.classes, kEngineClass) != info.needs.classes.end())
    more.emplace_back("TensorRT (found by itself, or --tensorrt FILE)");
  return more.empty() ? "yes" : fmt::format("yes, with {}", fmt::join(more, " and "));
}

/// Of an engine what it is instead of the texts that its state is made of.
std::string state_text(const ObjectInfo& object) {
  if (object.class_name != kEngineClass) return to_string(object.state);
  try {
    const TensorRTEngineInfo info = describe_engine(object.state);
    return fmt::format("\"{}\" {} -> {}, plan of {}{}, for compute capability {}.{}{} ({})", info.name,
                       fmt::join(info.inputs, " "), fmt::join(info.outputs, " "), bytes_text(info.plan_bytes),
                       info.built_by.empty() ? "" : " by " + info.built_by, info.compute_major,
                       info.compute_minor, info.hardware_compatible ? " and later" : "", info.gpu);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::OutOfMemory) throw;
    return error.what();
  }
}

/// The objects of a model, or why they cannot be read: all else of the package is told then too.
struct FoundObjects {
  std::vector<ObjectInfo> objects = {};
  std::string problem = {};
};

FoundObjects read_objects(const Package& package, const std::string& model) {
  try {
    return {.objects = package.custom_objects(model)};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::OutOfMemory) throw;
    return {.problem = error.what()};
  }
}

std::vector<std::string> object_lines(const FoundObjects& found) {
  std::vector<std::string> lines;
  if (!found.problem.empty()) lines.push_back("cannot be read: " + found.problem);
  for (const ObjectInfo& object : found.objects) {
    lines.push_back(fmt::format("{}  {}  {}", object.name, object.class_name, state_text(object)));
  }
  return lines;
}

void add_model(std::string& out, const ModelInfo& info, const FoundObjects& objects, bool verbose) {
  fmt::format_to(std::back_inserter(out), "\nmodel \"{}\"\n", printable(info.name));
  Section section(out);
  section.line("device", device_text(info.device));
  section.line("library", fmt::format("{}  {}", bytes_text(info.library_bytes), info.library));
  section.line("weights",
               info.weights_form == WeightsForm::None
                   ? "none"
                   : fmt::format("{}  {}", bytes_text(info.weights_bytes), weights_text(info.weights_form)));
  section.line("threads", !info.compiled_threads ? "not known, so 1"
                          : *info.compiled_threads == INT_MAX
                              ? "any number"
                              : fmt::format("compiled for {}", *info.compiled_threads));
  section.lines("inputs", input_lines(info));
  section.line("outputs", fmt::format("{}", fmt::join(output_texts(info), "  ")));

  const Requirements& needs = info.needs;
  section.line("functions", functions_text(needs));
  if (verbose) section.lines("", needs.shim_functions);
  section.lines("  missing", needs.missing_functions);
  section.lines("operators", needs.operators);
  section.lines("classes", needs.classes);
  section.lines("objects", object_lines(objects));
  section.line("processor", fmt::format("{} {}", needs.architecture, fmt::join(needs.instruction_sets, " ")));
  section.line("glibc", needs.glibc);
  section.line("libstdc++", needs.libstdcxx);
  section.line("libraries", fmt::format("{}", fmt::join(needs.libraries, "  ")));
  if (verbose) {
    std::vector<std::string> metadata;
    for (const auto& [key, value] : info.metadata) metadata.push_back(fmt::format("{} = {}", key, value));
    section.lines("metadata", metadata);
  }
  section.line("can run here", can_run_text(info));
  for (const std::string& obstacle : info.obstacles) {
    fmt::format_to(std::back_inserter(out), "    - {}\n", printable(obstacle));
  }
}

Json json_of(const TensorSpec& spec) {
  Json dims = Json::array();
  for (const DimSpec& dim : spec.dims) {
    Json each;
    each["min"] = dim.min;
    each["max"] = dim.max == INT64_MAX ? Json() : Json(dim.max);
    each["symbol"] = dim.symbol;
    dims.push_back(std::move(each));
  }
  Json result;
  result["name"] = spec.name;
  result["keyword"] = spec.keyword;
  result["dtype"] = dtype_name(spec.dtype);
  result["device"] = to_string(spec.device);
  result["dims"] = std::move(dims);
  result["strides"] = spec.strides;
  return result;
}

Json json_of(const std::vector<ObjectInfo>& objects) {
  // Engines are large: nobody reads on.
  constexpr std::size_t kMostCharacters = 4096;
  Json result = Json::array();
  for (const ObjectInfo& object : objects) {
    Json each;
    each["name"] = object.name;
    each["class"] = object.class_name;
    each["state"] = to_string(object.state, kMostCharacters);
    result.push_back(std::move(each));
  }
  return result;
}

Json json_of(const ModelInfo& info, const FoundObjects& found) {
  Json needs;
  needs["architecture"] = info.needs.architecture;
  needs["instruction_sets"] = info.needs.instruction_sets;
  needs["glibc"] = info.needs.glibc;
  needs["libstdcxx"] = info.needs.libstdcxx;
  needs["libraries"] = info.needs.libraries;
  needs["shim_functions"] = info.needs.shim_functions;
  needs["missing_functions"] = info.needs.missing_functions;
  needs["operators"] = info.needs.operators;
  needs["classes"] = info.needs.classes;

  Json result;
  result["name"] = info.name;
  result["device"] = device_text(info.device);
  result["can_run_here"] = info.obstacles.empty();
  result["obstacles"] = info.obstacles;
  result["library"] = info.library;
  result["library_bytes"] = info.library_bytes;
  result["weights_form"] = weights_key(info.weights_form);
  result["weights_bytes"] = info.weights_bytes;
  result["compiled_threads"] = info.compiled_threads ? Json(*info.compiled_threads) : Json();
  result["inputs"] = Json::array();
  for (const TensorSpec& spec : info.input_hints) result["inputs"].push_back(json_of(spec));
  result["outputs"] = info.output_names;
  result["needs"] = std::move(needs);
  result["custom_objects"] = json_of(found.objects);
  if (!found.problem.empty()) result["custom_objects_problem"] = found.problem;
  result["metadata"] = info.metadata;
  result["call_spec_in"] = info.call_spec_in;
  result["call_spec_out"] = info.call_spec_out;
  return result;
}

int inspect(const InspectOptions& options) {
  if (is_plan(options.choice.file)) return inspect_plan(options.choice, options.json);
  const Package package = open_package(options.choice);
  std::vector<const ModelInfo*> models;
  if (options.choice.model.empty()) {
    for (const ModelInfo& info : package.models()) models.push_back(&info);
  } else {
    models.push_back(&find_model(package, options.choice.model));
  }
  if (options.json) {
    Json result;
    result["file"] = package.name();
    result["bytes"] = package.bytes();
    result["archive_version"] = package.archive_version();
    result["models"] = Json::array();
    bool readable = true;
    for (const ModelInfo* info : models) {
      const FoundObjects found = read_objects(package, info->name);
      readable = readable && found.problem.empty();
      result["models"].push_back(json_of(*info, found));
    }
    write_json(result);
    return readable ? kExitOk : kExitRefused;
  }
  std::string out = fmt::format("{}\n", printable(package.name()));
  Section section(out);
  section.line("format", fmt::format("PyTorch archive, version {}", package.archive_version()));
  section.line("size", bytes_text(package.bytes()));
  section.line("models", std::to_string(package.models().size()));
  bool readable = true;
  for (const ModelInfo* info : models) {
    const FoundObjects found = read_objects(package, info->name);
    readable = readable && found.problem.empty();
    add_model(out, *info, found, options.verbose);
  }
  write_out(out);
  return readable ? kExitOk : kExitRefused;
}

}  // namespace

Action add_inspect(CLI::App& app) {
  const auto options = std::make_shared<InspectOptions>();
  add_package_options(app, options->choice);
  add_tensorrt_option(app, options->choice);
  app.add_flag("--json", options->json, "Print everything as JSON");
  app.add_flag("-v,--verbose", options->verbose, "List the functions that the model calls, and the metadata");
  app.footer(
      "Examples:\n  penstock inspect model.pt2\n  penstock inspect model.pt2 --json | jq '.models[].inputs'");
  return [options] { return inspect(*options); };
}

}  // namespace penstock::cli
