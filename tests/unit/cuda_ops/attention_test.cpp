#include "cuda_ops/attention.hpp"

#include "tensor/layout.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::cuda_ops {
namespace {

using Dims = std::vector<std::int64_t>;

tensor::TensorObject make(const Dims& sizes, Dims strides = {}) {
  if (strides.empty()) {
    strides.resize(sizes.size());
    tensor::fill_contiguous_strides(sizes, strides);
  }
  tensor::TensorObject tensor;
  tensor.rank = static_cast<std::int32_t>(sizes.size());
  std::copy(sizes.begin(), sizes.end(), tensor.size.begin());
  std::copy(strides.begin(), strides.end(), tensor.stride.begin());
  return tensor;
}

struct Shapes {
  tensor::TensorObject query;
  tensor::TensorObject key;
  tensor::TensorObject value;
  [[nodiscard]] Attention attention() const {
    return {.op = "attention",
            .query = query,
            .key = key,
            .value = value,
            .mask = nullptr,
            .causal = false,
            .scale = {}};
  }
};

TEST(HeadPlan, WorksOnAllHeadsOfAllBatchesAtOnceWhereTheyLieSo) {
  const auto one = make({2, 3, 5, 8});
  const HeadPlan plan = plan_heads(Shapes{one, one, one}.attention(), one);
  EXPECT_EQ(plan.batches * plan.loops, 1);
  EXPECT_EQ(plan.merged, 2);
  EXPECT_EQ(plan.heads, 3);
}

TEST(HeadPlan, WorksOnOneBatchAfterTheOtherWhereTokensLieOutsideOfHeads) {
  const auto one = make({2, 3, 5, 8}, {120, 8, 24, 1});
  const HeadPlan plan = plan_heads(Shapes{one, one, one}.attention(), one);
  EXPECT_EQ(plan.batches, 2);
  EXPECT_EQ(plan.merged, 1);
  EXPECT_EQ(plan.heads, 3);
}

TEST(HeadPlan, ReachesEachHeadOfQueriesOnceWithItsHeadOfKeys) {
  for (const auto& [heads, key_heads] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{6, 2}, {6, 3}, {4, 1}}) {
    const auto query = make({1, heads, 5, 8});
    const auto key = make({1, key_heads, 7, 8});
    const HeadPlan plan = plan_heads(Shapes{query, key, key}.attention(), query);
    std::vector<int> seen(static_cast<std::size_t>(heads));
    for (std::int64_t loop = 0; loop < plan.loops; ++loop) {
      for (std::int64_t i = 0; i < plan.heads; ++i) {
        const std::int64_t head = loop * plan.loop_head_step + i * plan.head_step;
        ++seen.at(static_cast<std::size_t>(head));
        EXPECT_EQ(loop * plan.loop_key_step + i * plan.key_step, head / (heads / key_heads));
      }
    }
    EXPECT_EQ(seen, std::vector<int>(static_cast<std::size_t>(heads), 1)) << heads;
  }
}

TEST(QueriesAtATime, AreAllWhereTheirScoresTakeLittle) { EXPECT_EQ(queries_at_a_time(12 * 197, 197), 197); }

TEST(QueriesAtATime, TakeNoMoreScoresThanSixtyFourMebibytes) {
  const std::int64_t some = queries_at_a_time(std::int64_t{32} * 8192, 8192);
  EXPECT_EQ(some, 64);
  EXPECT_LE(some * 32 * 8192 * 4, 64 << 20);
  EXPECT_EQ(queries_at_a_time(std::int64_t{1} << 40, 100), 16);
}

std::string refusal(const Attention& attention) {
  try {
    check_attention(attention);
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST(CheckAttention, TakesHeadsOfKeysThatDivideThoseOfQueries) {
  const auto query = make({1, 6, 5, 8});
  const auto two = make({1, 2, 7, 8});
  const auto four = make({1, 4, 7, 8});
  EXPECT_EQ(refusal(Shapes{query, two, two}.attention()), "");
  EXPECT_NE(refusal(Shapes{query, four, four}.attention()).find("[1, 4, 7, 8]"), std::string::npos);
}

TEST(CheckAttention, RefusesOtherDtypesByName) {
  auto one = make({1, 1, 2, 8});
  one.dtype = DType::Float64;
  EXPECT_NE(refusal(Shapes{one, one, one}.attention()).find("attention of float64 on a GPU"),
            std::string::npos);
  auto half = make({1, 1, 2, 8});
  half.dtype = DType::Float16;
  EXPECT_NE(refusal(Shapes{make({1, 1, 2, 8}), half, half}.attention()).find("do not go together"),
            std::string::npos);
}

}  // namespace
}  // namespace penstock::cuda_ops
