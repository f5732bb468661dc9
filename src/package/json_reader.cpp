#include "package/json_reader.hpp"

#include "base/fail.hpp"

#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <vector>

namespace penstock::package {

namespace {
constexpr int kMaxDepth = 64;
}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view what) {
  using nlohmann::json;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  const auto check = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) {
      base::fail(ErrorCode::Corrupt, "{}: JSON nested deeper than {} levels; export the package again", what,
                 kMaxDepth);
    }
    if (event == json::parse_event_t::object_start) keys.emplace_back();
    if (event == json::parse_event_t::object_end) keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second) {
      base::fail(ErrorCode::Corrupt, "{}: the key \"{}\" is there twice; export the package again", what,
                 parsed.get<std::string>());
    }
    return true;
  };
  try {
    return json::parse(text.begin(), text.end(), check);
  } catch (const json::exception& error) {
    base::fail(ErrorCode::Corrupt, "{}: not valid JSON: {}; export the package again", what, error.what());
  }
}

}  // namespace penstock::package
