#include "cpu/element.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace penstock::cpu {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(Element, WhatDoesNotFitAnIntegerIsTheSmallestAsOnX86) {
  for (const float value : {kNan, kInfinity, -kInfinity, 3e9F, -3e9F, 1e20F}) {
    EXPECT_EQ(convert<std::int32_t>(value), std::numeric_limits<std::int32_t>::min()) << value;
    EXPECT_EQ(convert<std::int8_t>(value), 0) << value;
    EXPECT_EQ(convert<std::uint8_t>(value), 0) << value;
  }
  for (const double value : {double{kNan}, double{kInfinity}, 1e20, -1e20}) {
    EXPECT_EQ(convert<std::int64_t>(value), std::numeric_limits<std::int64_t>::min()) << value;
  }
  EXPECT_EQ(convert<std::int32_t>(2147483647.5), 2147483647);
  EXPECT_EQ(convert<std::int32_t>(-2147483648.5), std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(convert<std::int64_t>(3e9F), 3000000000);
}

TEST(Element, SmallIntegersKeepTheLowBits) {
  EXPECT_EQ(convert<std::int8_t>(300.7F), 44);
  EXPECT_EQ(convert<std::uint8_t>(-1.5F), 255);
  EXPECT_EQ(convert<std::int16_t>(70000.0), 4464);
  EXPECT_EQ(convert<std::uint8_t>(std::int64_t{-1}), 255);
}

TEST(Element, LargeUnsignedValuesSurvive) {
  EXPECT_EQ(convert<std::uint64_t>(18446744073709549568.0), 18446744073709549568ULL);
  EXPECT_EQ(convert<std::uint64_t>(-1.5), std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(convert<std::uint32_t>(3e9), 3000000000U);
}

TEST(Element, AnyByteButZeroIsTrue) {
  EXPECT_EQ(convert<std::int32_t>(Boolean{2}), 1);
  EXPECT_EQ(convert<float>(Boolean{255}), 1.0F);
  EXPECT_EQ(convert<std::int64_t>(Boolean{0}), 0);
  EXPECT_EQ(convert<Boolean>(kNan).byte, 1);
  EXPECT_EQ(convert<Boolean>(-0.0F).byte, 0);
  EXPECT_EQ(convert<Boolean>(std::complex<float>(0, 1)).byte, 1);
}

TEST(Element, NarrowFloatsRoundToNearestEven) {
  EXPECT_EQ(static_cast<float>(convert<BFloat16>(1.00390625F)), 1.0F);
  EXPECT_EQ(static_cast<float>(convert<BFloat16>(1.01171875F)), 1.015625F);
  EXPECT_EQ(static_cast<float>(convert<Half>(2049)), 2048.0F);
  EXPECT_EQ(static_cast<float>(convert<Half>(2051)), 2052.0F);
  EXPECT_EQ(static_cast<float>(convert<Half>(65520.0F)), kInfinity);
  EXPECT_TRUE(is_nan(convert<BFloat16>(kNan)));
  EXPECT_TRUE(is_nan(convert<Half>(kNan)));
}

TEST(Element, ATypeThatIsNotInTheListIsRefusedByName) {
  try {
    with_type("an operator", DType::Float8E5M2, kAllTypes, [](auto) { FAIL(); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_STREQ(error.what(), "an operator is not implemented for float8_e5m2");
  }
}

}  // namespace
}  // namespace penstock::cpu
