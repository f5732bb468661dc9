#include "package/pickled_state.hpp"

#include "package_builder.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::package {
namespace {

using namespace std::string_literals;
using test::expect_error;

const std::string kClass = "c__torch__.torch.classes.ns\nThing\n)\x81"s;

/// The package of one object whose pickle is `pickle`, with more files beside it.
Archive archive_with(const std::string& pickle, const std::map<std::string, std::string>& more = {}) {
  std::vector<test::ZipItem> inner = {{"archive/data.pkl", pickle}, {"archive/byteorder", "little"}};
  for (const auto& [name, data] : more) inner.push_back({"archive/" + name, data});
  return test::archive_of({{"object", test::build_zip(inner)}});
}

PickledState read(const std::string& pickle, const std::map<std::string, std::string>& more = {}) {
  ValueBudget budget;
  return read_pickled_state(archive_with(pickle, more), "object", "thing", budget);
}

/// The state that is written as `state`.
Value state_of(const std::string& state, const std::map<std::string, std::string>& more = {}) {
  return read("\x80\2" + kClass + state + "b.", more).state;
}

void expect_refused(const std::string& state, ErrorCode code, std::string_view words,
                    const std::map<std::string, std::string>& more = {}) {
  expect_error(code, words, [&] { state_of(state, more); });
}

/// A float32 tensor [2, 3] of storage "0".
std::string tensor(const std::string& elements = "K\6", const std::string& more = {}) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"s
         "0X\3\0\0\0cpu"s +
         elements +
         "tQK\0K\2K\3\x86K\3K\1\x86\x89"
         "ccollections\nOrderedDict\n)R"s +
         more + "tR";
}

/// The same of a tensor that was somewhere else.
std::string tensor_on(const std::string& location) {
  std::string text = tensor();
  return text.replace(text.find("X\3\0\0\0cpu"s), 8, location);
}

std::string floats(int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    const auto value = static_cast<float>(i);
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return bytes;
}

std::string repeated(const std::string& part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

std::string list_of(const std::string& items) { return "](" + items + "e"; }

TEST(PickledState, ReadsEveryKindOfValue) {
  EXPECT_EQ(read("\x80\2" + kClass + "Nb.").class_name, "ns.Thing");
  EXPECT_TRUE(state_of("N").is_none());
  EXPECT_EQ(to_string(state_of("K\5K\7\x86")), "(5, 7)");
  EXPECT_EQ(to_string(state_of("J\xfe\xff\xff\xff\x85")), "(-2,)");
  EXPECT_EQ(state_of("\x8a\5\0\0\0\0\1"s).integer(), std::int64_t{1} << 32);
  EXPECT_EQ(state_of("G\x40\x04\0\0\0\0\0\0"s).number(), 2.5);
  EXPECT_EQ(to_string(state_of(list_of("\x88\x89"))), "[True, False]");
  EXPECT_EQ(to_string(state_of("](\x88\x89l\x86")), "([], [True, False])");
  EXPECT_EQ(state_of("X\3\0\0\0abc"s).text(), "abc");
  EXPECT_EQ(to_string(state_of("C\2\1\2"s)), "bytes[2]");
  EXPECT_EQ(to_string(state_of("}(K\1X\1\0\0\0au"s)), "{1: \"a\"}");
  EXPECT_EQ(to_string(state_of("(K\1K\2d"s)), "{1: 2}");
  EXPECT_EQ(to_string(state_of("}K\1K\2s"s)), "{1: 2}");
  EXPECT_EQ(to_string(state_of("]K\1a"s)), "[1]");
  EXPECT_EQ(state_of("ctorch\nfloat16\n").dtype(), DType::Float16);
  EXPECT_EQ(state_of("ctorch\ndevice\nX\6\0\0\0cuda:1\x85R"s).device(), (Device{DeviceType::Cuda, 1}));
  EXPECT_EQ(state_of("ctorch\ndevice\nX\4\0\0\0cudaK\2\x86R"s).device(), (Device{DeviceType::Cuda, 2}));
  EXPECT_EQ(state_of("ctorch\ndevice\nX\5\0\0\0cpu:0\x85R"s).device(), Device{});
}

TEST(PickledState, ReadsBytesAsProtocol2WritesThem) {
  const Value bytes = state_of("c_codecs\nencode\nX\3\0\0\0a\xc3\xa9X\6\0\0\0latin1\x86R"s);
  ASSERT_EQ(bytes.bytes().size(), 2U);
  EXPECT_EQ(bytes.bytes()[0], std::byte{'a'});
  EXPECT_EQ(bytes.bytes()[1], std::byte{0xe9});
  expect_refused("c_codecs\nencode\nX\2\0\0\0\xc5\x82X\6\0\0\0latin1\x86R"s, ErrorCode::Corrupt,
                 "bytes that are none");
  expect_refused("c_codecs\nencode\nX\1\0\0\0aX\5\0\0\0utf-8\x86R"s, ErrorCode::Unsupported, "latin1");
}

TEST(PickledState, GivesAListItsItemsWhateverTypeItIsTaggedWith) {
  for (const char* name : {"build_intlist", "build_tensorlist", "build_doublelist", "build_boollist"}) {
    const std::string text = "ctorch.jit._pickle\n"s + name + "\n(" + list_of("K\1K\2") + "tR";
    EXPECT_EQ(to_string(state_of(text)), "[1, 2]") << name;
  }
  EXPECT_EQ(to_string(state_of("ctorch.jit._pickle\nrestore_type_tag\n" + list_of("K\1") +
                               "X\11\0\0\0List[int]\x86R"s)),
            "[1]");
}

TEST(PickledState, SharesWhatIsRecalled) {
  // Equal texts are written once: a reader without a memo misreads most engines.
  const Value state =
      state_of(list_of("X\1\0\0\0"s
                       "0q\0h\0h\0"s));
  EXPECT_EQ(to_string(state), "[\"0\", \"0\", \"0\"]");
}

TEST(PickledState, ReadsTensorsAndTheirViews) {
  const Value state = state_of(tensor(), {{"data/0", floats(6)}});
  EXPECT_EQ(to_string(state), "float32[2, 3]");
  EXPECT_EQ(state.tensor().data_as<float>()[5], 5.0F);
  const Value pair = state_of(tensor() + "q\1h\1\x86", {{"data/0", floats(6)}});
  EXPECT_EQ(pair.items()[0].tensor().view().data(), pair.items()[1].tensor().view().data());
}

TEST(PickledState, GivesTensorsOfAGpuInHostMemory) {
  const Value state = state_of(tensor_on("X\6\0\0\0cuda:1"s), {{"data/0", floats(6)}});
  EXPECT_EQ(state.tensor().view().device(), Device{});
  EXPECT_EQ(state.tensor().data_as<float>()[5], 5.0F);
}

TEST(PickledState, RefusesTensorsThatLie) {
  expect_refused(tensor(), ErrorCode::Corrupt, "states 6 elements of float32, 20 bytes are there",
                 {{"data/0", floats(5)}});
  expect_refused(tensor("K\5"), ErrorCode::Corrupt, "reaches past its storage of 20 bytes",
                 {{"data/0", floats(5)}});
  expect_refused(tensor(), ErrorCode::Corrupt, "data/0");
  expect_refused(tensor_on("X\5\0\0\0xpu:0"s), ErrorCode::Unsupported, "a tensor on xpu:0",
                 {{"data/0", floats(6)}});
  expect_refused(tensor("K\6", "}(K\0\x88u"s), ErrorCode::Unsupported, "conjugated or negated",
                 {{"data/0", floats(6)}});
  EXPECT_EQ(to_string(state_of(tensor("K\6", "}(K\0\x89u"s), {{"data/0", floats(6)}})), "float32[2, 3]");
}

TEST(PickledState, NamesWhatIsNotKnown) {
  expect_refused("cos\nsystem\nX\2\0\0\0ls\x85R"s, ErrorCode::Unsupported, "calls os system");
  expect_refused("cbuiltins\neval\n", ErrorCode::Unsupported, "names builtins eval");
  expect_refused("ctorch._utils\n_rebuild_qtensor\n)R", ErrorCode::Unsupported,
                 "torch._utils _rebuild_qtensor");
  expect_refused("ctorch\ndevice\nX\4\0\0\0meta\x85R"s, ErrorCode::Unsupported, "the device \"meta\"");
  expect_refused(kClass + "Nb", ErrorCode::Unsupported, "an object of class ns.Thing within the state");
  expect_refused("cfunctools\npartial\n)\x81", ErrorCode::Unsupported, "an object of functools partial");
  for (const char opcode : {'i', 'o', 'P', '\x92', 'S', 'I', 'F', '0', '2'})
    expect_refused(std::string(1, opcode), ErrorCode::Unsupported, "opcode 0x");
  expect_error(ErrorCode::Unsupported, "no object", [] { read("\x80\2K\1."); });
}

TEST(PickledState, RefusesCyclesAndDepth) {
  expect_refused("]q\0h\0a"s, ErrorCode::Corrupt, "within itself");
  expect_refused("]q\0(h\0ta"s, ErrorCode::Corrupt, "within itself");
  expect_refused(std::string(70, ']') + std::string(69, 'a'), ErrorCode::Unsupported, "deeper than 64");
  // Each of these is shallow alone.
  std::string chain = std::string(40, ']') + std::string(39, 'a') + "q\0"s;
  chain += std::string(40, ']') + "h\0"s + std::string(40, 'a') + "\x86";
  expect_refused(chain, ErrorCode::Unsupported, "deeper than 64");
}

TEST(PickledState, BoundsWhatIsDescribedByLittle) {
  // Two of two of two ...: 2^40 values in 200 bytes.
  std::string laughs = "K\1";
  for (int i = 0; i < 40; ++i) laughs += "q\0h\0\x86"s;
  expect_refused(laughs, ErrorCode::Unsupported, "more values than the 8388608");
  expect_refused(
      "X\xff\xff\xff\xff"s
      "abc",
      ErrorCode::Corrupt, "truncated");
  expect_refused("\x8d\xff\xff\xff\xff\xff\xff\xff\xff"s, ErrorCode::Corrupt, "truncated");
  expect_refused("c" + std::string(5000, 'x'), ErrorCode::Unsupported, "a name of more than");
  expect_refused("(" + repeated("ca\nb\n", 10'001) + "t", ErrorCode::Unsupported,
                 "names more than 10000 things");
  expect_refused("(" + std::string(1 << 20, ')') + "t", ErrorCode::Unsupported,
                 "more than 1048576 lists, tuples and dictionaries");
}

TEST(PickledState, MakesATensorOnceHoweverOftenItIsUsed) {
  // Remembered as number 0, and recalled.
  const Value twice = state_of("(" + tensor() + "q\0h\0t"s, {{"data/0", floats(6)}});
  ASSERT_EQ(twice.items().size(), 2U);
  EXPECT_EQ(&twice.items()[0].tensor(), &twice.items()[1].tensor());
}

TEST(PickledState, IsBoundedForAllObjectsTogether) {
  const std::string pickle = "\x80\2" + kClass + "(K\1K\2tb.";
  ValueBudget budget{5};
  const auto next = [&] { return read_pickled_state(archive_with(pickle), "object", "thing", budget); };
  EXPECT_EQ(next().state.items().size(), 2U);
  EXPECT_EQ(budget.values, 2U);
  expect_error(ErrorCode::Unsupported, "more values than the 8388608", [&] { next(); });
}

TEST(PickledState, RefusesTensorsOfMoreBytesThanThereAreAddresses) {
  std::string huge = tensor();
  // [2, 3] with strides [3, 1] as [2^62, 1] with strides [0, 1].
  huge.replace(huge.find("K\2K\3\x86K\3K\1\x86"s), 10, "\x8a\x08\0\0\0\0\0\0\0\x40K\1\x86K\0K\1\x86"s);
  expect_refused(huge, ErrorCode::Corrupt, "more bytes than there are addresses", {{"data/0", floats(6)}});
}

TEST(PickledState, NamesAFileOfTheArchiveThatIsMissing) {
  const Archive archive = test::archive_of({{"object", test::build_zip({{"archive/byteorder", "little"}})}});
  expect_error(ErrorCode::Corrupt, "thing: the archive there has no \"data.pkl\"", [&] {
    ValueBudget budget;
    read_pickled_state(archive, "object", "thing", budget);
  });
  expect_refused(tensor(), ErrorCode::Corrupt, "the archive there has no \"data/0\"");
}

TEST(PickledState, RefusesEveryPrefix) {
  const std::string whole = "\x80\2" + kClass + "(" + list_of("K\1G\x40\x04\0\0\0\0\0\0"s) + tensor() + "tb.";
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_THROW(read(whole.substr(0, length), {{"data/0", floats(6)}}), Error) << length;
}

TEST(PickledState, RefusesContainersThatAreNone) {
  expect_refused("K\1K\2a", ErrorCode::Corrupt, "adds to a list that is none");
  expect_refused("](K\1u", ErrorCode::Corrupt, "a key without a value");
  expect_refused("](K\1K\2u", ErrorCode::Corrupt, "adds to a dictionary that is none");
  expect_refused("K\1e", ErrorCode::Corrupt, "a list without a start");
  expect_refused("(K\1", ErrorCode::Corrupt, "a mark for a value");
  expect_error(ErrorCode::Unsupported, "another value where an object belongs",
               [] { read("\x80\2K\1K\1b."); });
}

}  // namespace
}  // namespace penstock::package
