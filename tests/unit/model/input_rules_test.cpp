#include "model/input_rules.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace penstock::model {
namespace {

using Sizes = std::vector<std::int64_t>;

alignas(64) std::array<std::byte, 65536> memory;

TensorView view(const Sizes& sizes, const Sizes& strides, DType dtype = DType::Float32,
                std::size_t bytes = 0) {
  return TensorView(memory.data(), dtype, sizes, strides, bytes);
}

TensorView view(const Sizes& sizes, DType dtype = DType::Float32) {
  return TensorView(memory.data(), dtype, sizes);
}

InputRule row_major(std::vector<DimRule> dims, DType dtype = DType::Float32) {
  InputRule rule;
  rule.dtype = dtype;
  rule.strides.assign(dims.size(), kStrideFollows);
  for (std::size_t dim = dims.size(); dim-- > 0;) rule.order.push_back(dim);
  rule.dims = std::move(dims);
  return rule;
}

DimRule fixed(std::int64_t size) { return {.min = size, .max = size}; }

DimRule symbol(int number, std::int64_t min = 0, std::int64_t max = INT64_MAX) {
  return {.min = min, .max = max, .symbol = number};
}

InputRules make(std::vector<InputRule> rules) {
  std::vector<TensorSpec> specs;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    TensorSpec spec;
    spec.name = "arg" + std::to_string(i);
    spec.keyword = i == 1 ? "mask" : "";
    spec.dtype = rules[i].dtype;
    for (const DimRule& dim : rules[i].dims) spec.dims.push_back({dim.min, dim.max, ""});
    spec.strides = rules[i].strides;
    specs.push_back(spec);
  }
  return InputRules(std::move(rules), std::move(specs), "model.pt2");
}

void expect_refused(const InputRules& rules, const std::vector<TensorView>& inputs,
                    const std::vector<std::string>& parts) {
  try {
    rules.check(inputs);
    ADD_FAILURE() << "was accepted, but should be refused: " << parts.back();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_TRUE(std::string_view(error.what()).starts_with("model.pt2")) << error.what();
    for (const std::string& part : parts) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos)
          << "no \"" << part << "\" in: " << error.what();
    }
  }
}

TEST(InputRules, RefuseAnotherCount) {
  const InputRules rules = make({row_major({fixed(4)})});
  expect_refused(rules, {}, {"takes 1 inputs, 0 were given", "float32[4]"});
  expect_refused(rules, {view({4}), view({4})}, {"takes 1 inputs, 2 were given"});
  EXPECT_NO_THROW(make({}).check({}));
  expect_refused(make({}), {view({4})}, {"takes 0 inputs, 1 were given"});
}

TEST(InputRules, RefuseDtypeRankAndDevice) {
  const InputRules rules = make({row_major({fixed(4)}), row_major({fixed(4)}, DType::Bool)});
  expect_refused(rules, {view({4}), view({4})},
                 {"arg1 (mask)", "float32[4]", "bool[4]", "dtype is float32, not bool"});
  expect_refused(rules, {view({4, 1}), view({4}, DType::Bool)}, {"input arg0:", "2 dimensions, not 1"});
  expect_refused(rules, {view({}), view({4}, DType::Bool)}, {"0 dimensions, not 1"});
  const TensorView elsewhere(memory.data(), DType::Float32, {4}, Device{DeviceType::Cuda, 1});
  expect_refused(rules, {elsewhere, view({4}, DType::Bool)}, {"arg0", "on cuda:1, the model on cpu"});
}

TEST(InputRules, RefuseSizesOutOfRange) {
  const InputRules rules = make({row_major({{.min = 2, .max = 5}, fixed(3)})});
  for (const std::int64_t rows : {2, 5}) EXPECT_NO_THROW(rules.check(std::vector{view({rows, 3})}));
  for (const std::int64_t rows : {0, 1, 6, 1000}) {
    expect_refused(
        rules, {view({rows, 3})},
        {"arg0", "dimension 0 is " + std::to_string(rows), "the model takes 2 to 5", "float32[2..5, 3]"});
  }
  expect_refused(rules, {view({2, 4})}, {"dimension 1 is 4, the model takes 3"});
  const InputRules open = make({row_major({{.min = 3}})});
  EXPECT_NO_THROW(open.check(std::vector{view({1000})}));
  expect_refused(open, {view({2})}, {"the model takes at least 3"});
}

TEST(InputRules, RefuseSizesThatDoNotGoTogether) {
  const InputRules rules = make({row_major({symbol(0), symbol(1)}), row_major({symbol(1), symbol(0)})});
  EXPECT_NO_THROW(rules.check(std::vector{view({2, 3}), view({3, 2})}));
  EXPECT_NO_THROW(rules.check(std::vector{view({0, 3}), view({3, 0})}));
  expect_refused(rules, {view({2, 3}), view({2, 3})}, {"arg1", "dimension 0 is 2", "make it 3"});
  expect_refused(rules, {view({2, 3}), view({3, 3})}, {"arg1", "dimension 1 is 3", "make it 2"});
  const InputRules square = make({row_major({symbol(0), symbol(0)})});
  expect_refused(square, {view({2, 3})}, {"arg0", "dimension 1 is 3", "make it 2"});
}

TEST(InputRules, RefuseSizesThatAreNotTheMultipleOfAnother) {
  const DimRule twice_plus_one{.symbol = 0, .scale = 2, .offset = 1};
  const InputRules rules = make({row_major({symbol(0)}), row_major({twice_plus_one})});
  EXPECT_NO_THROW(rules.check(std::vector{view({3}), view({7})}));
  expect_refused(rules, {view({3}), view({6})}, {"arg1", "dimension 0 is 6", "make it 7"});
}

TEST(InputRules, RefuseThemAlsoWhereTheOtherSizeComesLater) {
  const DimRule twice{.symbol = 0, .scale = 2};
  const InputRules rules = make({row_major({twice}), row_major({symbol(0)})});
  EXPECT_NO_THROW(rules.check(std::vector{view({6}), view({3})}));
  expect_refused(rules, {view({7}), view({3})}, {"arg0", "dimension 0 is 7", "make it 6"});
  const InputRules within = make({row_major({twice, symbol(0)})});
  EXPECT_NO_THROW(within.check(std::vector{view({6, 3})}));
  expect_refused(within, {view({5, 3})}, {"arg0", "dimension 0 is 5", "make it 6"});
}

TEST(InputRules, RefuseSizesWhoseMultipleOverflows) {
  const DimRule often{.symbol = 0, .scale = 64, .offset = 0};
  const InputRules rules = make({row_major({symbol(0), fixed(0)}), row_major({often, fixed(0)})});
  expect_refused(rules, {view({INT64_MAX / 2, 0}), view({5, 0})}, {"arg1", "impossible"});
}

TEST(InputRules, RefuseFollowersOfNoOtherSize) {
  DimRule follower;
  follower.follows_some = true;
  const InputRules rules = make({row_major({symbol(0), symbol(1)}), row_major({follower, follower})});
  EXPECT_NO_THROW(rules.check(std::vector{view({6, 9}), view({6, 9})}));
  // Nothing says which is which.
  EXPECT_NO_THROW(rules.check(std::vector{view({6, 9}), view({9, 6})}));
  expect_refused(rules, {view({6, 9}), view({5, 9})},
                 {"arg1", "dimension 0 is 5", "no size of the inputs before it"});
  EXPECT_NO_THROW(rules.check(std::vector{view({6, 9}), view({9, 9})}));
}

TEST(InputRules, TellHowFarAFollowerMayReach) {
  DimRule follower;
  follower.follows_some = true;
  const InputRules rules = make({row_major({symbol(0), symbol(1)}), row_major({follower, follower})});
  const std::vector given{view({2, 3}), view({3, 2})};
  const Latitude latitude = rules.check(given);
  EXPECT_EQ(latitude.largest_followed, 3);
  EXPECT_EQ(latitude.below_two, 0);
  EXPECT_EQ(rules.reach(0, given[0], latitude).from_first, 6 * sizeof(float));
  EXPECT_EQ(rules.reach(1, given[1], latitude).from_first, 9 * sizeof(float));
  EXPECT_EQ(rules.reach(1, given[1], latitude).before, 0);
}

TEST(InputRules, TellHowFarCodeGeneratedForTwoMayReach) {
  DimRule batch = symbol(0);
  batch.assumes_two = true;
  const InputRules rules = make({row_major({batch, fixed(5)}), row_major({fixed(3), batch})});
  EXPECT_TRUE(rules.check(std::vector{view({2, 5}), view({3, 2})}).none());
  const std::vector one{view({1, 5}), view({3, 1})};
  Latitude latitude = rules.check(one);
  EXPECT_EQ(latitude.below_two, 1) << "one size, though two dimensions have it";
  EXPECT_EQ(rules.reach(0, one[0], latitude).before, 5 * sizeof(float));
  EXPECT_EQ(rules.reach(0, one[0], latitude).from_first, 2 * 5 * sizeof(float));
  EXPECT_EQ(rules.reach(1, one[1], latitude).before, 1 * sizeof(float));
  EXPECT_EQ(rules.reach(1, one[1], latitude).from_first, 6 * sizeof(float));
  const std::vector none{view({0, 5}), view({3, 0})};
  latitude = rules.check(none);
  EXPECT_EQ(latitude.below_two, 1);
  EXPECT_EQ(rules.reach(0, none[0], latitude).before, 2 * 5 * sizeof(float));
  EXPECT_EQ(rules.reach(0, none[0], latitude).from_first, 2 * 5 * sizeof(float));
}

TEST(InputRules, TellHowFarCodeMayReachWhereASizeFollowsFromOneOfTwo) {
  DimRule batch = symbol(0);
  batch.assumes_two = true;
  DimRule one_more{.symbol = 0, .scale = 1, .offset = 1};
  one_more.assumes_two = true;
  const InputRules rules = make({row_major({batch, fixed(5)}), row_major({one_more})});
  const std::vector one{view({1, 5}), view({2})};
  const Latitude latitude = rules.check(one);
  EXPECT_EQ(latitude.below_two, 1);
  EXPECT_EQ(rules.reach(1, one[1], latitude).from_first, 3 * sizeof(float));
  EXPECT_EQ(rules.reach(1, one[1], latitude).before, 1 * sizeof(float));
}

TEST(InputRules, RefuseToReachWhereNoMemoryIs) {
  DimRule follower;
  follower.follows_some = true;
  const InputRules rules =
      make({row_major({symbol(0), fixed(0)}), row_major({follower, follower, fixed(0)})});
  constexpr std::int64_t kMany = std::int64_t{1} << 40;
  const std::vector given{view({kMany, 0}), view({kMany, kMany, 0})};
  const Latitude latitude = rules.check(given);
  EXPECT_THROW((void)rules.reach(1, given[1], latitude), Error);
}

TEST(InputRules, RefuseStridesOtherThanRowMajor) {
  const InputRules rules = make({row_major({symbol(0), fixed(3)})});
  EXPECT_NO_THROW(rules.check(std::vector{view({2, 3}, {3, 1})}));
  expect_refused(rules, {view({2, 3}, {1, 2})}, {"arg0", "strides are [1, 2]", "compiled for [3, 1]"});
  expect_refused(rules, {view({2, 3}, {4, 1})}, {"strides are [4, 1]", "compiled for [3, 1]"});
  expect_refused(rules, {view({2, 3}, {0, 1})}, {"strides are [0, 1]"});
  // Where there are no elements, strides say nothing.
  EXPECT_NO_THROW(rules.check(std::vector{view({0, 3}, {77, 5})}));
}

TEST(InputRules, RefuseStridesOtherThanThoseCompiledFor) {
  InputRule rule = row_major({fixed(5), fixed(6)});
  rule.strides = {1, 5};
  rule.order = {0, 1};
  const InputRules rules = make({rule});
  EXPECT_NO_THROW(rules.check(std::vector{view({5, 6}, {1, 5})}));
  expect_refused(rules, {view({5, 6}, {6, 1})}, {"strides are [6, 1]", "compiled for [1, 5]"});
}

TEST(InputRules, LeaveStridesAloneThatAreFree) {
  InputRule rule = row_major({fixed(5), fixed(6)});
  rule.strides = {kStrideFree, kStrideFree};
  const InputRules rules = make({rule});
  EXPECT_NO_THROW(rules.check(std::vector{view({5, 6}, {1, 5})}));
  EXPECT_NO_THROW(rules.check(std::vector{view({5, 6}, {12, 2})}));
}

TEST(InputRules, TakeAnyStrideOfSizeOneAndTellTheModelItsOwn) {
  const InputRules rules = make({row_major({symbol(0), fixed(1), fixed(3)})});
  const TensorView odd = view({1, 1, 3}, {100, 50, 1});
  EXPECT_NO_THROW(rules.check(std::vector{odd}));
  Sizes strides(3);
  rules.compiled_strides(0, odd, strides);
  EXPECT_EQ(strides, (Sizes{3, 3, 1}));
  rules.compiled_strides(0, view({4, 1, 3}), strides);
  EXPECT_EQ(strides, (Sizes{3, 3, 1}));
}

TEST(InputRules, AreGivenNoViewThatReachesPastItsStorage) {
  const InputRules rules = make({row_major({fixed(2), fixed(3)})});
  EXPECT_NO_THROW(rules.check(std::vector{view({2, 3}, {3, 1}, DType::Float32, 24)}));
  EXPECT_THROW(view({2, 3}, {3, 1}, DType::Float32, 23), Error);
}

TEST(InputRules, RefuseNullAndUnalignedAddresses) {
  const InputRules rules = make({row_major({symbol(0)})});
  expect_refused(rules, {TensorView(nullptr, DType::Float32, {2})}, {"arg0", "address is null"});
  EXPECT_NO_THROW(rules.check(std::vector{TensorView(nullptr, DType::Float32, {0})}));
  for (const int offset : {1, 2, 3}) {
    expect_refused(rules, {TensorView(memory.data() + offset, DType::Float32, {2})}, {"arg0", "not aligned"});
  }
  EXPECT_NO_THROW(rules.check(std::vector{TensorView(memory.data() + 4, DType::Float32, {2})}));
  const InputRules bytes = make({row_major({symbol(0)}, DType::UInt8)});
  EXPECT_NO_THROW(bytes.check(std::vector{TensorView(memory.data() + 3, DType::UInt8, {2})}));
}

TEST(InputRules, GiveSmallestSizesThatGoTogether) {
  const DimRule twice{.symbol = 0, .scale = 2};
  const InputRules rules =
      make({row_major({symbol(0, 0, 64), symbol(1, 3)}), row_major({twice, fixed(0), symbol(0, 2)})});
  EXPECT_EQ(rules.smallest_sizes(), (std::vector<Sizes>{{2, 3}, {4, 0, 2}}));
  EXPECT_EQ(make({row_major({})}).smallest_sizes(), (std::vector<Sizes>{{}}));
}

TEST(InputRules, WorkWithMoreSymbolsThanThereIsRoomFor) {
  std::vector<InputRule> many;
  std::vector<TensorView> views;
  for (int i = 0; i < 300; ++i) {
    many.push_back(row_major({symbol(i)}));
    views.push_back(view({i % 7}));
  }
  const InputRules rules = make(many);
  EXPECT_NO_THROW(rules.check(views));
  EXPECT_EQ(rules.smallest_sizes().size(), 300u);
  EXPECT_FALSE(rules.checks_all());
  EXPECT_TRUE(make({row_major({symbol(255)})}).checks_all());
}

}  // namespace
}  // namespace penstock::model
