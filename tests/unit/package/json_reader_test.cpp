#include "package/json_reader.hpp"

#include "package_builder.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace penstock::package {
namespace {

std::string repeated(const std::string& part, std::size_t count) {
  std::string text;
  text.reserve(part.size() * count);
  for (std::size_t i = 0; i < count; ++i) text += part;
  return text;
}

void expect_refused(const std::string& text, const std::string& words) {
  test::expect_error(ErrorCode::Corrupt, words, [&] { parse_json(text, "x.pt2: y.json"); });
}

TEST(JsonReader, MakesWhatTheTextSays) {
  const nlohmann::json json = parse_json(R"({"a": [1, -2, 0.5, true, null, "b"], "c": {"a": {}}})", "text");
  EXPECT_EQ(json["a"][1], -2);
  EXPECT_EQ(json["a"].size(), 6U);
  EXPECT_TRUE(json["c"]["a"].is_object());
}

TEST(JsonReader, NamesTheTextAndWhatIsWrong) {
  expect_refused("{\"a\": ", "x.pt2: y.json: not valid JSON");
  expect_refused("{} {}", "not valid JSON");
  expect_refused(R"({"a": 1, "b": {"a": 2, "a": 3}})", "the key \"a\" is there twice");
}

TEST(JsonReader, RepeatsNoMoreOfAKeyThanCanBeRead) {
  const std::string key(100'000, 'k');
  try {
    (void)parse_json("{\"" + key + "\": 1, \"" + key + "\": 2}", "text");
    ADD_FAILURE() << "was read";
  } catch (const Error& error) {
    EXPECT_LT(std::string_view(error.what()).size(), 1000U);
  }
}

TEST(JsonReader, IsBoundedInDepth) {
  EXPECT_TRUE(parse_json(repeated("[", 64) + repeated("]", 64), "text").is_array());
  expect_refused(repeated("[", 65) + repeated("]", 65), "deeper than 64 levels");
  expect_refused(repeated("{\"a\":", 100'000), "deeper than 64 levels");
}

// Looking through what is there already at the end of each would take minutes.
TEST(JsonReader, ReadsManyObjectsBesideEachOther) {
  const std::size_t count = 1'000'000;
  EXPECT_EQ(parse_json("[" + repeated("{},", count - 1) + "{}]", "text").size(), count);
}

TEST(JsonReader, IsBoundedInValues) {
  expect_refused("[" + repeated("0,", 2'097'152) + "0]", "more than 2097152 values");
}

}  // namespace
}  // namespace penstock::package
