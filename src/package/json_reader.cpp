#include "package/json_reader.hpp"

#include "base/fail.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <set>
#include <string>
#include <vector>

namespace penstock::package {
namespace {

using nlohmann::json;

constexpr std::size_t kMostDepth = 64;
constexpr std::size_t kMostShownBytes = 200;  // of a key, in a message
constexpr std::size_t kMostValues = std::size_t{1} << 21;

/// Sees that a text keeps to the bounds before anything is made of it. json::parse with a callback would do
/// that meanwhile, but looks through all values of an object or array each time that one in it ends.
class Bounds final : public nlohmann::json_sax<json> {
 public:
  explicit Bounds(std::string_view what) : what_(what) {}

  bool null() override { return count(); }
  bool boolean(bool) override { return count(); }
  bool number_integer(number_integer_t) override { return count(); }
  bool number_unsigned(number_unsigned_t) override { return count(); }
  bool number_float(number_float_t, const string_t&) override { return count(); }
  bool string(string_t&) override { return count(); }
  bool binary(binary_t&) override { return count(); }
  bool start_object(std::size_t) override { return enter(); }
  bool start_array(std::size_t) override { return enter(); }
  bool end_object() override { return leave(); }
  bool end_array() override { return leave(); }
  bool key(string_t& name) override {
    if (open_.back().insert(name).second) return true;
    base::fail(ErrorCode::Corrupt, "{}: the key \"{}\" is there twice; export the package again", what_,
               std::string_view(name).substr(0, kMostShownBytes));
  }
  /// The parser that makes values comes to the same place, and says what is wrong there.
  bool parse_error(std::size_t, const std::string&, const json::exception&) override { return false; }

 private:
  bool count() {
    if (++values_ > kMostValues) {
      base::fail(ErrorCode::Corrupt, "{}: JSON with more than {} values; export the package again", what_,
                 kMostValues);
    }
    return true;
  }
  bool enter() {
    if (open_.size() == kMostDepth) {
      base::fail(ErrorCode::Corrupt, "{}: JSON nested deeper than {} levels; export the package again", what_,
                 kMostDepth);
    }
    open_.emplace_back();
    return count();
  }
  bool leave() {
    open_.pop_back();
    return true;
  }

  std::string_view what_;
  std::vector<std::set<std::string>> open_;  ///< The keys of the objects and arrays that are open.
  std::size_t values_ = 0;
};

}  // namespace

json parse_json(std::string_view text, std::string_view what) {
  Bounds bounds(what);
  try {
    json::sax_parse(text.begin(), text.end(), &bounds);
    return json::parse(text.begin(), text.end());
  } catch (const json::exception& error) {
    base::fail(ErrorCode::Corrupt, "{}: not valid JSON: {}; export the package again", what, error.what());
  }
}

}  // namespace penstock::package
