#include "io/npy.hpp"

#include "io_helpers.hpp"

#include <gtest/gtest.h>

namespace penstock::io {
namespace {

using testing::expect_refused;
using testing::kData;
using testing::sizes_of;
using testing::values;
using Sizes = std::vector<std::int64_t>;

constexpr std::string_view kFloats23 = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";

std::string npy_file(std::string_view header, std::string_view data, char major = 1) {
  std::string result(kNpyMagic);
  result += {major, '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  if (major > 1) result += std::string(2, '\0');
  return result + std::string(header) + std::string(data);
}

std::string floats23(std::string_view header) { return npy_file(header, std::string(24, '\0')); }

TEST(Npy, ReadsWhatNumpyWritesInEveryVersion) {
  for (const char* name : {"version1", "version2", "version3"}) {
    const NamedTensors tensors = read_tensors(kData / (std::string(name) + ".npy"));
    ASSERT_EQ(tensors.size(), 1u);
    EXPECT_EQ(tensors[0].first, name);
    EXPECT_EQ(tensors[0].second.dtype(), DType::Float32);
    EXPECT_EQ(sizes_of(tensors[0].second), (Sizes{2, 3}));
    EXPECT_EQ(values<float>(tensors[0].second), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  }
}

TEST(Npy, TurnsFortranOrderIntoRowMajor) {
  const Tensor tensor = read_tensors(kData / "fortran.npy")[0].second;
  EXPECT_EQ(sizes_of(tensor), (Sizes{2, 3, 4}));
  EXPECT_TRUE(tensor.view().is_contiguous());
  const std::vector<std::int32_t> elements = values<std::int32_t>(tensor);
  for (int i = 0; i < 24; ++i) EXPECT_EQ(elements[static_cast<std::size_t>(i)], i);
}

TEST(Npy, ReadsScalarsEmptyArraysAndOneDimension) {
  const Tensor scalar = read_tensors(kData / "scalar.npy")[0].second;
  EXPECT_EQ(sizes_of(scalar), Sizes{});
  EXPECT_EQ(values<double>(scalar), std::vector<double>{7});
  EXPECT_EQ(sizes_of(read_tensors(kData / "empty.npy")[0].second), (Sizes{0, 3}));
  EXPECT_EQ(values<std::int16_t>(read_tensors(kData / "one.npy")[0].second),
            (std::vector<std::int16_t>{0, 1, 2, 3, 4}));
}

TEST(Npy, RefusesWhatIsNotNumbersByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"big_endian.npy", "big-endian"}, {"objects.npy", "Python objects"},
      {"text.npy", "\"<U3\""},          {"fields.npy", "structured array"},
      {"dates.npy", "\"<M8[D]\""},      {"bfloat16.npy", ".safetensors file"},
  };
  for (const auto& [name, part] : cases) {
    expect_refused(testing::read_file(kData / name), ErrorCode::Unsupported, part);
  }
}

TEST(Npy, ParsesTheHeadersThatOtherWritersMake) {
  const NpyHeader header =
      parse_npy_header("{\"shape\":(2L,), 'fortran_order':True,'descr':'|b1'}   \n", "input");
  EXPECT_EQ(header.dtype, DType::Bool);
  EXPECT_TRUE(header.fortran_order);
  EXPECT_EQ(header.sizes, Sizes{2});
  EXPECT_EQ(parse_npy_header("{'descr': '=i8', 'fortran_order': False, 'shape': ()}", "input").dtype,
            DType::Int64);
}

TEST(Npy, RefusesHeadersThatAreNotOne) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "'{'"},
      {"{", "where one must be"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)", "'}'"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } extra", "after the closing brace"},
      {"{'descr': '<f4', 'fortran_order': False}", "lacks"},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}", "descr twice"},
      {"{'descr': '<f4', 'shape': (2, 3), 'shape': (2, 3), 'fortran_order': False}", "shape twice"},
      {"{'fortran_order': False, 'fortran_order': False, 'descr': '<f4', 'shape': (2, 3)}", "order twice"},
      {"{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}", "not True or False"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}", "no size"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': [2, 3]}", "'('"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "63 bits"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 2)}",
       "larger than any memory"},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}", "larger than any memory"},
      {"{'descr': 'f', 'fortran_order': False, 'shape': (2, 3)}", "no dtype"},
      {"{'descr': '', 'fortran_order': False, 'shape': (2, 3)}", "no dtype"},
      {"{'descr': '\\x3cf4', 'fortran_order': False, 'shape': (2, 3)}", "escape"},
      {"{'descr': '<f4', 'order': 'C', 'fortran_order': False, 'shape': (2, 3)}", "a key other than"},
      {"{'descr", "without an end"},
  };
  for (const auto& [header, part] : cases) expect_refused(floats23(header), ErrorCode::Corrupt, part);
}

TEST(Npy, RefusesDtypesAndRanksThatItDoesNotHave) {
  expect_refused(floats23("{'descr': '<f16', 'fortran_order': False, 'shape': (2, 3)}"),
                 ErrorCode::Unsupported, "\"<f16\"");
  expect_refused(floats23("{'descr': '<>', 'fortran_order': False, 'shape': (2, 3)}"), ErrorCode::Unsupported,
                 "\"<>\"");
  expect_refused(floats23("{'descr': '|S5', 'fortran_order': False, 'shape': (2, 3)}"),
                 ErrorCode::Unsupported, "\"|S5\"");
  expect_refused(
      floats23("{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1)}"),
      ErrorCode::Unsupported, "16 dimensions");
}

TEST(Npy, RefusesFilesThatAreCutShortOrTooLong) {
  const std::string whole = floats23(kFloats23);
  ASSERT_EQ(testing::read_bytes(whole).size(), 1u);
  for (std::size_t length = 6; length < whole.size(); ++length) {
    expect_refused(whole.substr(0, length), ErrorCode::Corrupt, "cut short");
  }
  expect_refused(whole + "x", ErrorCode::Corrupt, "25 follow");
  expect_refused(npy_file(kFloats23, "", 2).substr(0, 11), ErrorCode::Corrupt, "cut short");
}

TEST(Npy, RefusesOtherVersionsAndHugeHeaders) {
  expect_refused(npy_file(kFloats23, "", 4), ErrorCode::Unsupported, "version 4.0");
  std::string huge = npy_file("", std::string(3 << 20, ' '), 2);
  huge[10] = '\x20';  // The length's third byte: 2 MiB.
  expect_refused(huge, ErrorCode::Corrupt, "at most");
}

TEST(Npy, MakesEveryTrueBooleanOne) {
  const NamedTensors tensors = testing::read_bytes(
      npy_file("{'descr': '|b1', 'fortran_order': False, 'shape': (3,)}", std::string("\0\x02\xff", 3)));
  EXPECT_EQ(values<unsigned char>(tensors[0].second), (std::vector<unsigned char>{0, 1, 1}));
}

TEST(Npy, PreambleIsNumpysOwn) {
  for (const char* name : {"version1.npy", "scalar.npy", "empty.npy", "one.npy"}) {
    const std::string file = testing::read_file(kData / name);
    const Tensor tensor = read_tensors(kData / name)[0].second;
    const std::string preamble = npy_preamble(tensor.view(), "input");
    EXPECT_EQ(preamble, file.substr(0, preamble.size())) << name;
    EXPECT_EQ(preamble.size() % 64, 0u);
  }
}

}  // namespace
}  // namespace penstock::io
