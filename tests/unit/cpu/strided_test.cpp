#include "cpu/strided.hpp"

#include "unit/cpu/tensors.hpp"

namespace penstock::cpu {
namespace {

using testing::expect_refused;
using testing::over;

struct Walk {
  int rows = 0;
  std::vector<std::array<std::int64_t, 2>> places;
};

Walk walk(const Dims& sizes, const Dims& first, const Dims& second) {
  Walk result;
  for_each_row<2>(sizes, {first, second}, [&](const Row<2>& row) {
    ++result.rows;
    for (std::int64_t i = 0; i < row.count; ++i) {
      result.places.push_back({row.start[0] + i * row.step[0], row.start[1] + i * row.step[1]});
    }
  });
  return result;
}

TEST(Strided, ContiguousTensorsAreOneRow) {
  const Walk one = walk({2, 3, 4}, {12, 4, 1}, {12, 4, 1});
  EXPECT_EQ(one.rows, 1);
  EXPECT_EQ(one.places.size(), 24U);
  EXPECT_EQ(one.places.back(), (std::array<std::int64_t, 2>{23, 23}));
}

TEST(Strided, OrderIsRowMajorWhateverTheStrides) {
  const Walk two = walk({2, 3}, {3, 1}, {1, 2});
  ASSERT_EQ(two.places.size(), 6U);
  for (std::int64_t i = 0; i < 6; ++i) {
    EXPECT_EQ(two.places[static_cast<std::size_t>(i)], (std::array<std::int64_t, 2>{i, i / 3 + i % 3 * 2}));
  }
  const Walk four = walk({2, 1, 2, 2}, {8, 100, 2, 1}, {0, 7, 1, 4});
  ASSERT_EQ(four.places.size(), 8U);
  EXPECT_EQ(four.places[3], (std::array<std::int64_t, 2>{3, 5}));
  EXPECT_EQ(four.places[4], (std::array<std::int64_t, 2>{8, 0}));
}

TEST(Strided, NoElementsAreNoRowsAndAScalarIsOne) {
  EXPECT_EQ(walk({3, 0, 2}, {1, 1, 1}, {1, 1, 1}).rows, 0);
  EXPECT_EQ(walk({}, {}, {}).places.size(), 1U);
  EXPECT_EQ(walk({1, 1}, {5, 6}, {7, 8}).places.size(), 1U);
}

TEST(Strided, DimensionsAreCountedFromTheEnd) {
  EXPECT_EQ(wrap_dim(-1, 3), 2U);
  EXPECT_EQ(wrap_dim(0, 0), 0U);
  EXPECT_EQ(wrap_dim(-1, 0), 0U);
  expect_refused(ErrorCode::InvalidArgument,
                 "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
                 [] { wrap_dim(1, 0); });
  expect_refused(ErrorCode::InvalidArgument, "but got -4", [] { wrap_dim(-4, 3); });
}

TEST(Strided, OnesBroadcast) {
  EXPECT_EQ(broadcast_sizes(Dims{3, 1, 2}, Dims{4, 1}), (Dims{3, 4, 2}));
  EXPECT_EQ(broadcast_sizes(Dims{1}, Dims{0}), (Dims{0}));
  expect_refused(ErrorCode::InvalidArgument, "non-singleton dimension 1", [] {
    broadcast_sizes(Dims{3, 2}, Dims{3});
  });
  std::vector<float> data(6);
  const auto column = over(data, {3, 1}, {2, 1});
  EXPECT_EQ(broadcast_strides(*column, Dims{4, 3, 5}), (Dims{0, 2, 0}));
  expect_refused(ErrorCode::InvalidArgument, "cannot be broadcast",
                 [&] { broadcast_strides(*column, Dims{3}); });
}

TEST(Strided, ResultsLikeATensorKeepTheOrderOfItsDimensions) {
  std::vector<float> data(64);
  EXPECT_EQ(like_layout(*over(data, {3, 4}, {1, 3})).strides, (Dims{1, 3}));
  EXPECT_EQ(like_layout(*over(data, {3, 2}, {2, 8})).strides, (Dims{1, 3}));
  EXPECT_EQ(like_layout(*over(data, {3, 4}, {0, 1})).strides, (Dims{4, 1}));
  EXPECT_EQ(like_layout(*over(data, {2, 3, 4}, {1, 16, 4})).strides, (Dims{1, 8, 2}));
}

TEST(Strided, MovesEveryWidthOfElements) {
  for (const std::size_t bytes : {1U, 2U, 4U, 8U, 16U}) {
    std::vector<std::byte> from(4 * bytes);
    for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::byte>(i + 1);
    std::vector<std::byte> to(2 * bytes + 1);
    move_elements(to.data(), 1, from.data(), 2, 2, bytes);
    for (std::size_t i = 0; i < bytes; ++i) {
      EXPECT_EQ(to[i], from[i]);
      EXPECT_EQ(to[bytes + i], from[2 * bytes + i]);
    }
    EXPECT_EQ(to.back(), std::byte{0});
  }
}

}  // namespace
}  // namespace penstock::cpu
