#include "package/call_places.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::package::test {
namespace {

using Places = std::vector<std::string>;

const std::string kLeaf = R"({"type": null, "context": null, "children_spec": []})";

/// A node of one type; `context` is JSON.
std::string node(const std::string& type, const std::string& context, const std::string& children) {
  return R"({"type": ")" + type + R"(", "context": )" + context + R"(, "children_spec": [)" + children + "]}";
}

std::string outputs(const std::string& tree) { return "[1, " + tree + "]"; }

std::string nested(const std::string& open, const std::string& close, int levels) {
  std::string text;
  for (int i = 0; i < levels; ++i) text += open;
  for (int i = 0; i < levels; ++i) text += close;
  return text;
}

std::string repeated(const std::string& part, std::size_t count) {
  std::string text = part;
  for (std::size_t i = 1; i < count; ++i) text += "," + part;
  return text;
}

TEST(CallPlaces, NamesLeavesByPositionsAndKeys) {
  const std::string dict = node("builtins.dict", R"("[\"ids\", 3]")", kLeaf + "," + kLeaf);
  const std::string args = node("builtins.tuple", R"("null")", kLeaf + "," + dict);
  const std::string kwargs = node("builtins.dict", R"("[\"k\"]")", dict);
  const std::string call = outputs(node("builtins.tuple", R"("null")", args + "," + kwargs));
  EXPECT_EQ(call_places(call, 5, CallSide::Inputs),
            (Places{"", "args[1]['ids']", "args[1][3]", "kwargs['k']['ids']", "kwargs['k'][3]"}));
  EXPECT_EQ(call_places(outputs(dict), 2, CallSide::Outputs), (Places{"out['ids']", "out[3]"}));
  EXPECT_EQ(call_places(outputs(dict), 1, CallSide::Outputs), Places{});
  EXPECT_EQ(call_places(outputs(dict), 3, CallSide::Outputs), Places{});
  EXPECT_EQ(call_places("", 0, CallSide::Outputs), Places{});
}

TEST(CallPlaces, TakesWhatIsNoTextOfKeysForPositions) {
  for (const char* context : {R"("no JSON")", R"("{\"a\": 1, \"a\": 2}")", "3", R"("[\"a\", \"b\"]")"}) {
    EXPECT_EQ(call_places(outputs(node("builtins.dict", context, kLeaf)), 1, CallSide::Outputs),
              Places{"out[0]"})
        << context;
  }
}

TEST(CallPlaces, TakesNoStackForWhatIsNestedDeeply) {
  constexpr int kLevels = 300'000;
  const std::string deep = nested("[", "]", kLevels);
  EXPECT_EQ(call_places(outputs(node("builtins.dict", "\"" + deep + "\"", kLeaf)), 1, CallSide::Outputs),
            Places{"out[0]"});
  EXPECT_EQ(call_places(outputs(node("builtins.dict", deep, kLeaf)), 1, CallSide::Outputs), Places{});
  EXPECT_EQ(call_places(deep, 1, CallSide::Outputs), Places{});
}

TEST(CallPlaces, MultipliesNoLongKeys) {
  const std::string key(100'000, 'k');
  const std::string list = node("builtins.list", R"("null")", repeated(kLeaf, 20'000));
  const std::string spec = outputs(node("builtins.dict", R"("[\")" + key + R"(\"]")", list));
  EXPECT_EQ(call_places(spec, 20'000, CallSide::Outputs), Places{});
  const std::string shorter(4'000, 'k');
  const std::string many = outputs(node("builtins.dict", R"("[\")" + shorter + R"(\"]")", list));
  EXPECT_EQ(call_places(many, 20'000, CallSide::Outputs), Places{});
}

}  // namespace
}  // namespace penstock::package::test
