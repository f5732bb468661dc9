#include "plan.hpp"

#include "slots.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>

namespace penstock::trt_double {
namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "penstock-double\n";
constexpr int kSerialization = 1;
constexpr int kApiUsage = 3;
constexpr int kVersionMismatch = 6;
constexpr const char* kPlatform = "linux_x86_64";

[[noreturn]] void refuse(const std::string& what) {
  throw PlanProblem{kSerialization, "Serialization (" + what + ")"};
}

/// A test that misspells a member would test nothing.
void require_members(const json& object, const std::string& where,
                     std::initializer_list<std::string_view> members) {
  if (!object.is_object()) refuse(where + " is no object");
  for (const auto& [key, value] : object.items()) {
    if (std::find(members.begin(), members.end(), key) == members.end()) {
      refuse(where + " has a member \"" + key + "\" that there is not");
    }
  }
}

std::optional<DataType> find_type(const std::string& name) {
  static const std::map<std::string, DataType> types{
      {"float32", DataType::Float}, {"float16", DataType::Half}, {"bfloat16", DataType::BFloat16},
      {"int8", DataType::Int8},     {"int32", DataType::Int32},  {"int64", DataType::Int64},
      {"bool", DataType::Bool},
  };
  const auto found = types.find(name);
  if (found == types.end()) return std::nullopt;
  return found->second;
}

LayerKind kind_of(const std::string& name) {
  static const std::map<std::string, LayerKind> kinds{{"affine", LayerKind::Affine},
                                                      {"smid", LayerKind::Smid},
                                                      {"nonzero", LayerKind::Nonzero},
                                                      {"append", LayerKind::Append},
                                                      {"resize", LayerKind::Resize}};
  const auto found = kinds.find(name);
  if (found == kinds.end()) refuse("there is no layer of kind " + name);
  return found->second;
}

TensorPlan read_tensor(const json& object, int profiles) {
  require_members(object, "a tensor",
                  {"name", "mode", "dtype", "shape", "location", "shape_input", "profiles", "alias"});
  TensorPlan tensor;
  tensor.name = object.at("name").get<std::string>();
  const auto mode = object.at("mode").get<std::string>();
  if (mode != "input" && mode != "output") refuse("tensor " + tensor.name + " is of mode " + mode);
  tensor.mode = mode == "input" ? IoMode::Input : IoMode::Output;
  const auto type = find_type(object.value("dtype", "float32"));
  if (!type) refuse("tensor " + tensor.name + " is of an unknown dtype");
  tensor.type = *type;
  tensor.shape = object.at("shape").get<Shape>();
  if (tensor.shape.size() > Dims{}.sizes.size()) refuse("tensor " + tensor.name + " has too many dimensions");
  tensor.location = object.value("location", "device") == "host" ? Location::Host : Location::Device;
  tensor.shape_input = object.value("shape_input", false);
  tensor.alias = object.value("alias", "");
  for (const json& each : object.value("profiles", json::array())) {
    require_members(each, "a profile of " + tensor.name, {"min", "opt", "max"});
    tensor.profiles.push_back(
        {each.at("min").get<Shape>(), each.at("opt").get<Shape>(), each.at("max").get<Shape>()});
  }
  const bool dynamic = tensor.mode == IoMode::Input && (!is_known(tensor.shape) || tensor.shape_input);
  if (dynamic && tensor.profiles.size() != static_cast<std::size_t>(profiles)) {
    refuse("input " + tensor.name + " has " + std::to_string(tensor.profiles.size()) + " profiles of " +
           std::to_string(profiles));
  }
  if (tensor.shape_input && (tensor.type != DataType::Int64 || tensor.location != Location::Host)) {
    refuse("shape input " + tensor.name + " is not of int64 on the host");
  }
  return tensor;
}

std::size_t index_of(const Plan& plan, const std::string& name, const std::string& layer) {
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].name == name) return i;
  }
  refuse("layer " + layer + " reads " + name + ", which nothing before it makes");
}

/// The tensor that a layer makes: one between layers where the engine has none of the name.
std::size_t output_of(Plan& plan, const std::string& name, const LayerPlan& layer) {
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    if (plan.tensors[i].name == name) return i;
  }
  TensorPlan between;
  between.name = name;
  if (!layer.inputs.empty()) {
    between.type = plan.tensors[layer.inputs[0]].type;
    between.shape = Shape(plan.tensors[layer.inputs[0]].shape.size(), -1);
  }
  plan.tensors.push_back(between);
  return plan.tensors.size() - 1;
}

void check_layer(const Plan& plan, const LayerPlan& layer) {
  const auto require = [&](bool right, const char* what) {
    if (!right) refuse("layer " + layer.name + " " + what);
  };
  const TensorPlan& output = plan.tensors[layer.output];
  const std::size_t inputs = layer.inputs.size();
  require(output.mode != IoMode::Input, "writes an input");
  require(layer.stream >= 0 && layer.stream <= plan.aux_streams, "is on a stream that there is not");
  switch (layer.kind) {
    case LayerKind::Affine: require(inputs >= 1 && inputs <= 4, "has none or too many inputs"); break;
    case LayerKind::Smid: require(output.type == DataType::Int32, "gives int32"); break;
    case LayerKind::Nonzero:
      require(inputs == 1 && plan.tensors[layer.inputs[0]].type == DataType::Float, "takes one float32");
      require(
          output.type == DataType::Float || output.type == DataType::Int32 || output.type == DataType::Int64,
          "gives float32, int32 or int64");
      break;
    case LayerKind::Append:
      require(inputs == 2 && output.alias == plan.tensors[layer.inputs[0]].name,
              "gives an alias of its cache");
      require(output.type == plan.tensors[layer.inputs[1]].type, "takes one type");
      break;
    case LayerKind::Resize:
      require(inputs == 1 && plan.tensors[layer.inputs[0]].shape_input, "takes one shape input");
      break;
  }
}

LayerPlan read_layer(const json& object, Plan& plan) {
  require_members(object, "a layer",
                  {"name", "kind", "inputs", "output", "stream", "scale", "bias", "spin_us"});
  LayerPlan layer;
  layer.name = object.value("name", "layer " + std::to_string(plan.layers.size()));
  layer.kind = kind_of(object.at("kind").get<std::string>());
  for (const json& each : object.value("inputs", json::array())) {
    layer.inputs.push_back(index_of(plan, each.get<std::string>(), layer.name));
  }
  layer.stream = object.value("stream", 0);
  layer.scale = object.value("scale", 1.0);
  layer.bias = object.value("bias", 0.0);
  layer.spin_us = object.value("spin_us", 0);
  layer.output = output_of(plan, object.at("output").get<std::string>(), layer);
  check_layer(plan, layer);
  return layer;
}

void check_version(const json& object) {
  const int numbering = object.value("numbering", 0);
  if (numbering != 0 && numbering != kNumbering) {
    throw PlanProblem{kVersionMismatch, "API Usage Error (the engine plan is of version " +
                                            std::to_string(numbering) + ".x, and this library is " +
                                            std::to_string(kMajor) + "." + std::to_string(kMinor) +
                                            "; build the engine again with it)"};
  }
  const std::string platform = object.value("platform", kPlatform);
  if (platform != kPlatform) {
    throw PlanProblem{kApiUsage, "API Usage Error (the engine plan is for the platform " + platform +
                                     ", and this one is " + kPlatform + ")"};
  }
}

/// Those of the tensor that has most, and at least one.
int most_profiles(const json& tensors) {
  std::size_t most = 1;
  for (const json& each : tensors) most = std::max(most, each.value("profiles", json::array()).size());
  return static_cast<int>(most);
}

Plan read_members(const json& object) {
  require_members(
      object, "the plan",
      {"numbering", "platform", "compute_capability", "name", "aux_streams", "profiles", "device_memory",
       "streamable_weights", "least_budget", "collectives", "tensors", "layers"});
  check_version(object);
  Plan plan;
  plan.name = object.value("name", "");
  plan.aux_streams = object.value("aux_streams", 0);
  plan.profiles = object.value("profiles", most_profiles(object.at("tensors")));
  if (plan.profiles < 1 || plan.aux_streams < 0) refuse("the plan has too few profiles or streams");
  plan.device_memory = object.value("device_memory", std::int64_t{0});
  plan.streamable_weights = object.value("streamable_weights", std::int64_t{0});
  plan.least_budget = object.value("least_budget", std::int64_t{0});
  plan.collectives = object.value("collectives", false);
  plan.compute_capability = object.value("compute_capability", "");
  for (const json& each : object.at("tensors")) plan.tensors.push_back(read_tensor(each, plan.profiles));
  for (const TensorPlan& each : plan.tensors) {
    if (each.alias.empty()) continue;
    const TensorPlan* const aliased = plan.find(each.alias.c_str());
    if (aliased == nullptr || aliased->mode != IoMode::Input || aliased->type != each.type) {
      refuse("output " + each.name + " is an alias of what is no input of its type");
    }
  }
  for (const json& each : object.at("layers")) plan.layers.push_back(read_layer(each, plan));
  return plan;
}

}  // namespace

Dims dims_of(const Shape& shape) {
  Dims dims;
  dims.count = static_cast<std::int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.sizes.begin());
  return dims;
}

std::string text_of(const Shape& shape) {
  std::string text = "[";
  for (const std::int64_t each : shape) text += (text.size() > 1 ? "," : "") + std::to_string(each);
  return text + "]";
}

bool is_known(const Shape& shape) {
  return std::all_of(shape.begin(), shape.end(), [](std::int64_t each) { return each >= 0; });
}

std::int64_t count_of(const Shape& shape) {
  std::int64_t count = 1;
  for (const std::int64_t each : shape) count *= each;
  return count;
}

std::int64_t bytes_of(DataType type) {
  switch (type) {
    case DataType::Int8:
    case DataType::Bool: return 1;
    case DataType::Half:
    case DataType::BFloat16: return 2;
    case DataType::Int64: return 8;
    default: return 4;
  }
}

const TensorPlan* Plan::find(const char* tensor) const {
  for (const TensorPlan& each : tensors) {
    if (tensor != nullptr && each.mode != IoMode::None && each.name == tensor) return &each;
  }
  return nullptr;
}

std::size_t Plan::io_count() const {
  return static_cast<std::size_t>(std::count_if(
      tensors.begin(), tensors.end(), [](const TensorPlan& each) { return each.mode != IoMode::None; }));
}

Plan read_plan(std::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    refuse("the magic tag is not that of an engine: it was built by something else, or is damaged");
  }
  try {
    Plan plan = read_members(json::parse(bytes.substr(kMagic.size())));
    plan.text = bytes;
    return plan;
  } catch (const json::exception& error) {
    refuse(std::string("the plan is damaged: ") + error.what());
  }
}

}  // namespace penstock::trt_double
