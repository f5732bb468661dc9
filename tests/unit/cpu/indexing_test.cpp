#include "cpu/cat.hpp"
#include "cpu/copy.hpp"
#include "cpu/index.hpp"
#include "cpu/scatter.hpp"

#include "unit/cpu/tensors.hpp"

#include <initializer_list>

namespace penstock::cpu {
namespace {

using testing::expect_refused;
using testing::Numbers;
using testing::over;

IndexPlan plan(const tensor::TensorObject& self, std::initializer_list<const tensor::TensorObject*> indices) {
  return plan_index(nullptr, self, {indices.begin(), indices.size()});
}

TEST(IndexPut, KeepsTheLastOfRepeatedPlaces) {
  std::vector<float> self(4);
  std::vector<std::int64_t> places{2, 0, 2, -2};
  std::vector<float> values{1, 2, 3, 4};
  const auto target = over(self, {4});
  index_put(*target, plan(*target, {over(places, {4}).get()}), *over(values, {4}), false);
  EXPECT_EQ(self, (std::vector<float>{2, 0, 4, 0}));
}

TEST(IndexPut, AddsUpRepeatedPlacesAndWrapsAround) {
  std::vector<std::int8_t> self{100, 0};
  std::vector<std::int64_t> places{0, 0, 1};
  std::vector<std::int8_t> values{20, 20, 5};
  const auto target = over(self, {2});
  index_put(*target, plan(*target, {over(places, {3}).get()}), *over(values, {3}), true);
  EXPECT_EQ(self, (std::vector<std::int8_t>{-116, 5}));
}

TEST(Index, TakesAnyByteOfAMaskButZeroForTrue) {
  std::vector<float> self{1, 2, 3};
  std::vector<Boolean> mask{Boolean{4}, Boolean{0}, Boolean{255}};
  const auto from = over(self, {3});
  const IndexPlan made = plan(*from, {over(mask, {3}).get()});
  ASSERT_EQ(made.shape.result.sizes, (Dims{2}));
  std::vector<float> chosen(2);
  index(*over(chosen, {2}), *from, made);
  EXPECT_EQ(chosen, (std::vector<float>{1, 3}));
}

TEST(Index, RefusesPlacesBehindAMaskOfAllDimensions) {
  std::vector<float> self(6);
  std::vector<Boolean> mask(6, Boolean{1});
  std::vector<std::int64_t> places(1);
  const auto from = over(self, {2, 3});
  expect_refused(ErrorCode::InvalidArgument, "too many indices for tensor of dimension 2", [&] {
    plan(*from, {over(mask, {2, 3}).get(), over(places, {1}).get()});
  });
}

TEST(Index, RefusesPlacesAtTheEndsOfTheirType) {
  std::vector<float> self(6);
  const auto from = over(self, {6});
  for (const std::int64_t place : {INT64_MIN, INT64_MAX, std::int64_t{6}, std::int64_t{-7}}) {
    std::vector<std::int64_t> places{place};
    expect_refused(ErrorCode::InvalidArgument,
                   "index " + std::to_string(place) + " is out of bounds for dimension 0 with size 6",
                   [&] { plan(*from, {over(places, {1}).get()}); });
  }
}

TEST(Scatter, RefusesPlacesAtTheEndsOfTheirType) {
  std::vector<float> self(6);
  const auto to = over(self, {6});
  for (const std::int64_t place : {INT64_MIN, INT64_MAX, std::int64_t{6}, std::int64_t{-1}}) {
    std::vector<std::int64_t> places{place};
    const auto index = over(places, {1});
    const std::string part =
        "index " + std::to_string(place) + " is out of bounds for dimension 0 with size 6";
    expect_refused(ErrorCode::InvalidArgument, part, [&] { scatter(*to, {0, *index}, *to); });
    expect_refused(ErrorCode::InvalidArgument, part, [&] { scatter_value(*to, {0, *index}, 1); });
    expect_refused(ErrorCode::InvalidArgument, part, [&] {
      scatter_reduce(nullptr, *to, {0, *index}, *to, {.kind = ReduceKind::Mean});
    });
  }
}

TEST(Scatter, ChangesNothingWhereOnePlaceIsOutOfBounds) {
  const std::vector<float> before{1, 2, 3, 4, 5, 6};
  std::vector<float> self = before;
  std::vector<float> source{7, 8, 9};
  // The last in the order of work is wrong, in a column of its own.
  std::vector<std::int64_t> places{0, 1, 2};
  const auto to = over(self, {2, 3});
  const auto index = over(places, {1, 3});
  const auto from = over(source, {1, 3});
  const std::string part = "index 2 is out of bounds for dimension 0 with size 2";
  expect_refused(ErrorCode::InvalidArgument, part, [&] { scatter(*to, {0, *index}, *from); });
  EXPECT_EQ(self, before);
  expect_refused(ErrorCode::InvalidArgument, part, [&] { scatter_value(*to, {0, *index}, 1); });
  EXPECT_EQ(self, before);
  for (const bool includes_self : {true, false}) {
    for (const ReduceKind kind : {ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Maximum}) {
      expect_refused(ErrorCode::InvalidArgument, part, [&] {
        scatter_reduce(nullptr, *to, {0, *index}, *from, {.kind = kind, .includes_self = includes_self});
      });
      EXPECT_EQ(self, before);
    }
  }
  std::vector<std::int64_t> rows{1, 2};
  std::vector<float> slices(6, 9);
  const auto slice_index = over(rows, {2});
  const auto slice_source = over(slices, {2, 3});
  expect_refused(ErrorCode::InvalidArgument, part, [&] {
    index_reduce(nullptr, *to, {0, *slice_index}, *slice_source, {.kind = ReduceKind::Product});
  });
  EXPECT_EQ(self, before);
}

TEST(Scatter, RefusesEveryPlaceOfATensorWithoutElements) {
  std::vector<float> self;
  std::vector<float> source(6, 1);
  std::vector<std::int64_t> places(6, 0);
  const auto to = over(self, {0, 3});
  const auto index = over(places, {2, 3});
  const auto from = over(source, {2, 3});
  const std::string part = "index 0 is out of bounds for dimension 0 with size 0";
  expect_refused(ErrorCode::InvalidArgument, part, [&] { scatter(*to, {0, *index}, *from); });
  expect_refused(ErrorCode::InvalidArgument, part, [&] { scatter_value(*to, {0, *index}, 1); });
  for (const ReduceKind kind : {ReduceKind::Sum, ReduceKind::Mean, ReduceKind::Maximum}) {
    expect_refused(ErrorCode::InvalidArgument, part, [&] {
      scatter_reduce(nullptr, *to, {0, *index}, *from, {.kind = kind});
    });
  }
  const auto none = over(places, {0, 3});
  scatter_reduce(nullptr, *to, {0, *none}, *from, {});
}

TEST(ScatterReduce, RefusesTheMeanOfBoolsBeforeItAddsThem) {
  std::vector<Boolean> self{Boolean{0}, Boolean{0}};
  std::vector<Boolean> source(2, Boolean{1});
  std::vector<std::int64_t> places{1, 1};
  expect_refused(ErrorCode::Unsupported, "the mean of bool elements", [&] {
    scatter_reduce(nullptr, *over(self, {2}), {0, *over(places, {2})}, *over(source, {2}),
                   {.kind = ReduceKind::Mean});
  });
  EXPECT_FALSE(self[1].value());
}

TEST(ScatterReduce, SumsNarrowFloatsInFloats) {
  std::vector<BFloat16> self(2);
  std::vector<BFloat16> ones(1000, BFloat16(1.0F));
  std::vector<std::int64_t> places(1000, 1);
  scatter_reduce(nullptr, *over(self, {2}), {0, *over(places, {1000})}, *over(ones, {1000}), {});
  EXPECT_EQ(static_cast<float>(self[0]), 0.0F);
  EXPECT_EQ(static_cast<float>(self[1]), 1000.0F);
}

TEST(ScatterReduce, RoundsMeansOfIntegersDown) {
  std::vector<std::int32_t> self{7, 9};
  std::vector<std::int32_t> source{-3, -4};
  std::vector<std::int64_t> places{0, 0};
  scatter_reduce(nullptr, *over(self, {2}), {0, *over(places, {2})}, *over(source, {2}),
                 {.kind = ReduceKind::Mean, .includes_self = false});
  EXPECT_EQ(self, (std::vector<std::int32_t>{-4, 9}));
}

TEST(Copy, LeavesGapsAlone) {
  std::vector<std::int32_t> to{-1, -1, -1, -1, -1};
  std::vector<double> from{1.9, -2.9};
  copy(*over(to, {2}, {3}), *over(from, {2}));
  EXPECT_EQ(to, (std::vector<std::int32_t>{1, -1, -1, -2, -1}));
}

TEST(Cat, RefusesTypesThatHaveNoCommonOne) {
  std::vector<std::uint16_t> words(2);
  std::vector<std::int32_t> integers(2);
  const auto first = over(words, {2});
  const auto second = over(integers, {2});
  const std::array list{first.get(), second.get()};
  expect_refused(ErrorCode::Unsupported, "Promotion for uint16", [&] { cat_result(list, 0); });
  expect_refused(ErrorCode::InvalidArgument, "non-empty list", [] { cat_result({}, 0); });
}

}  // namespace
}  // namespace penstock::cpu
