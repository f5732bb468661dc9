#include "package/call_spec.hpp"

#include "package_builder.hpp"

namespace penstock::package::test {
namespace {

const std::string kLeaf = R"({"type": null, "context": null, "children_spec": []})";

std::string node(const std::string& type, const std::string& context, const std::string& children) {
  return R"({"type": ")" + type + R"(", "context": ")" + context + R"(", "children_spec": [)" + children +
         "]}";
}

std::string call(const std::string& args, const std::string& kwargs) {
  return "[1, " + node("builtins.tuple", "null", args + ", " + kwargs) + "]";
}

const std::string kNoArgs = node("builtins.tuple", "null", "");

TEST(CallSpec, NamesKeywordsAndNotPositions) {
  const std::string list = node("builtins.list", "null", kLeaf + "," + kLeaf);
  const std::string opts = node("builtins.dict", R"([\"k\", \"m\"])", kLeaf + "," + list);
  const std::string kwargs = node("builtins.dict", R"([\"scale\", \"opts\"])", kLeaf + "," + opts);
  const std::string args =
      node("builtins.tuple", "null", kLeaf + "," + node("builtins.dict", R"([\"x\"])", kLeaf));
  EXPECT_EQ(keyword_names(call(args, kwargs), 6),
            (std::vector<std::string>{"", "", "scale", "opts.k", "opts.m.0", "opts.m.1"}));
}

TEST(CallSpec, NamesOtherKindsOfDicts) {
  const std::string context = R"({\"default_factory_name\": \"list\", \"dict_context\": [1, \"b\"]})";
  const std::string kwargs =
      node("builtins.dict", R"([\"d\"])", node("collections.defaultdict", context, kLeaf + "," + kLeaf));
  EXPECT_EQ(keyword_names(call(kNoArgs, kwargs), 2), (std::vector<std::string>{"d.1", "d.b"}));
}

TEST(CallSpec, NamesNothingWhereSomeLeavesAreNoInputs) {
  const std::string kwargs = node("builtins.dict", R"([\"image\", \"is_training\"])", kLeaf + "," + kLeaf);
  EXPECT_EQ(keyword_names(call(kNoArgs, kwargs), 1), std::vector<std::string>{""});
}

TEST(CallSpec, MultipliesNoLongKeys) {
  constexpr std::size_t kLeaves = 20'000;
  std::string leaves = kLeaf;
  for (std::size_t i = 1; i < kLeaves; ++i) leaves += "," + kLeaf;
  const auto spec = [&](std::size_t key_bytes) {
    const std::string key(key_bytes, 'k');
    const std::string list = node("builtins.list", "null", leaves);
    return call(kNoArgs, node("builtins.dict", R"([\")" + key + R"(\"])", list));
  };
  const std::vector<std::string> none(kLeaves);
  EXPECT_EQ(keyword_names(spec(100'000), kLeaves), none);
  EXPECT_EQ(keyword_names(spec(100'000), 1), std::vector<std::string>(1));
  // Each of them is short enough, but not all together.
  const std::vector<std::string> names = keyword_names(spec(4'000), kLeaves);
  EXPECT_EQ(names.front(), std::string(4'000, 'k') + ".0");
  EXPECT_EQ(names.back(), "");
  std::size_t bytes = 0;
  for (const std::string& name : names) bytes += name.size();
  EXPECT_LE(bytes, std::size_t{16} << 20);
}

TEST(CallSpec, RefusesOtherForms) {
  const auto refused = [](const std::string& text, std::size_t leaves, std::string_view words) {
    expect_error(ErrorCode::Corrupt, words, [&] { keyword_names(text, leaves); });
  };
  const std::string kwargs = node("builtins.dict", R"([\"a\"])", kLeaf);
  refused(call(kNoArgs, kwargs), 2, "fewer leaves");
  refused("[2, {}]", 0, "version 1");
  refused("[1, {}]", 0, "children_spec");
  refused("[1, " + kLeaf + "]", 0, "pair");
  refused("{", 0, "not valid JSON");
  refused(call(kNoArgs, node("builtins.dict", R"([\"a\", \"b\"])", kLeaf)), 1, "other keys");
  refused(call(kNoArgs, node("builtins.dict", "{", kLeaf)), 1, "not valid JSON");
  refused(call(kNoArgs, R"({"type": null, "children_spec": [{"type": null, "children_spec": []}]})"), 1,
          "leaf");
  refused(call(kNoArgs, R"({"children_spec": []})"), 0, "without type");
  refused(call("3", "4"), 0, "children_spec");
  std::string deep = kLeaf;
  for (int i = 0; i < 100; ++i) deep = node("builtins.list", "null", deep);
  refused(call(kNoArgs, deep), 1, "deeper than 64");
}

}  // namespace
}  // namespace penstock::package::test
