#include "tensorrt/engine_state.hpp"

#include <penstock/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace penstock::tensorrt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string> kTexts{"10",      "engine",   "2%9%0%0%NVIDIA H200", "cGxhbg==", "x%y", "z%w",
                                      "1",       "bWV0YQ==", "linux_x86_64",        "0",        "1",   "1",
                                      "z@x@user"};

Value state_of(const std::vector<std::string>& texts) {
  std::vector<Value> items;
  for (const std::string& text : texts) items.emplace_back(std::string_view(text));
  return Value::list(std::move(items));
}

std::vector<std::string> with(std::size_t position, const std::string& text) {
  std::vector<std::string> texts = kTexts;
  texts[position] = text;
  return texts;
}

std::string error_of(const Value& state, ErrorCode code) {
  try {
    static_cast<void>(plan_of(state));
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "none";
}

TEST(EngineState, TellsTheStartOfAPlanWithoutDecodingAll) {
  // 100 digits and padding, with something else than base64 behind the start.
  const std::string text = std::string(96, 'A') + "!A==";
  const Value value = state_of(with(3, text));
  const PlanStart start = start_of_plan(read_engine_state(value));
  EXPECT_EQ(start.size, 73U);
  EXPECT_EQ(start.bytes, std::vector<std::byte>(48));
  EXPECT_THROW(static_cast<void>(plan_of(value)), Error);
}

TEST(EngineState, OfAPlanWithoutAPackageIsThePlan) {
  const std::array<std::byte, 2> bytes{std::byte{1}, std::byte{2}};
  const Value value = Value::shared_bytes(bytes, nullptr);
  EXPECT_EQ(plan_of(value).bytes.data(), bytes.data());
}

TEST(EngineState, IsReadInFull) {
  const Value value = state_of(kTexts);
  const EngineState state = read_engine_state(value);
  EXPECT_EQ(state.version, 10);
  EXPECT_EQ(state.name, "engine");
  EXPECT_EQ(state.device.ordinal, 2);
  EXPECT_EQ(state.device.major, 9);
  EXPECT_EQ(state.device.minor, 0);
  EXPECT_FALSE(state.device.is_dla);
  EXPECT_EQ(state.device.name, "NVIDIA H200");
  const Plan plan = plan_of(value);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(plan.bytes.data()), plan.bytes.size()), "plan");
  EXPECT_EQ(start_of_plan(state).size, 4U);
  EXPECT_EQ(start_of_plan(state).bytes, plan.decoded);
  EXPECT_THAT(state.inputs, ElementsAre("x", "y"));
  EXPECT_THAT(state.outputs, ElementsAre("z", "w"));
  EXPECT_TRUE(state.hardware_compatible);
  EXPECT_EQ(state.platform, "linux_x86_64");
  EXPECT_FALSE(state.requires_output_allocator);
  EXPECT_TRUE(state.dynamic_memory);
  EXPECT_TRUE(state.uses_collectives);
  ASSERT_EQ(state.aliases.size(), 1U);
  EXPECT_EQ(state.aliases[0].output, "z");
  EXPECT_EQ(state.aliases[0].input, "x");
}

TEST(EngineState, OfOlderFormatsLacksTheTail) {
  for (int version = 7; version <= 10; ++version) {
    std::vector<std::string> texts(kTexts.begin(), kTexts.begin() + version + 3);
    texts[0] = std::to_string(version);
    const Value value = state_of(texts);
    const EngineState state = read_engine_state(value);
    EXPECT_EQ(state.version, version);
    EXPECT_EQ(state.dynamic_memory, version >= 8);
    EXPECT_EQ(state.uses_collectives, version >= 9);
    EXPECT_EQ(state.aliases.empty(), version < 10);
  }
}

TEST(EngineState, OfOtherFormatsIsRefusedByName) {
  EXPECT_THAT(error_of(state_of(with(0, "6")), ErrorCode::Unsupported), HasSubstr("of format 6; 7 to 10"));
  EXPECT_THAT(error_of(state_of(with(0, "11")), ErrorCode::Unsupported), HasSubstr("of format 11"));
  EXPECT_THAT(error_of(state_of(with(0, "ten")), ErrorCode::Corrupt), HasSubstr("\"ten\""));
}

TEST(EngineState, OfTheWrongLengthIsRefused) {
  std::vector<std::string> texts = kTexts;
  texts.pop_back();
  EXPECT_THAT(error_of(state_of(texts), ErrorCode::Corrupt),
              HasSubstr("has 12 items, one of format 10 has 13"));
  EXPECT_THAT(error_of(state_of({}), ErrorCode::Corrupt), HasSubstr("a list of texts"));
  EXPECT_THAT(error_of(Value("10"), ErrorCode::Corrupt), HasSubstr("a list of texts"));
  EXPECT_THAT(error_of(Value::list({Value("10"), Value(std::int64_t{1})}), ErrorCode::Corrupt),
              HasSubstr("item 1 of the engine's state is a integer"));
}

TEST(EngineState, SaysWhatIsWrongWhere) {
  const auto corrupt = [](std::size_t position, const std::string& text) {
    return error_of(state_of(with(position, text)), ErrorCode::Corrupt);
  };
  EXPECT_THAT(corrupt(2, "0%9%0%NVIDIA"), HasSubstr("item 2 of the engine's state (device) has 4 parts"));
  EXPECT_THAT(corrupt(2, "0%x%0%0%NVIDIA"), HasSubstr("\"x\" where a number"));
  EXPECT_THAT(corrupt(2, "0%-9%0%0%NVIDIA"), HasSubstr("\"-9\""));
  EXPECT_THAT(corrupt(2, "0%9%0%2%NVIDIA"), HasSubstr("device type 2"));
  EXPECT_THAT(corrupt(3, ""), HasSubstr("(plan) is empty"));
  EXPECT_THAT(corrupt(3, "no base64"), HasSubstr("no base64"));
  EXPECT_THAT(corrupt(4, "x%%y"), HasSubstr("empty name at place 1"));
  EXPECT_THAT(corrupt(4, "x%x"), HasSubstr("\"x\" twice"));
  EXPECT_THAT(corrupt(6, "2"), HasSubstr("is \"2\"; 0 or 1"));
  EXPECT_THAT(corrupt(9, "yes"), HasSubstr("(output allocator) is \"yes\""));
  EXPECT_THAT(corrupt(12, "z@x"), HasSubstr("output@input@kind"));
  EXPECT_THAT(corrupt(12, "@x@user"), HasSubstr("output@input@kind"));
  EXPECT_THAT(corrupt(12, "z@v@user"), HasSubstr("\"z\" is input \"v\""));
  std::vector<std::string> both = with(9, "1");
  EXPECT_THAT(error_of(state_of(both), ErrorCode::Corrupt), HasSubstr("cannot have both"));
}

TEST(EngineState, OfAnotherPlatformIsRefused) {
  EXPECT_THAT(error_of(state_of(with(8, "windows_x86_64")), ErrorCode::Incompatible),
              HasSubstr("\"windows_x86_64\", and this is linux_x86_64"));
}

TEST(EngineState, KeepsSeparatorsInTheNameOfTheGpu) {
  const Value value = state_of(with(2, "0%9%0%1%A%B"));
  const EngineState state = read_engine_state(value);
  EXPECT_EQ(state.device.name, "A%B");
  EXPECT_TRUE(state.device.is_dla);
}

TEST(EngineState, MayLeaveTheNamesToThePlan) {
  std::vector<std::string> texts = with(4, "");
  texts[5] = "";
  texts[12] = "";
  const Value value = state_of(texts);
  const EngineState state = read_engine_state(value);
  EXPECT_THAT(state.inputs, IsEmpty());
  EXPECT_THAT(state.outputs, IsEmpty());
}

}  // namespace
}  // namespace penstock::tensorrt
