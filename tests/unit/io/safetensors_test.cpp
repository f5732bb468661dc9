#include "io_helpers.hpp"

#include <gtest/gtest.h>

namespace penstock::io {
namespace {

using testing::expect_refused;
using testing::kData;
using testing::read_bytes;
using testing::values;

std::string with_length(std::string_view header, std::string_view data, std::uint64_t length) {
  std::string result;
  for (int i = 0; i < 8; ++i) result += static_cast<char>(length >> (8 * i) & 0xff);
  return result + std::string(header) + std::string(data);
}

std::string file(std::string_view header, std::string_view data) {
  return with_length(header, data, header.size());
}

std::string floats(std::string_view entry) {
  return file(std::string("{\"x\":") + std::string(entry) + "}", std::string(24, '\0'));
}

TEST(Safetensors, ReadsWhatSafetensorsWrites) {
  const NamedTensors tensors = read_tensors(kData / "all.safetensors");
  ASSERT_EQ(tensors.size(), 13u);
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(dtype_name(tensor.dtype()), name);
    EXPECT_EQ(testing::sizes_of(tensor), (std::vector<std::int64_t>{2, 3}));
    if (name == "int64") {
      EXPECT_EQ(values<std::int64_t>(tensor), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
    }
    if (name == "bool") {
      EXPECT_EQ(values<bool>(tensor), (std::vector<bool>{false, true, false, true, false, true}));
    }
    if (name == "float64") {
      EXPECT_EQ(values<double>(tensor), (std::vector<double>{0, 1, 2, 3, 4, 5}));
    }
  }
}

TEST(Safetensors, KeepsTheOrderOfTheHeader) {
  const NamedTensors tensors = read_bytes(file(
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
      "\x07\x09"));
  ASSERT_EQ(tensors.size(), 2u);
  EXPECT_EQ(tensors[0].first, "b");
  EXPECT_EQ(values<unsigned char>(tensors[0].second), std::vector<unsigned char>{9});
  EXPECT_EQ(tensors[1].first, "a");
  EXPECT_EQ(values<unsigned char>(tensors[1].second), std::vector<unsigned char>{7});
}

TEST(Safetensors, ReadsFilesWithoutTensorsAndPaddedHeaders) {
  EXPECT_TRUE(read_bytes(file("{}", "")).empty());
  EXPECT_TRUE(read_bytes(file(R"({"__metadata__":{"a":"b"}}      )", "")).empty());
}

TEST(Safetensors, RefusesHeadersThatAreNotOne) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"dtype":"F32","shape":[2,3]})", "lacks"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24],"more":1})", "other than"},
      {R"({"dtype":"F32","dtype":"F32","shape":[2,3],"data_offsets":[0,24]})", "dtype twice"},
      {R"({"dtype":"F32","shape":[2,3],"shape":[2,3],"data_offsets":[0,24]})", "shape twice"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24],"data_offsets":[0,24]})", "data_offsets twice"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0]})", "not two numbers"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24,24]})", "not two numbers"},
      {R"({"dtype":"F32","shape":[2,-3],"data_offsets":[0,24]})", "negative"},
      {R"({"dtype":"F32","shape":[2,3.5],"data_offsets":[0,24]})", "fraction"},
      {R"({"dtype":"F32","shape":[2,1e3],"data_offsets":[0,24]})", "fraction"},
      {R"({"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,24]})", "63 bits"},
      {R"({"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,24]})", "larger than any memory"},
      {R"({"dtype":"F32","shape":null,"data_offsets":[0,24]})", "null"},
      {R"({"dtype":"F32","shape":true,"data_offsets":[0,24]})", "boolean"},
      {R"({"dtype":"F32","shape":6,"data_offsets":[0,24]})", "number where none"},
      {R"({"dtype":"F32","shape":"6","data_offsets":[0,24]})", "text where none"},
      {R"({"dtype":"F32","shape":["6"],"data_offsets":[0,24]})", "text where none"},
      {R"({"dtype":["F32"],"shape":[6],"data_offsets":[0,24]})", "list where none"},
      {R"({"dtype":"F32","shape":[[6]],"data_offsets":[0,24]})", "list where none"},
      {R"({"dtype":"F32","shape":[{}],"data_offsets":[0,24]})", "object where none"},
      {R"({"dtype":{"a":{}},"shape":[6],"data_offsets":[0,24]})", "object where none"},
      {R"([1])", "list where none"},
      {R"(7)", "number where none"},
      {R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}},{)", "not JSON"},
      {R"({"dtype":"F32",)", "not JSON"},
      {"{\"dtype\":\"\xff\"}", "not JSON"},
  };
  for (const auto& [entry, part] : cases) expect_refused(floats(entry), ErrorCode::Corrupt, part);
}

TEST(Safetensors, RefusesDeepHeadersWithoutDescending) {
  expect_refused(file(R"({"__metadata__":{"a":)" + std::string(100'000, '['), ""), ErrorCode::Corrupt,
                 "list where none");
  expect_refused(file(std::string("{\"x\":") + std::string(100'000, '['), ""), ErrorCode::Corrupt,
                 "list where none");
  std::string objects;
  for (int i = 0; i < 50'000; ++i) objects += "{\"__metadata__\":";
  expect_refused(file(objects, ""), ErrorCode::Corrupt, "object where none");
}

TEST(Safetensors, RefusesDuplicateNames) {
  const std::string entry = R"("x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_refused(file("{" + entry + "," + entry + "}", ""), ErrorCode::Corrupt, "\"x\": is there twice");
  expect_refused(file(R"({"__metadata__":{},"__metadata__":{}})", ""), ErrorCode::Corrupt, "twice");
}

TEST(Safetensors, RefusesOffsetsThatLie) {
  const auto floats_at = [](std::string_view offsets) {
    return floats(R"({"dtype":"F32","shape":[2,3],"data_offsets":)" + std::string(offsets) + "}");
  };
  expect_refused(floats_at("[0,28]"), ErrorCode::Corrupt, "not within the 24 bytes");
  expect_refused(floats_at("[24,0]"), ErrorCode::Corrupt, "wrong way round");
  expect_refused(floats_at("[0,20]"), ErrorCode::Corrupt, "need 24 bytes, but 20");
  expect_refused(floats_at("[0,9223372036854775807]"), ErrorCode::Corrupt, "not within");
  expect_refused(floats(R"({"dtype":"U8","shape":[20],"data_offsets":[4,24]})"), ErrorCode::Corrupt, "gap");
  expect_refused(floats(R"({"dtype":"U8","shape":[20],"data_offsets":[0,20]})"), ErrorCode::Corrupt,
                 "4 bytes at its end");
  expect_refused(
      file(
          R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
          "abc"),
      ErrorCode::Corrupt, "\"b\": its bytes overlap");
}

TEST(Safetensors, RefusesDtypesAndRanksThatItDoesNotHave) {
  expect_refused(floats(R"({"dtype":"F4","shape":[2,3],"data_offsets":[0,24]})"), ErrorCode::Unsupported,
                 "\"F4\"");
  expect_refused(
      floats(R"({"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,6],"data_offsets":[0,24]})"),
      ErrorCode::Unsupported, "16 dimensions");
}

TEST(Safetensors, RefusesFilesThatAreCutShort) {
  const std::string whole = floats(R"({"dtype":"F32","shape":[2,3],"data_offsets":[0,24]})");
  ASSERT_EQ(read_bytes(whole).size(), 1u);
  for (std::size_t length = 10; length < whole.size(); ++length) {
    expect_refused(whole.substr(0, length), ErrorCode::Corrupt, "cut short");
  }
  expect_refused(with_length("{}", "", UINT64_MAX), ErrorCode::Corrupt, "cut short");
}

TEST(Safetensors, MakesEveryTrueBooleanOne) {
  const NamedTensors tensors = read_bytes(
      file(R"({"x":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}})", std::string("\0\x80", 2)));
  EXPECT_EQ(values<unsigned char>(tensors[0].second), (std::vector<unsigned char>{0, 1}));
}

}  // namespace
}  // namespace penstock::io
