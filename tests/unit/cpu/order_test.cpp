#include "cpu/mask.hpp"
#include "cpu/scan.hpp"
#include "cpu/search.hpp"
#include "cpu/sort.hpp"

#include "unit/cpu/tensors.hpp"

#include <bit>
#include <cmath>

namespace penstock::cpu {
namespace {

using testing::expect_refused;
using testing::Numbers;
using testing::over;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

void check_order_of_equals(std::int64_t count, bool descending) {
  std::vector<std::int32_t> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::int32_t>(i * 7 % 5);
  std::vector<std::int32_t> sorted(values.size());
  std::vector<std::int64_t> places(values.size());
  const auto to = over(sorted, {count});
  const auto indices = over(places, {count});
  sort(nullptr, {*to, *indices}, *over(values, {count}), {.dim = 0, .descending = descending});
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_EQ(sorted[i], values[static_cast<std::size_t>(places[i])]) << count;
    if (i == 0) continue;
    if (sorted[i - 1] == sorted[i]) {
      ASSERT_LT(places[i - 1], places[i]) << count;
    } else {
      ASSERT_EQ(sorted[i - 1] > sorted[i], descending) << count;
    }
  }
}

TEST(Sort, KeepsTheOrderOfEqualElementsAmongMany) {
  // Around the lengths of the runs that are merged.
  for (const std::int64_t count : {1, 2, 15, 16, 17, 32, 33, 511, 1000}) {
    for (const bool descending : {false, true}) check_order_of_equals(count, descending);
  }
}

TEST(Sort, PutsNanAboveInfinityWithItsBits) {
  const auto odd_nan = std::bit_cast<float>(0xFFC12345U);
  std::vector<float> values{1, odd_nan, std::numeric_limits<float>::infinity(), -2};
  std::vector<float> sorted(4);
  std::vector<std::int64_t> places(4);
  const auto to = over(sorted, {4});
  const auto indices = over(places, {4});
  sort(nullptr, {*to, *indices}, *over(values, {4}), {.dim = 0});
  EXPECT_EQ(places, (Numbers{3, 0, 2, 1}));
  EXPECT_EQ(std::bit_cast<std::uint32_t>(sorted[3]), 0xFFC12345U);
  sort(nullptr, {*to, *indices}, *over(values, {4}), {.dim = 0, .descending = true});
  EXPECT_EQ(places, (Numbers{1, 2, 0, 3}));
}

TEST(Sort, RefusesResultsOfOtherSizesOrDtypes) {
  std::vector<float> values(4);
  std::vector<std::int64_t> places(4);
  const auto self = over(values, {4});
  const auto indices = over(places, {4});
  const auto short_indices = over(places, {3});
  expect_refused(ErrorCode::InvalidArgument, "sort", [&] {
    sort(nullptr, {*self, *short_indices}, *self, {.dim = 0});
  });
  expect_refused(ErrorCode::InvalidArgument, "sort", [&] {
    sort(nullptr, {*indices, *indices}, *self, {.dim = 0});
  });
}

TEST(TopK, TakesAsManyOfManyAsAskedFor) {
  std::vector<float> values(5000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i * 7919 % 5003);
  values[17] = kNan;
  for (const std::int64_t k : {1, 7, 100, 5000}) {
    std::vector<float> top(static_cast<std::size_t>(k));
    std::vector<std::int64_t> places(static_cast<std::size_t>(k));
    const auto to = over(top, {k});
    const auto indices = over(places, {k});
    topk(nullptr, {*to, *indices}, *over(values, {5000}), {.k = k});
    EXPECT_EQ(places[0], 17);
    for (std::size_t i = 2; i < top.size(); ++i) ASSERT_GE(top[i - 1], top[i]);
    for (std::size_t i = 1; i < top.size(); ++i) {
      ASSERT_EQ(top[i], values[static_cast<std::size_t>(places[i])]);
    }
  }
}

TEST(CumSum, AddsFloatsInDoublesAndNarrowOnesInFloats) {
  std::vector<float> values(1 << 20, 0.1F);
  const std::int64_t count = static_cast<std::int64_t>(values.size());
  std::vector<float> sums(values.size());
  cumsum(*over(sums, {count}), *over(values, {count}), 0);
  EXPECT_NEAR(sums.back(), 104857.6, 0.01);
  std::vector<BFloat16> ones(1000, BFloat16(1.0F));
  std::vector<BFloat16> counts(1000);
  cumsum(*over(counts, {1000}), *over(ones, {1000}), 0);
  EXPECT_EQ(static_cast<float>(counts.back()), 1000.0F);
}

TEST(CumSum, MayWriteWhereItReads) {
  std::vector<std::int64_t> values{1, 2, 3, 4};
  const auto tensor = over(values, {2, 2});
  cumsum(*tensor, *tensor, 0);
  EXPECT_EQ(values, (Numbers{1, 2, 4, 6}));
}

TEST(Nonzero, WritesNoMoreThanThereIsRoomFor) {
  std::vector<float> values{1, 2, 3, 4};
  std::vector<std::int64_t> places(3, -7);
  nonzero(*over(places, {2, 1}), *over(values, {4}), 0);
  EXPECT_EQ(places, (Numbers{0, 1, -7}));
}

TEST(MaskedSelect, WritesNoMoreThanThereIsRoomFor) {
  std::vector<float> values{1, 2, 3, 4};
  std::vector<Boolean> mask(4, Boolean{2});
  std::vector<float> chosen(3, -7);
  masked_select(*over(chosen, {2}), *over(values, {4}), *over(mask, {4}));
  EXPECT_EQ(chosen, (std::vector<float>{1, 2, -7}));
}

TEST(MaskedSelect, RefusesAMaskOfNumbers) {
  std::vector<float> values(4);
  const auto self = over(values, {4});
  expect_refused(ErrorCode::InvalidArgument, "expected BoolTensor for mask",
                 [&] { count_selected(*self, *self); });
}

TEST(RepeatInterleave, WritesNoMoreThanThereIsRoomFor) {
  std::vector<std::int64_t> repeats{2, 5};
  std::vector<std::int64_t> places(4, -7);
  repeat_interleave(*over(places, {3}), *over(repeats, {2}));
  EXPECT_EQ(places, (Numbers{0, 0, 1, -7}));
}

TEST(KthValue, CountsEqualElementsInTheirOrder) {
  std::vector<std::int64_t> values{3, 1, 2, 1, 2, 1, 3, 1};
  const Numbers order{1, 3, 5, 7, 2, 4, 0, 6};
  std::vector<std::int64_t> found(1);
  std::vector<std::int64_t> place(1);
  for (std::int64_t k = 1; k <= 8; ++k) {
    kthvalue(nullptr, {*over(found, {1}), *over(place, {1})}, *over(values, {8}), k, 0);
    EXPECT_EQ(place[0], order[static_cast<std::size_t>(k - 1)]) << k;
    EXPECT_EQ(found[0], values[static_cast<std::size_t>(place[0])]) << k;
  }
}

template <class T>
void expect_median_of_nothing(T expected) {
  std::vector<T> none;
  std::vector<T> found{T{7}};
  for (const auto operation : {&median, &nanmedian}) {
    found[0] = T{7};
    operation(nullptr, *over(found, {}), *over(none, {0}));
    EXPECT_EQ(found[0], expected);
  }
}

TEST(Median, OfNoIntegerIsWhatNanBecomesAsOne) {
  expect_median_of_nothing<std::int64_t>(INT64_MIN);
  expect_median_of_nothing<std::int32_t>(INT32_MIN);
  expect_median_of_nothing<std::int16_t>(0);
  expect_median_of_nothing<std::int8_t>(0);
  expect_median_of_nothing<std::uint8_t>(0);
  std::vector<float> none;
  std::vector<float> found(1);
  median(nullptr, *over(found, {}), *over(none, {2, 0}));
  EXPECT_TRUE(std::isnan(found[0]));
}

TEST(SearchSorted, FindsNoPlaceForNanButTheEnd) {
  std::vector<float> edges{1, 2, 3};
  std::vector<float> values{kNan, 2, 0};
  std::vector<std::int64_t> places(3);
  for (const bool right : {false, true}) {
    searchsorted(nullptr, *over(places, {3}), *over(edges, {3}), *over(values, {3}), {.right = right});
    EXPECT_EQ(places, (Numbers{3, right ? 2 : 1, 0}));
  }
}

}  // namespace
}  // namespace penstock::cpu
