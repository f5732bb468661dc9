#include "cuda_ops/dense_strides.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace penstock::cuda_ops {
namespace {

using Dims = std::vector<std::int64_t>;

Dims dense(const Dims& sizes, const Dims& like) {
  Dims strides(sizes.size());
  fill_dense_strides(sizes, like, strides);
  return strides;
}

// What torch.empty_like gives for each.
TEST(DenseStrides, KeepTheOrderOfDimensions) {
  EXPECT_EQ(dense({2, 3, 4, 5}, {60, 20, 5, 1}), (Dims{60, 20, 5, 1}));
  EXPECT_EQ(dense({2, 3, 4, 5}, {60, 5, 15, 1}), (Dims{60, 5, 15, 1}));
  EXPECT_EQ(dense({2, 3, 4, 5}, {1, 2, 6, 24}), (Dims{1, 2, 6, 24}));
}

TEST(DenseStrides, LeaveOutGaps) {
  EXPECT_EQ(dense({2, 3, 4, 5}, {180, 5, 45, 1}), (Dims{60, 5, 15, 1}));
  EXPECT_EQ(dense({2, 4}, {1, 10}), (Dims{1, 2}));
}

TEST(DenseStrides, TakeDimensionsOfStrideZeroAsTheyCome) {
  EXPECT_EQ(dense({3, 4}, {0, 1}), (Dims{4, 1}));
  EXPECT_EQ(dense({3, 4}, {0, 0}), (Dims{4, 1}));
  EXPECT_EQ(dense({3, 4, 5}, {1, 0, 3}), (Dims{1, 3, 12}));
}

TEST(DenseStrides, HoldForOtherSizes) {
  EXPECT_EQ(dense({2, 3, 4, 7}, {60, 5, 15, 1}), (Dims{84, 7, 21, 1}));
  EXPECT_EQ(dense({2, 0, 4}, {4, 4, 1}), (Dims{4, 4, 1}));
}

}  // namespace
}  // namespace penstock::cuda_ops
