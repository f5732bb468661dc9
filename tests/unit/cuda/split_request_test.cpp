#include "cuda/split_request.hpp"

#include <penstock/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::cuda {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr SplitLimits kGpu{.sm_count = 132, .least = 8, .step = 8};

std::vector<unsigned> plan(std::string_view parts, const SplitLimits& limits = kGpu) {
  return plan_split(parse_split(parts), limits, "cuda:0");
}

std::string refusal(std::string_view parts, const SplitLimits& limits = kGpu) {
  try {
    plan(parts, limits);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    return error.what();
  }
  return "taken";
}

TEST(SplitRequest, TakesNumbersAndTheRest) {
  EXPECT_THAT(plan("32,rest"), ElementsAre(32, 0));
  EXPECT_THAT(plan("32,64"), ElementsAre(32, 64));
  EXPECT_THAT(plan("rest"), ElementsAre(0));
}

TEST(SplitRequest, RaisesNumbersToWhatTheGpuGives) {
  EXPECT_THAT(plan("1,33,rest"), ElementsAre(8, 40, 0));
  EXPECT_THAT(plan("5,6", {.sm_count = 40, .least = 4, .step = 2}), ElementsAre(6, 6));
}

TEST(SplitRequest, GivesTheFinerStepsOfAGpuWhereItsGroupsAllowIt) {
  constexpr SplitLimits kFine{.sm_count = 108, .least = 4, .step = 2};
  EXPECT_THAT(plan("6,rest", kFine), ElementsAre(6, 0));
  EXPECT_THAT(plan("10", kFine), ElementsAre(10));
  EXPECT_THAT(plan("5,6,rest", kFine), ElementsAre(6, 6, 0));
  EXPECT_THAT(plan("6,12", kFine), ElementsAre(6, 12));
  EXPECT_THAT(plan("1", kFine), ElementsAre(4));
  // Groups of 2 are none.
  EXPECT_THAT(plan("6,8", kFine), ElementsAre(8, 8));
}

TEST(SplitRequest, TakesSharesToTheNearest) {
  EXPECT_THAT(plan("25%,rest"), ElementsAre(32, 0));
  EXPECT_THAT(plan("50%,25%"), ElementsAre(64, 32));
  EXPECT_THAT(plan("1%,rest"), ElementsAre(8, 0));
  EXPECT_THAT(plan("12.5%"), ElementsAre(16));
}

TEST(SplitRequest, GivesTheLastOfAllSharesWhatIsLeft) {
  EXPECT_THAT(plan("25%,75%"), ElementsAre(32, 0));
  EXPECT_THAT(plan("33.3333333%,33.3333333%,33.3333334%"), ElementsAre(40, 40, 0));
  EXPECT_THAT(plan("100%"), ElementsAre(0));
}

TEST(SplitRequest, RefusesWhatIsNoSplit) {
  for (const char* parts : {"", ",", "32,", "a", "-8", "0", "1.5", "0%", "101%", "%", "32 ,rest", "nan%",
                            "99999999999", "1e3%"}) {
    EXPECT_THAT(refusal(parts), HasSubstr("is no split")) << parts;
    EXPECT_THAT(refusal(parts), HasSubstr("neither a number of SMs (32), nor a share (25%), nor \"rest\""))
        << parts;
  }
  EXPECT_THAT(refusal("rest,32"), HasSubstr("\"rest\" comes once, in the end"));
  EXPECT_THAT(refusal("rest,rest"), HasSubstr("\"rest\" comes once, in the end"));
}

TEST(SplitRequest, SaysWhatTheGpuGivesWhereItDoesNotFit) {
  EXPECT_EQ(
      refusal("64,80"),
      "parts of 64 + 80 SMs do not fit: cuda:0 has 132 SMs, and gives parts of 8 or more in steps of 8, and "
      "the rest");
  EXPECT_THAT(refusal("4294967295,4294967295"), HasSubstr("do not fit"));
  EXPECT_THAT(refusal("128,rest", {.sm_count = 128, .least = 8, .step = 8}), HasSubstr("leave no rest"));
  EXPECT_THROW(plan_split({}, kGpu, "cuda:0"), Error);
}

}  // namespace
}  // namespace penstock::cuda
