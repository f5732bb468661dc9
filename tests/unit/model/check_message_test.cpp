#include "model/check_message.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::model {
namespace {

using Kind = CheckMessage::Kind;

void expect_read(const std::string& text, Kind kind, std::size_t input, std::size_t dim, std::int64_t value) {
  SCOPED_TRACE(text);
  const CheckMessage message = read_check_message(text);
  EXPECT_EQ(message.kind, kind);
  EXPECT_EQ(message.input, input);
  EXPECT_EQ(message.dim, dim);
  EXPECT_EQ(message.value, value);
}

/// The checks of single inputs read the same in libraries of torch 2.9 and 2.15; the older ones print
/// them with "Error: " before.
TEST(CheckMessageOfOneInput, IsReadAsEveryTorchWritesIt) {
  for (const std::string prefix : {"", "Error: "}) {
    expect_read(prefix + "input_handles[0]: unmatched dtype, expected: 6(at::kFloat), but got: -1\n",
                Kind::Dtype, 0, 0, 6);
    expect_read(prefix + "input_handles[12]: unmatched dtype, expected: 15(at::kBFloat16), but got: 6\n",
                Kind::Dtype, 12, 0, 15);
    expect_read(prefix + "input_handles[1]: unmatched device type, expected: 00(cpu), but got: 1\n",
                Kind::DeviceType, 1, 0, 0);
    expect_read(prefix + "input_handles[0]: unmatched device type, expected: 11(cuda), but got: 0\n",
                Kind::DeviceType, 0, 0, 1);
    expect_read(prefix + "input_handles[2]: unmatched dim value at 1, expected: 64, but got: 63\n",
                Kind::Size, 2, 1, 64);
    expect_read(
        prefix + "input_handles[0]: dim value is too small at 0, expected it to be >= 2, but got: 1\n",
        Kind::TooSmall, 0, 0, 2);
    expect_read(prefix + "input_handles[0]: dim value is too large at 3, expected to be <= 64, but got: 65\n",
                Kind::TooLarge, 0, 3, 64);
    expect_read(prefix + "input_handles[7]: unmatched stride value at 1, expected: 5, but got: 1\n",
                Kind::Stride, 7, 1, 5);
  }
}

TEST(CheckMessageOfALayout, IsReadAsTorch215WritesIt) {
  expect_read("expected ndim 2 but got 3\nError in op: input", Kind::Rank, 0, 0, 2);
  const CheckMessage message = read_check_message(
      "expected size 5==6, stride 9==9 at dim=0; expected size 7==9, stride 2==1 at dim=1\nError in op: "
      "input");
  EXPECT_EQ(message.kind, Kind::Layout);
  ASSERT_EQ(message.mismatches.size(), 2u);
  EXPECT_EQ(message.mismatches[0].dim, 0u);
  EXPECT_EQ(message.mismatches[0].size, 6);
  EXPECT_EQ(message.mismatches[0].stride, 9);
  EXPECT_EQ(message.mismatches[1].dim, 1u);
  EXPECT_EQ(message.mismatches[1].size, 9);
  EXPECT_EQ(message.mismatches[1].stride, 1);
}

TEST(CheckMessage, TakesTheWholeRangeOfNumbers) {
  expect_read(
      "input_handles[0]: dim value is too large at 0, expected to be <= 9223372036854775807, but got: 1\n",
      Kind::TooLarge, 0, 0, INT64_MAX);
  EXPECT_EQ(read_check_message("input_handles[0]: dim value is too large at 0, expected to be <= "
                               "9223372036854775808, but got: 1\n")
                .kind,
            Kind::Other);
}

TEST(CheckMessage, OfAnythingElseIsOther) {
  for (const char* text :
       {"", "index out of bounds: 6", "input_handles[", "input_handles[x]: unmatched dtype, expected: 6",
        "input_handles[0]: something new, expected: 6", "input_handles[0]: unmatched dtype",
        "expected ndim two", "input_handles[0]: unmatched dim value at one, expected: 6", "expected size 5",
        "expected size 5==6, stride 1",
        "input_handles[99999999999999999999999]: unmatched dtype, expected: 6"}) {
    EXPECT_EQ(read_check_message(text).kind, Kind::Other) << text;
  }
}

}  // namespace
}  // namespace penstock::model
