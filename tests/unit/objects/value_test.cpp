#include <penstock/error.hpp>
#include <penstock/value.hpp>

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace penstock {
namespace {

TEST(Value, HoldsWhatItIsGiven) {
  EXPECT_TRUE(Value().is_none());
  EXPECT_EQ(Value(true).boolean(), true);
  EXPECT_EQ(Value(std::int64_t{-3}).integer(), -3);
  EXPECT_EQ(Value(2.5).number(), 2.5);
  EXPECT_EQ(Value(std::int64_t{4}).number(), 4.0);
  EXPECT_EQ(Value("text").text(), "text");
  EXPECT_EQ(Value(Device{DeviceType::Cuda, 1}).device().index, 1);
  EXPECT_EQ(Value(DType::Bool).dtype(), DType::Bool);
  const Tensor tensor = Tensor::empty(DType::Int8, {2});
  EXPECT_EQ(Value(tensor).tensor().view().data(), tensor.view().data());
  const Value dictionary =
      Value::dictionary({{Value("a"), Value(std::int64_t{1})}, {Value(true), Value("b")}});
  EXPECT_EQ(dictionary.entries().size(), 2U);
  ASSERT_NE(dictionary.find("a"), nullptr);
  EXPECT_EQ(dictionary.find("a")->integer(), 1);
  EXPECT_EQ(dictionary.find("b"), nullptr);
}

TEST(Value, KeepsWhatItShares) {
  auto owner = std::make_shared<std::string>("shared");
  Value text = Value::shared_text(*owner, owner);
  Value bytes = Value::shared_bytes(std::as_bytes(std::span(*owner)), owner);
  EXPECT_EQ(owner.use_count(), 3);
  EXPECT_EQ(static_cast<const void*>(text.text().data()), owner->data());
  EXPECT_EQ(bytes.bytes().size(), 6U);
  text = Value();
  bytes = text;
  EXPECT_EQ(owner.use_count(), 1);
}

TEST(Value, SaysWhatItIsWhereSomethingElseBelongs) {
  const auto refused = [](const auto& work, const std::string& part) {
    try {
      work();
      ADD_FAILURE() << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  const Value list = Value::list({Value(true)});
  refused([&] { static_cast<void>(list.text()); }, "a value of kind list where text belongs: [True]");
  refused([&] { static_cast<void>(list.number()); }, "where number belongs");
  refused([&] { static_cast<void>(list.find("x")); }, "where dictionary belongs");
  refused([] { static_cast<void>(Value("x").items()); }, "kind text where list or tuple belongs: \"x\"");
  refused([] { static_cast<void>(Value(1.0).integer()); }, "kind number where integer belongs");
}

TEST(Value, IsWrittenAsPythonDoes) {
  EXPECT_EQ(to_string(Value()), "None");
  EXPECT_EQ(to_string(Value::tuple({Value(true)})), "(True,)");
  EXPECT_EQ(to_string(Value::tuple({Value(0.5), Value::list({})})), "(0.5, [])");
  EXPECT_EQ(to_string(Value::dictionary({{Value("k"), Value(DType::Int8)}})), "{\"k\": int8}");
  EXPECT_EQ(to_string(Value("a\"b\\c\n")), "\"a\\\"b\\\\c\\x0a\"");
  EXPECT_EQ(to_string(Value(Device{})), "cpu");
}

TEST(Value, IsWrittenInShortWhereItIsLong) {
  const std::string text = to_string(Value(std::string_view(std::string(1000, 'x'))), 20);
  EXPECT_EQ(text, "\"" + std::string(19, 'x') + "...");
  // Nested, each list twice in the next: far too long to write out.
  Value value("leaf");
  for (int i = 0; i < 50; ++i) value = Value::list({value, value});
  EXPECT_LT(to_string(value, 100).size(), 110U);
}

}  // namespace
}  // namespace penstock
