#include "package/call_spec.hpp"

#include "base/fail.hpp"
#include "package/json_reader.hpp"

#include <nlohmann/json.hpp>

#include <optional>
#include <utility>

namespace penstock::package {
namespace {

using nlohmann::json;

// Leaves share the keys above them, so a small spec can state a great many long names.
constexpr std::size_t kMostNameBytes = 4096;
constexpr std::size_t kMostNamesBytes = std::size_t{16} << 20;

[[noreturn]] void wrong_form(std::string_view reason) {
  base::fail(ErrorCode::Corrupt, "the call spec {}; export the package again", reason);
}

const json& children_of(const json& node) {
  const auto children = node.is_object() ? node.find("children_spec") : node.end();
  if (children == node.end() || !children->is_array()) wrong_form("has a node without children_spec");
  return *children;
}

/// Keys of a dict node, in the order of its children; nothing for other nodes.
std::optional<std::vector<std::string>> keys_of(const json& node) {
  const auto type = node.find("type");
  if (type == node.end()) wrong_form("has a node without type");
  if (!type->is_string() || type->get_ref<const std::string&>().find("ict") == std::string::npos) {
    return std::nullopt;  // Not dict, OrderedDict, defaultdict, immutable_dict.
  }
  const auto context = node.find("context");
  if (context == node.end() || !context->is_string()) return std::nullopt;
  json keys = parse_json(context->get_ref<const std::string&>(), "call spec");
  if (keys.is_object() && keys.contains("dict_context")) keys = json(keys["dict_context"]);
  if (!keys.is_array() || keys.size() != children_of(node).size()) wrong_form("has a dict with other keys");
  std::vector<std::string> names;
  for (const json& key : keys) names.push_back(key.is_string() ? key.get<std::string>() : key.dump());
  return names;
}

class Namer {
 public:
  explicit Namer(std::size_t leaf_count) : leaf_count_(leaf_count) {}

  /// The depth is what parse_json lets through.
  void visit(const json& node, const std::string& name, bool is_named) {
    // With one too many none is named, so no more are looked for.
    if (names_.size() > leaf_count_) return;
    const json& children = children_of(node);
    const auto keys = keys_of(node);
    if (node["type"].is_null()) {
      if (!children.empty()) wrong_form("has a leaf with children");
      names_bytes_ += name.size();
      names_.push_back(names_bytes_ > kMostNamesBytes ? std::string() : name);
      return;
    }
    for (std::size_t i = 0; i < children.size(); ++i) {
      if (names_.size() > leaf_count_) return;
      const std::string part = !is_named ? std::string() : keys ? (*keys)[i] : std::to_string(i);
      const bool fits = name.size() + part.size() < kMostNameBytes;
      visit(children[i], !fits ? std::string() : name.empty() ? part : name + "." + part, is_named && fits);
    }
  }

  std::vector<std::string> take() {
    if (names_.size() < leaf_count_) wrong_form("has fewer leaves than the model has inputs");
    // Those that are no tensors were built in, and nothing says which they are.
    if (names_.size() > leaf_count_) names_.assign(leaf_count_, {});
    return std::move(names_);
  }

 private:
  std::size_t leaf_count_;
  std::size_t names_bytes_ = 0;
  std::vector<std::string> names_;
};

}  // namespace

std::vector<std::string> keyword_names(std::string_view in_spec_json, std::size_t leaf_count) {
  const json spec = parse_json(in_spec_json, "call spec");
  if (!spec.is_array() || spec.size() != 2 || spec[0] != 1) wrong_form("is not of version 1");
  const json& call = children_of(spec[1]);
  if (call.size() != 2) wrong_form("is not a pair of positional and keyword arguments");
  Namer namer(leaf_count);
  namer.visit(call[0], {}, false);
  namer.visit(call[1], {}, true);
  return namer.take();
}

}  // namespace penstock::package
