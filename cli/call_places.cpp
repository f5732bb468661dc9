#include "call_places.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace penstock::cli {
namespace {

using nlohmann::json;

constexpr int kMostDepth = 64;

/// Of a dict, one a child; nothing for other containers, and for what cannot be read.
std::vector<std::string> keys_of(const json& node, std::size_t count) {
  const auto context = node.find("context");
  if (context == node.end()) return {};
  json keys =
      context->is_string() ? json::parse(context->get_ref<const std::string&>(), nullptr, false) : *context;
  if (keys.is_object() && keys.contains("dict_context")) keys = json(keys["dict_context"]);
  if (!keys.is_array() || keys.size() != count) return {};
  std::vector<std::string> texts;
  for (const json& key : keys)
    texts.push_back(key.is_string() ? "'" + key.get<std::string>() + "'" : key.dump());
  return texts;
}

class Places {
 public:
  /// False where the spec is of another form. `named` counts the levels that tell more than a position does.
  bool visit(const json& node, const std::string& place, int depth, int named) {
    if (depth > kMostDepth || !node.is_object()) return false;
    const auto type = node.find("type");
    const auto children = node.find("children_spec");
    if (type == node.end() || children == node.end() || !children->is_array()) return false;
    if (type->is_null()) {
      places_.push_back(named > 0 ? place : std::string());
      return true;
    }
    const std::vector<std::string> keys = keys_of(node, children->size());
    for (std::size_t i = 0; i < children->size(); ++i) {
      const std::string part = keys.empty() ? std::to_string(i) : keys[i];
      if (!visit((*children)[i], place + "[" + part + "]", depth + 1, named + 1)) return false;
    }
    return true;
  }
  std::vector<std::string> take() { return std::move(places_); }

 private:
  std::vector<std::string> places_;
};

}  // namespace

std::vector<std::string> call_places(std::string_view text, std::size_t leaf_count, bool is_input) {
  const json spec = json::parse(text, nullptr, false);
  if (!spec.is_array() || spec.size() != 2 || !spec[1].is_object()) return {};
  Places places;
  if (!is_input) {
    // A tuple of outputs is what their numbers tell.
    const bool is_tuple = spec[1].value("type", json()) == json("builtins.tuple");
    if (!places.visit(spec[1], "out", 0, is_tuple ? -1 : 0)) return {};
  } else {
    const auto call = spec[1].find("children_spec");
    if (call == spec[1].end() || !call->is_array() || call->size() != 2) return {};
    if (!places.visit((*call)[0], "args", 0, -1) || !places.visit((*call)[1], "kwargs", 0, -1)) return {};
  }
  std::vector<std::string> found = places.take();
  return found.size() == leaf_count ? found : std::vector<std::string>();
}

}  // namespace penstock::cli
