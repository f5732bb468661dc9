#include "package/pickled_weights.hpp"

#include "package_builder.hpp"

#include <fstream>
#include <functional>

namespace penstock::package::test {
namespace {

using namespace std::string_literals;

constexpr std::string_view kConfig =
    R"({"a": ["weight_0", [2, 3], [3, 1], 0], "b": ["weight_0", [3], [2], 1]})";

/// The pickle of a float32 tensor whose storage has `elements` elements.
std::string pickle(int elements) {
  return "\x80\2"
         "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
         "0X\3\0\0\0cpuK"s +
         static_cast<char>(elements) +
         "tQK\0K\6\x85K\1\x85\x89"
         "ccollections\nOrderedDict\n)RtR."s;
}

std::string weight_file(const std::string& byteorder = "little", int elements = 6) {
  std::string floats;
  for (int i = 0; i < 6; ++i) {
    const auto value = static_cast<float>(i);
    floats.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return build_zip(
      {{"archive/data.pkl", pickle(elements)}, {"archive/byteorder", byteorder}, {"archive/data/0", floats}});
}

std::string package_with(std::string_view config, const std::string& weight = weight_file()) {
  return build_zip({{"top/data/aotinductor/model/weights_config.json", std::string(config)},
                    {"top/data/weights/weight_0", weight}});
}

std::vector<PackagedWeight> read(const std::string& zip) {
  ModelFiles files;
  files.folder = "data/aotinductor/model/";
  const Archive archive = open_bytes(zip);
  return read_pickled_weights(archive, files);
}

float element(const PackagedWeight& weight, std::size_t index) {
  float value = 0;
  std::memcpy(&value, weight.bytes.bytes.data() + index * sizeof value, sizeof value);
  return value;
}

TEST(PickledWeights, AreFoundByNameAndMayShareAFile) {
  const std::vector<PackagedWeight> weights = read(package_with(kConfig));
  ASSERT_EQ(weights.size(), 2U);
  EXPECT_EQ(weights[0].name, "a");
  EXPECT_EQ(weights[0].dtype, DType::Float32);
  EXPECT_EQ(weights[0].layout.sizes, (std::vector<std::int64_t>{2, 3}));
  EXPECT_EQ(weights[0].bytes.bytes.size(), 24U);
  EXPECT_EQ(element(weights[0], 5), 5);
  // From element 1 on, every other: 1, 3, 5.
  EXPECT_EQ(weights[1].bytes.bytes.size(), 20U);
  EXPECT_EQ(element(weights[1], 0), 1);
  EXPECT_EQ(element(weights[1], 4), 5);
}

TEST(PickledWeights, ThatReachPastTheirFileAreCorrupt) {
  for (const char* config : {R"({"a": ["weight_0", [7], [1], 0]})", R"({"a": ["weight_0", [6], [1], 1]})",
                             R"({"a": ["weight_0", [2], [9223372036854775807], 0]})",
                             R"({"a": ["weight_0", [9223372036854775807, 4], [4, 1], 0]})",
                             R"({"a": ["weight_0", [2, 3], [3], 0]})"}) {
    expect_error(ErrorCode::Corrupt, "reach past", [&] { read(package_with(config)); });
  }
}

TEST(PickledWeights, WithAConfigurationThatIsWrongAreCorrupt) {
  for (const char* config :
       {"[]", R"({"a": 1})", R"({"a": ["weight_0", [1], [1]]})", R"({"a": [1, [1], [1], 0]})",
        R"({"a": ["weight_0", [-1], [1], 0]})", R"({"a": ["weight_0", [1.5], [1], 0]})",
        R"({"a": ["weight_0", [1], [1], -1]})", R"({"a": ["weight_0", 1, [1], 0]})"}) {
    expect_error(ErrorCode::Corrupt, "weights_config.json", [&] { read(package_with(config)); });
  }
  expect_error(ErrorCode::NotFound, "weight_9",
               [&] { read(package_with(R"({"a": ["weight_9", [1], [1], 0]})")); });
  expect_error(ErrorCode::NotFound, "../secret",
               [&] { read(package_with(R"({"a": ["../secret", [1], [1], 0]})")); });
}

TEST(PickledWeights, OfSizesThatNoTensorHasAreCorrupt) {
  const auto list = [](int count) {
    std::string text = "1";
    for (int i = 1; i < count; ++i) text += ",1";
    return "[" + text + "]";
  };
  const auto with_dims = [&](int count) {
    return package_with(R"({"a": ["weight_0", )" + list(count) + ", " + list(count) + ", 0]}");
  };
  EXPECT_EQ(read(with_dims(16)).front().layout.sizes.size(), 16U);
  expect_error(ErrorCode::Corrupt, "weights_config.json has no sizes or strides for \"a\"",
               [&] { read(with_dims(17)); });
  // All of it one element, again and again.
  const auto repeated = [](const std::string& sizes, const std::string& strides) {
    return package_with(R"({"a": ["weight_0", )" + sizes + ", " + strides + ", 0]}");
  };
  expect_error(ErrorCode::Corrupt, "sizes of \"a\" whose product is too large",
               [&] { read(repeated("[4611686018427387904, 4611686018427387904]", "[0, 0]")); });
  EXPECT_EQ(read(repeated("[4611686018427387904, 4611686018427387904, 0]", "[0, 0, 0]")).size(), 1U);
}

TEST(PickledWeights, InFilesThatAreWrongAreRefused) {
  expect_error(ErrorCode::Incompatible, "byte order",
               [&] { read(package_with(kConfig, weight_file("big"))); });
  expect_error(ErrorCode::Corrupt, "7 elements",
               [&] { read(package_with(kConfig, weight_file("little", 7))); });
  expect_error(ErrorCode::Corrupt, "weight_0", [&] { read(package_with(kConfig, "no archive")); });
}

TEST(ArchivePrivate, BytesMayBeWrittenToAndNobodySees) {
  const std::string zip = build_zip({{"top/a", "hello"}, {"top/b", std::string(3000, 'x'), true}});
  const std::filesystem::path path = std::filesystem::temp_directory_path() / "penstock_private.zip";
  std::ofstream(path, std::ios::binary) << zip;
  for (const Archive& archive : {open_bytes(zip), Archive::open(path)}) {
    for (const char* name : {"a", "b"}) {
      const PrivateBytes part = archive.read_private(name, 1, 3);
      ASSERT_EQ(part.bytes.size(), 3U);
      const char before = text_of(archive.read(name))[1];
      EXPECT_EQ(static_cast<char>(part.bytes[0]), before);
      part.bytes[0] = std::byte{'!'};
      EXPECT_EQ(text_of(archive.read(name))[1], before);
      EXPECT_EQ(static_cast<char>(archive.read_private(name, 1, 3).bytes[0]), before);
    }
    expect_error(ErrorCode::Corrupt, "5 bytes", [&] { static_cast<void>(archive.read_private("a", 3, 3)); });
    EXPECT_TRUE(archive.read_private("a", 5, 0).bytes.empty());
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace penstock::package::test
