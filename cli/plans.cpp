#include "plans.hpp"

#include "report.hpp"

#include <penstock/error.hpp>
#include <penstock/tensorrt.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <vector>

namespace penstock::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string shape_text(const std::vector<std::int64_t>& sizes) {
  return sizes.empty() ? "scalar" : fmt::format("{}", fmt::join(sizes, "x"));
}

/// "x  float32[-1, 4]  on the host", as the plan has it.
std::string tensor_text(const TensorRTTensor& tensor) {
  return fmt::format("{}  {}{}{}{}", tensor.name, dtype_name(tensor.dtype), sizes_text(tensor.sizes),
                     tensor.on_host ? "  values of a shape, in host memory" : "",
                     tensor.alias_of.empty() ? "" : "  changed in place: " + tensor.alias_of);
}

/// "x 1x4 2x4 8x4": least, best, most.
std::string profile_text(const TensorRTEngine& engine, int profile) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < engine.inputs().size(); ++i) {
    const TensorRTRange range = engine.range(profile, i);
    if (range.least == range.most) continue;
    texts.push_back(fmt::format("{} {} {} {}", engine.inputs()[i].name, shape_text(range.least),
                                shape_text(range.best), shape_text(range.most)));
  }
  return texts.empty() ? "one size of each input" : fmt::format("{}", fmt::join(texts, "  "));
}

Json json_of(const TensorRTTensor& tensor) {
  Json result;
  result["name"] = tensor.name;
  result["dtype"] = dtype_name(tensor.dtype);
  result["sizes"] = tensor.sizes;
  result["on_host"] = tensor.on_host;
  result["alias_of"] = tensor.alias_of;
  return result;
}

Json json_of(const TensorRTEngine& engine) {
  Json result;
  result["library"] = engine.library();
  result["inputs"] = Json::array();
  for (const TensorRTTensor& tensor : engine.inputs()) result["inputs"].push_back(json_of(tensor));
  result["outputs"] = Json::array();
  for (const TensorRTTensor& tensor : engine.outputs()) result["outputs"].push_back(json_of(tensor));
  result["profiles"] = Json::array();
  for (int profile = 0; profile < engine.profile_count(); ++profile) {
    Json ranges = Json::object();
    for (std::size_t i = 0; i < engine.inputs().size(); ++i) {
      const TensorRTRange range = engine.range(profile, i);
      ranges[engine.inputs()[i].name] = {{"least", range.least}, {"best", range.best}, {"most", range.most}};
    }
    result["profiles"].push_back(std::move(ranges));
  }
  result["aux_streams"] = engine.aux_stream_count();
  result["run_bytes"] = engine.run_bytes();
  result["streamable_weight_bytes"] = engine.streamable_weight_bytes();
  return result;
}

void add_engine(std::string& out, const TensorRTEngine& engine) {
  const auto line = [&](std::string_view label, const std::string& value) {
    fmt::format_to(std::back_inserter(out), "  {:<14}{}\n", label, printable(value));
  };
  line("run by", engine.library());
  std::string_view label = "inputs";
  for (const TensorRTTensor& tensor : engine.inputs()) line(std::exchange(label, ""), tensor_text(tensor));
  for (int profile = 0; profile < engine.profile_count(); ++profile)
    line(fmt::format("profile {}", profile), profile_text(engine, profile));
  label = "outputs";
  for (const TensorRTTensor& tensor : engine.outputs()) line(std::exchange(label, ""), tensor_text(tensor));
  line("aux streams", std::to_string(engine.aux_stream_count()));
  line("memory", bytes_text(engine.run_bytes()) + " a run");
  if (engine.streamable_weight_bytes() != 0)
    line("weights",
         bytes_text(static_cast<std::uint64_t>(engine.streamable_weight_bytes())) + " can be streamed");
}

std::shared_ptr<TensorRTEngine> engine_of(const Model& model) {
  return object_cast<TensorRTEngine>(model.custom_objects().at("engine"));
}

/// The engine, or why it cannot be built here.
struct Built {
  std::optional<Model> model;
  std::string obstacle;
};

Built build(const ModelChoice& choice) {
  try {
    return {.model = load_plan(choice), .obstacle = {}};
  } catch (const Refused& refused) {
    return {.model = std::nullopt, .obstacle = refused.what()};
  }
}

}  // namespace

bool is_plan(const std::string& file) {
  const std::string extension = std::filesystem::path(file).extension().string();
  if (extension == ".plan" || extension == ".engine" || extension == ".trt") return true;
  try {
    return !describe_plan(file).built_by.empty();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::OutOfMemory) throw;
    return false;
  }
}

void check_plan_options(const ModelChoice& choice) {
  const auto refuse = [&](bool given, std::string_view option) {
    if (given) {
      throw UsageError(
          fmt::format("{} is for packages; {} is a TensorRT plan", option, printable(choice.file)));
    }
  };
  refuse(!choice.model.empty(), "--model");
  refuse(!choice.weights.empty(), "--weights");
  refuse(!choice.libraries.empty(), "--library");
  refuse(choice.ignores_ranges, "--size-ranges");
  refuse(choice.threads != 0, "--threads");
}

Model load_plan(const ModelChoice& choice) {
  check_plan_options(choice);
  EngineOptions options;
  options.device = parse_device(choice.device.empty() ? "cuda" : choice.device);
  options.sha256 = choice.sha256;
  options.tensorrt.assign(choice.tensorrt.begin(), choice.tensorrt.end());
  check_sha256(choice.sha256);
  try {
    Model model = Model::load_engine(choice.file, options);
    if (choice.profile) engine_of(model)->set_profile(*choice.profile);
    return model;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::OutOfMemory) throw;
    throw Refused(error.what());
  }
}

int inspect_plan(const ModelChoice& choice, bool json) {
  check_plan_options(choice);
  const TensorRTPlanInfo info = [&] {
    try {
      return describe_plan(choice.file);
    } catch (const Error& error) {
      if (error.code() == ErrorCode::OutOfMemory) throw;
      throw Refused(error.what());
    }
  }();
  const Built built = build(choice);
  const std::string name = std::filesystem::path(choice.file).filename().string();
  if (json) {
    Json result;
    result["file"] = name;
    result["bytes"] = info.bytes;
    result["built_by"] = info.built_by;
    result["can_run_here"] = built.model.has_value();
    result["obstacles"] = Json::array();
    if (!built.model) result["obstacles"].push_back(built.obstacle);
    result["engine"] = built.model ? json_of(*engine_of(*built.model)) : Json();
    write_json(result);
    return kExitOk;
  }
  std::string out =
      fmt::format("{}\n  {:<14}TensorRT plan\n  {:<14}{}\n  {:<14}{}\n", printable(name), "format", "size",
                  bytes_text(info.bytes), "built by", info.built_by.empty() ? "not known" : info.built_by);
  if (built.model) add_engine(out, *engine_of(*built.model));
  out += fmt::format("  {:<14}{}\n", "can run here", built.model ? "yes" : "no");
  if (!built.model) {
    std::string obstacle = printable_lines(built.obstacle);
    for (std::size_t at = 0; (at = obstacle.find('\n', at)) != std::string::npos; ++at)
      obstacle.insert(at + 1, "    ");
    out += fmt::format("    - {}\n", obstacle);
  }
  write_out(out);
  return kExitOk;
}

}  // namespace penstock::cli
