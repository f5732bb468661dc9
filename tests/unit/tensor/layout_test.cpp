#include "tensor/layout.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

namespace penstock::tensor {
namespace {

using Dims = std::vector<std::int64_t>;

TEST(Layout, CountsElementsAndRefusesOverflow) {
  EXPECT_EQ(checked_numel(Dims{2, 3, 4}), 24);
  EXPECT_EQ(checked_numel(Dims{}), 1);
  EXPECT_EQ(checked_numel(Dims{INT64_MAX, 2}), std::nullopt);
  EXPECT_EQ(checked_numel(Dims{INT64_MAX, 2, 0}), 0);
  EXPECT_EQ(checked_numel(Dims{-1}), std::nullopt);
  EXPECT_EQ(checked_numel(Dims{0, -1}), std::nullopt);
}

TEST(Layout, MeasuresWhatStridesReach) {
  EXPECT_EQ(checked_extent(Dims{2, 3}, Dims{3, 1}), 6);
  EXPECT_EQ(checked_extent(Dims{2, 3}, Dims{0, 1}), 3);
  EXPECT_EQ(checked_extent(Dims{}, Dims{}), 1);
  EXPECT_EQ(checked_extent(Dims{0, 3}, Dims{INT64_MAX, INT64_MAX}), 0);
  EXPECT_EQ(checked_extent(Dims{3}, Dims{INT64_MAX}), std::nullopt);
  EXPECT_EQ(checked_extent(Dims{3}, Dims{-1}), std::nullopt);
  EXPECT_EQ(checked_extent(Dims{3}, Dims{1, 1}), std::nullopt);
}

TEST(Layout, ContiguousStridesAreThoseOfPyTorch) {
  Dims strides(3);
  fill_contiguous_strides(Dims{2, 3, 4}, strides);
  EXPECT_EQ(strides, (Dims{12, 4, 1}));
  fill_contiguous_strides(Dims{2, 0, 4}, strides);
  EXPECT_EQ(strides, (Dims{4, 4, 1}));
}

TEST(Layout, KnowsContiguousFromStrided) {
  EXPECT_TRUE(is_contiguous(Dims{2, 3}, Dims{3, 1}));
  EXPECT_TRUE(is_contiguous(Dims{1, 3}, Dims{77, 1}));
  EXPECT_TRUE(is_contiguous(Dims{0, 3}, Dims{9, 9}));
  EXPECT_TRUE(is_contiguous(Dims{}, Dims{}));
  EXPECT_FALSE(is_contiguous(Dims{2, 3}, Dims{1, 2}));
  EXPECT_FALSE(is_contiguous(Dims{2, 3}, Dims{4, 1}));
}

TEST(Layout, WritesSizes) {
  EXPECT_EQ(sizes_text(Dims{2, 3}), "[2, 3]");
  EXPECT_EQ(sizes_text(Dims{}), "[]");
}

/// Strides of a tensor whose dimensions lie in memory in the order of `order`, with `gap` elements
/// between neighbors of the innermost.
Dims permuted_strides(const Dims& sizes, const Dims& order, std::int64_t gap) {
  Dims strides(sizes.size());
  std::int64_t stride = gap;
  for (auto dim = order.rbegin(); dim != order.rend(); ++dim) {
    strides[static_cast<std::size_t>(*dim)] = stride;
    stride *= std::max<std::int64_t>(sizes[static_cast<std::size_t>(*dim)], 1);
  }
  return strides;
}

void expect_copy(const Dims& sizes, const Dims& to_strides, const Dims& from_strides, std::size_t element) {
  const auto to_extent = static_cast<std::size_t>(*checked_extent(sizes, to_strides));
  const auto from_extent = static_cast<std::size_t>(*checked_extent(sizes, from_strides));
  std::vector<unsigned char> from(from_extent * element);
  std::mt19937 random(7);
  for (auto& byte : from) byte = static_cast<unsigned char>(random());
  std::vector<unsigned char> to(to_extent * element, 0xEE);
  std::vector<unsigned char> expected = to;
  const std::int64_t count = *checked_numel(sizes);
  for (std::int64_t n = 0; n < count; ++n) {
    std::int64_t rest = n;
    std::int64_t to_index = 0;
    std::int64_t from_index = 0;
    for (std::size_t i = sizes.size(); i-- > 0;) {
      to_index += rest % sizes[i] * to_strides[i];
      from_index += rest % sizes[i] * from_strides[i];
      rest /= sizes[i];
    }
    std::memcpy(expected.data() + static_cast<std::size_t>(to_index) * element,
                from.data() + static_cast<std::size_t>(from_index) * element, element);
  }
  copy_strided(to.data(), to_strides, from.data(), from_strides, sizes, element);
  EXPECT_EQ(to, expected) << sizes_text(sizes) << sizes_text(to_strides) << sizes_text(from_strides)
                          << element;
}

TEST(Layout, CopiesEveryOrderOfDimensions) {
  const std::vector<Dims> shapes{{7}, {40, 70}, {3, 1, 5}, {2, 33, 35}, {2, 3, 4, 5}, {2, 1, 3, 2, 3}, {}};
  for (const Dims& sizes : shapes) {
    Dims order(sizes.size());
    std::iota(order.begin(), order.end(), 0);
    do {
      for (const std::size_t element : {1U, 2U, 4U, 8U, 16U, 3U}) {
        Dims rows(sizes.size());
        fill_contiguous_strides(sizes, rows);
        expect_copy(sizes, rows, permuted_strides(sizes, order, 1), element);
        expect_copy(sizes, permuted_strides(sizes, order, 1), rows, element);
        expect_copy(sizes, permuted_strides(sizes, order, 2), permuted_strides(sizes, order, 3), element);
      }
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST(Layout, CopiesBroadcastSources) {
  expect_copy({4, 5}, {5, 1}, {0, 1}, 4);
  expect_copy({4, 5}, {5, 1}, {1, 0}, 4);
  expect_copy({4, 5, 6}, {30, 6, 1}, {0, 0, 0}, 8);
}

TEST(Layout, CopyOfNothingTouchesNothing) {
  copy_strided(nullptr, Dims{0, 1}, nullptr, Dims{0, 1}, Dims{0, 4}, 4);
}

TEST(Layout, TellsWhereElementsMayShareAnAddress) {
  const auto may = [](std::vector<std::int64_t> sizes, std::vector<std::int64_t> strides) {
    return may_overlap_itself(sizes, strides);
  };
  EXPECT_FALSE(may({}, {}));
  EXPECT_FALSE(may({2, 3}, {3, 1}));
  EXPECT_FALSE(may({2, 3}, {1, 2}));
  EXPECT_FALSE(may({2, 3}, {7, 2}));
  EXPECT_FALSE(may({1, 3}, {0, 1})) << "a size of 1 has no second element";
  EXPECT_FALSE(may({0, 3}, {0, 0})) << "no element at all";
  EXPECT_TRUE(may({2, 3}, {0, 1}));
  EXPECT_TRUE(may({2, 2}, {1, 1}));
  EXPECT_TRUE(may({3, 3}, {2, 1}));
}

}  // namespace
}  // namespace penstock::tensor
