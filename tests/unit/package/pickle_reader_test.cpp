#include "package/pickle_reader.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <string>

namespace penstock::package {
namespace {

using namespace std::string_literals;

PickledTensor read(const std::string& pickle) {
  return read_pickled_tensor(std::as_bytes(std::span(pickle.data(), pickle.size())), "x");
}

/// What torch.save writes for a float32 tensor [2, 3], by protocol 2.
const std::string kStorage =
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
    "0X\3\0\0\0cpuK\6tQ"s;
const std::string kTensor = "ctorch._utils\n_rebuild_tensor_v2\n(" + kStorage +
                            "K\0K\2K\3\x86K\3K\1\x86\x89"
                            "ccollections\nOrderedDict\n)RtR"s;

void expect_refused(const std::string& pickle, ErrorCode code, const std::string& part) {
  try {
    read(pickle);
    ADD_FAILURE() << "was accepted: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(PickleReader, ReadsATensorAndAParameter) {
  for (const std::string& text : {"\x80\2" + kTensor + ".",
                                  "\x80\2"
                                  "ctorch._utils\n_rebuild_parameter\n" +
                                      kTensor +
                                      "\x88"
                                      "ccollections\nOrderedDict\n)R\x87R."}) {
    const PickledTensor tensor = read(text);
    EXPECT_EQ(tensor.dtype, DType::Float32);
    EXPECT_EQ(tensor.key, "0");
    EXPECT_EQ(tensor.storage_elements, 6U);
    EXPECT_EQ(tensor.offset, 0U);
    EXPECT_EQ(tensor.sizes, (std::vector<std::int64_t>{2, 3}));
    EXPECT_EQ(tensor.strides, (std::vector<std::int64_t>{3, 1}));
  }
}

TEST(PickleReader, RecallsWhatItRemembered) {
  std::string text = kTensor;
  text.replace(text.find("K\2K\3\x86"), 5, "K\2q\1K\3\x86");
  text.replace(text.find("K\3K\1\x86"), 5, "h\1K\1\x86");
  EXPECT_EQ(read("\x80\2" + text + ".").strides, (std::vector<std::int64_t>{2, 1}));
  expect_refused("\x80\2h\5.", ErrorCode::Corrupt, "has not remembered");
  expect_refused("\x80\2q\1.", ErrorCode::Corrupt, "remembers a value where there is none");
  expect_refused("\x80\2Nr\0\0\0\x40."s, ErrorCode::Corrupt, "as number 1073741824 after number 0");
  expect_refused("\x80\2Nq\2h\1."s, ErrorCode::Corrupt, "has not remembered");
}

TEST(PickleReader, CallsNothing) {
  expect_refused(
      "\x80\2"
      "cos\nsystem\n(X\2\0\0\0lstR."s,
      ErrorCode::Unsupported, "calls os system");
  expect_refused(
      "\x80\2"
      "cbuiltins\neval\n)R."s,
      ErrorCode::Unsupported, "calls builtins eval");
  expect_refused("\x80\4\x8c\2os\x8c\6system\x93)R.", ErrorCode::Unsupported, "calls os system");
  for (const char opcode : {'i', 'o', 'b', 'P', '\x81', '\x92', 'S', 'B', 'd', 's', 'u', 'a', 'e'})
    expect_refused("\x80\2" + std::string(1, opcode), ErrorCode::Unsupported, "opcode");
}

TEST(PickleReader, RefusesEveryPrefix) {
  const std::string whole = "\x80\2" + kTensor + ".";
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(read(whole.substr(0, length)), Error);
  expect_refused(whole + ".", ErrorCode::Corrupt, "behind its end");
}

TEST(PickleReader, RefusesWhatIsNoTensor) {
  expect_refused("\x80\2K\1.", ErrorCode::Unsupported, "no tensor");
  expect_refused("\x80\2K\1K\1.", ErrorCode::Corrupt, "2 values");
  expect_refused("\x80\2t.", ErrorCode::Corrupt, "without a start");
  expect_refused("\x80\2(\x85.", ErrorCode::Corrupt, "mark");
  expect_refused("\x80\7.", ErrorCode::Unsupported, "protocol 7");
  std::string other = kTensor;
  other.replace(other.find("FloatStorage"), 12, "FancyStorage");
  expect_refused("\x80\2" + other + ".", ErrorCode::Unsupported, "torch FancyStorage");
}

TEST(PickleReader, BoundsWhatATextCanMakeOfItself) {
  expect_refused("\x80\2" + std::string(5000, 'N') + ".", ErrorCode::Unsupported, "more than 2000");
  expect_refused(
      "\x80\2X\xff\xff\xff\xff"
      "abc",
      ErrorCode::Corrupt, "truncated");
  expect_refused(std::string((1 << 20) + 1, 'N'), ErrorCode::Corrupt, "bytes");
}

}  // namespace
}  // namespace penstock::package
