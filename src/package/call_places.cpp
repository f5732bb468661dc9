#include "package/call_places.hpp"

#include "package/json_reader.hpp"

#include <penstock/error.hpp>

#include <nlohmann/json.hpp>

#include <utility>

namespace penstock::package {
namespace {

using nlohmann::json;

// Leaves share the keys above them, so a small spec can state a great many long places.
constexpr std::size_t kMostPlaceBytes = 4096;
constexpr std::size_t kMostPlacesBytes = std::size_t{16} << 20;

/// Null where a text is no JSON, or is deeper or has more in it than any call.
json read_json(std::string_view text) {
  try {
    return parse_json(text, "call spec");
  } catch (const Error&) {
    return {};
  }
}

/// Of a dict, one a child; nothing for other containers, and for what cannot be read.
std::vector<std::string> keys_of(const json& node, std::size_t count) {
  const auto context = node.find("context");
  if (context == node.end()) return {};
  json keys = context->is_string() ? read_json(context->get_ref<const std::string&>()) : *context;
  if (keys.is_object() && keys.contains("dict_context")) keys = json(keys["dict_context"]);
  if (!keys.is_array() || keys.size() != count) return {};
  std::vector<std::string> texts;
  for (const json& key : keys)
    texts.push_back(key.is_string() ? "'" + key.get<std::string>() + "'" : key.dump());
  return texts;
}

class Places {
 public:
  explicit Places(std::size_t most) : most_(most) {}

  /// False where the spec is of another form or goes beyond a bound. `named` counts the levels that tell more
  /// than a position does. The depth is what parse_json lets through.
  bool visit(const json& node, const std::string& place, int named) {
    if (place.size() > kMostPlaceBytes || !node.is_object()) return false;
    const auto type = node.find("type");
    const auto children = node.find("children_spec");
    if (type == node.end() || children == node.end() || !children->is_array()) return false;
    if (type->is_null()) return add(named > 0 ? place : std::string());
    const std::vector<std::string> keys = keys_of(node, children->size());
    for (std::size_t i = 0; i < children->size(); ++i) {
      const std::string part = keys.empty() ? std::to_string(i) : keys[i];
      if (!visit((*children)[i], place + "[" + part + "]", named + 1)) return false;
    }
    return true;
  }
  std::vector<std::string> take() { return std::move(places_); }

 private:
  bool add(std::string place) {
    if (places_.size() == most_ || (bytes_ += place.size()) > kMostPlacesBytes) return false;
    places_.push_back(std::move(place));
    return true;
  }

  std::size_t most_;
  std::size_t bytes_ = 0;
  std::vector<std::string> places_;
};

}  // namespace

std::vector<std::string> call_places(std::string_view text, std::size_t leaf_count, CallSide side) {
  if (text.empty()) return {};
  const json spec = read_json(text);
  if (!spec.is_array() || spec.size() != 2 || !spec[1].is_object()) return {};
  Places places(leaf_count);
  if (side == CallSide::Outputs) {
    // A tuple of outputs is what their numbers tell.
    const bool is_tuple = spec[1].value("type", json()) == json("builtins.tuple");
    if (!places.visit(spec[1], "out", is_tuple ? -1 : 0)) return {};
  } else {
    const auto call = spec[1].find("children_spec");
    if (call == spec[1].end() || !call->is_array() || call->size() != 2) return {};
    if (!places.visit((*call)[0], "args", -1) || !places.visit((*call)[1], "kwargs", -1)) return {};
  }
  std::vector<std::string> found = places.take();
  return found.size() == leaf_count ? found : std::vector<std::string>();
}

}  // namespace penstock::package
