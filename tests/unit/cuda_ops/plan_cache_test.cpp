#include "cuda_ops/plan_cache.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace penstock::cuda_ops {
namespace {

using Cache = PlanCache<2, int>;

int find(Cache& cache, std::int64_t key, int& made) {
  return *cache.find_or_make({key, 0}, [&] { return std::make_unique<int>(++made); });
}

TEST(PlanCache, MakesAPlanOnce) {
  Cache cache(4);
  int made = 0;
  EXPECT_EQ(find(cache, 7, made), 1);
  EXPECT_EQ(find(cache, 8, made), 2);
  EXPECT_EQ(find(cache, 7, made), 1);
  EXPECT_EQ(made, 2);
}

TEST(PlanCache, DropsThePlanThatWasUsedLongestAgo) {
  Cache cache(2);
  int made = 0;
  find(cache, 1, made);
  find(cache, 2, made);
  find(cache, 1, made);
  find(cache, 3, made);
  EXPECT_EQ(cache.size(), 2U);
  EXPECT_EQ(find(cache, 1, made), 1);
  EXPECT_EQ(find(cache, 2, made), 4);
}

TEST(PlanCache, AShareKeepsAPlanThatIsDropped) {
  Cache cache(1);
  int made = 0;
  const auto make = [&] { return std::make_unique<int>(++made); };
  const std::shared_ptr<int> held = cache.find_or_make({1, 0}, make);
  cache.find_or_make({2, 0}, make);
  EXPECT_EQ(*held, 1);
  EXPECT_EQ(held.use_count(), 1);
}

TEST(PlanCache, KeepsNothingOfAPlanThatCouldNotBeMade) {
  Cache cache(2);
  const auto fail = []() -> std::unique_ptr<int> { throw std::runtime_error("no"); };
  EXPECT_THROW(cache.find_or_make({1, 1}, fail), std::runtime_error);
  EXPECT_EQ(cache.size(), 0U);
}

}  // namespace
}  // namespace penstock::cuda_ops
