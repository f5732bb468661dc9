#include "package/extern_nodes.hpp"

#include "base/fail.hpp"
#include "package/json_reader.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace penstock::package {
namespace {

using nlohmann::json;

constexpr std::string_view kClasses = "__torch__.torch.classes.";

struct Key {
  std::string_view name;
  NodeValueKind kind;
};

constexpr std::array kKeys = {
    Key{"as_none", NodeValueKind::None},          Key{"as_tensor", NodeValueKind::Tensor},
    Key{"as_tensors", NodeValueKind::Tensors},    Key{"as_optional_tensors", NodeValueKind::OptionalTensors},
    Key{"as_int", NodeValueKind::Integer},        Key{"as_ints", NodeValueKind::Integers},
    Key{"as_sym_int", NodeValueKind::SymInteger}, Key{"as_sym_ints", NodeValueKind::SymIntegers},
    Key{"as_float", NodeValueKind::Number},       Key{"as_floats", NodeValueKind::Numbers},
    Key{"as_bool", NodeValueKind::Bool},          Key{"as_bools", NodeValueKind::Bools},
    Key{"as_string", NodeValueKind::Text},        Key{"as_strings", NodeValueKind::Texts},
    Key{"as_scalar_type", NodeValueKind::DType},  Key{"as_memory_format", NodeValueKind::MemoryFormat},
    Key{"as_layout", NodeValueKind::Layout},      Key{"as_device", NodeValueKind::Device},
    Key{"as_custom_obj", NodeValueKind::Object},  Key{"as_optional_tensor", NodeValueKind::OptionalTensor},
};

struct Number {
  std::int64_t in_file;
  std::int64_t in_torch;
};

// The numbers of torch/_export/serde/schema.py and those of c10.
constexpr std::array kDTypes = {
    Number{1, 0},   Number{2, 1},   Number{3, 2},   Number{4, 3},   Number{5, 4},   Number{6, 5},
    Number{7, 6},   Number{8, 7},   Number{9, 8},   Number{10, 9},  Number{11, 10}, Number{12, 11},
    Number{13, 15}, Number{28, 27}, Number{29, 24}, Number{30, 23}, Number{31, 26}, Number{32, 25},
    Number{33, 44}, Number{34, 28}, Number{35, 29},
};
constexpr std::array kMemoryFormats = {Number{1, 0}, Number{2, 2}, Number{3, 3}, Number{4, 1}};
constexpr std::array kLayouts = {Number{1, 1}, Number{2, 2}, Number{3, 4}, Number{4, 5},
                                 Number{5, 6}, Number{6, 3}, Number{7, 0}};

/// Reads one call.
class NodeReader {
 public:
  NodeReader(std::string_view what, std::size_t index) : what_(what), index_(index) {}

  ExternNode read(const json& entry) {
    const json& node = member(entry, "node");
    ExternNode result;
    result.target = text(member(node, "target"));
    target_ = result.target;
    for (const json& input : list(member(node, "inputs"))) {
      result.inputs.push_back(read_value(member(input, "arg")));
      result.inputs.back().name = text(member(input, "name"));
    }
    for (const json& output : list(member(node, "outputs"))) result.outputs.push_back(read_value(output));
    return result;
  }

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: call {}{}{} {}; export the package again", what_, index_,
               target_.empty() ? "" : ", ", target_, fmt::format(format, std::forward<Args>(args)...));
  }

  [[nodiscard]] const json& member(const json& object, const char* name) const {
    const auto found = object.is_object() ? object.find(name) : object.end();
    if (!object.is_object() || found == object.end()) corrupt("has no \"{}\"", name);
    return *found;
  }
  [[nodiscard]] const json& list(const json& value) const {
    if (!value.is_array()) corrupt("has something else where a list belongs");
    return value;
  }
  [[nodiscard]] std::string text(const json& value) const {
    if (!value.is_string()) corrupt("has something else where a text belongs");
    return value.get<std::string>();
  }
  [[nodiscard]] std::int64_t integer(const json& value) const {
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX))
      corrupt("has something else where an integer belongs");
    return value.get<std::int64_t>();
  }

  [[nodiscard]] Value number(const json& value) const {
    // Python writes what is no number as a name.
    if (value.is_string()) {
      const auto name = value.get<std::string>();
      if (name == "NaN") return Value(std::numeric_limits<double>::quiet_NaN());
      if (name == "Infinity") return Value(std::numeric_limits<double>::infinity());
      if (name == "-Infinity") return Value(-std::numeric_limits<double>::infinity());
    }
    if (!value.is_number()) corrupt("has something else where a number belongs");
    return Value(value.get<double>());
  }
  [[nodiscard]] Value boolean(const json& value) const {
    if (!value.is_boolean()) corrupt("has something else where true or false belongs");
    return Value(value.get<bool>());
  }

  template <class Read>
  [[nodiscard]] Value each(const json& values, Read&& read) const {
    std::vector<Value> items;
    for (const json& value : list(values)) items.push_back(read(value));
    return Value::list(std::move(items));
  }

  [[nodiscard]] std::int64_t translated(const json& value, std::span<const Number> numbers,
                                        std::string_view name) const {
    const std::int64_t given = integer(value);
    const auto found = std::ranges::find(numbers, given, &Number::in_file);
    if (found == numbers.end()) corrupt("has {} number {}, which is not known", name, given);
    return found->in_torch;
  }

  [[nodiscard]] Value device(const json& value) const {
    std::string name = text(member(value, "type"));
    const auto index = value.find("index");
    if (index != value.end() && !index->is_null()) name += ":" + std::to_string(integer(*index));
    try {
      return Value(device_from_string(name == "cpu:0" ? "cpu" : name));
    } catch (const Error&) {
      corrupt("names the device \"{}\"", name);
    }
  }

  void read_object(const json& value, NodeValue& result) const {
    result.object = text(member(value, "name"));
    result.class_name = short_class_name(text(member(value, "class_fqn")));
  }

  /// The one key and what it stands for, of a union as PyTorch writes it.
  [[nodiscard]] std::pair<std::string, const json*> only(const json& value) const {
    if (!value.is_object() || value.size() != 1) corrupt("has a value without a kind");
    return {value.begin().key(), &value.begin().value()};
  }

  [[nodiscard]] bool is_there(const json& value) const {
    const std::string key = only(value).first;
    if (key != "as_tensor" && key != "as_none") corrupt("has {} where a tensor or none belongs", key);
    return key == "as_tensor";
  }

  [[nodiscard]] NodeValue read_value(const json& entry) const {
    const auto [key, content] = only(entry);
    const json& value = *content;
    NodeValue result;
    result.key = key;
    const auto known = std::ranges::find(kKeys, std::string_view(key), &Key::name);
    result.kind = known == kKeys.end() ? NodeValueKind::Unknown : known->kind;
    switch (result.kind) {
      case NodeValueKind::None:
      case NodeValueKind::Tensor:
      case NodeValueKind::SymInteger:
      case NodeValueKind::Unknown: break;
      case NodeValueKind::Tensors:
      case NodeValueKind::SymIntegers: result.present.assign(list(value).size(), true); break;
      case NodeValueKind::OptionalTensors:
        for (const json& item : list(value)) result.present.push_back(is_there(item));
        break;
      case NodeValueKind::OptionalTensor: result.present = {is_there(value)}; break;
      case NodeValueKind::Object: read_object(value, result); break;
      default: result.value = read_constant(result.kind, value);
    }
    return result;
  }

  [[nodiscard]] Value read_constant(NodeValueKind kind, const json& value) const {
    switch (kind) {
      case NodeValueKind::Integer: return Value(integer(value));
      case NodeValueKind::Integers:
        return each(value, [this](const json& item) { return Value(integer(item)); });
      case NodeValueKind::Number: return number(value);
      case NodeValueKind::Numbers: return each(value, [this](const json& item) { return number(item); });
      case NodeValueKind::Bool: return boolean(value);
      case NodeValueKind::Bools: return each(value, [this](const json& item) { return boolean(item); });
      case NodeValueKind::Text: return Value(std::string_view(text(value)));
      case NodeValueKind::Texts:
        return each(value, [this](const json& item) { return Value(std::string_view(text(item))); });
      case NodeValueKind::DType: return Value(static_cast<DType>(translated(value, kDTypes, "dtype")));
      case NodeValueKind::MemoryFormat: return Value(translated(value, kMemoryFormats, "memory format"));
      case NodeValueKind::Layout: return Value(translated(value, kLayouts, "layout"));
      case NodeValueKind::Device: return device(value);
      default: return {};
    }
  }

  std::string_view what_;
  std::size_t index_;
  std::string target_;
};

}  // namespace

std::string short_class_name(std::string_view name) {
  if (name.starts_with(kClasses)) name.remove_prefix(kClasses.size());
  return std::string(name);
}

std::vector<ExternNode> read_extern_nodes(std::string_view text, std::string_view what) {
  const json parsed = parse_json(text, what);
  const auto nodes = parsed.is_object() ? parsed.find("nodes") : parsed.end();
  if (!parsed.is_object() || nodes == parsed.end() || !nodes->is_array()) {
    base::fail(ErrorCode::Corrupt, "{}: has no list of calls (\"nodes\"); export the package again", what);
  }
  std::vector<ExternNode> result;
  for (const json& node : *nodes) result.push_back(NodeReader(what, result.size()).read(node));
  return result;
}

std::vector<ExternNode> read_extern_nodes(const Archive& archive, const std::string& entry) {
  constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20;
  if (entry.empty()) return {};
  return read_extern_nodes(archive.read_text(entry, kMostBytes), archive.name() + ": " + entry);
}

}  // namespace penstock::package
