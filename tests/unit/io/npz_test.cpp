#include "io_helpers.hpp"

#include <gtest/gtest.h>

namespace penstock::io {
namespace {

using testing::expect_refused;
using testing::kData;
using testing::read_bytes;
using testing::values;

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size(), ++count) {
    text.replace(at, from.size(), to);
  }
  EXPECT_GT(count, 0u) << from;
  return text;
}

/// Sets little-endian bytes of every central directory entry.
std::string with_central(std::string text, std::size_t offset, std::string_view bytes) {
  for (std::size_t at = 0; (at = text.find("PK\x01\x02", at)) != std::string::npos; at += 4) {
    text.replace(at + offset, bytes.size(), bytes);
  }
  return text;
}

constexpr std::size_t kCentralMethod = 10;
constexpr std::size_t kCentralPacked = 20;
constexpr std::size_t kCentralBytes = 24;

TEST(Npz, ReadsWhatNumpyWrites) {
  const NamedTensors tensors = read_tensors(kData / "all.npz");
  ASSERT_EQ(tensors.size(), 14u);
  EXPECT_EQ(tensors[0].first, "bool");
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(dtype_name(tensor.dtype()), name);
    EXPECT_EQ(testing::sizes_of(tensor), (std::vector<std::int64_t>{2, 3}));
    if (name == "uint16") {
      EXPECT_EQ(values<std::uint16_t>(tensor), (std::vector<std::uint16_t>{0, 1, 2, 3, 4, 5}));
    }
    if (name == "float64") {
      EXPECT_EQ(values<double>(tensor), (std::vector<double>{0, 1, 2, 3, 4, 5}));
    }
  }
}

TEST(Npz, ReadsCompressedEntriesFromFileAndFromMemory) {
  for (const NamedTensors& tensors :
       {read_tensors(kData / "compressed.npz"), read_bytes(testing::read_file(kData / "compressed.npz"))}) {
    ASSERT_EQ(tensors.size(), 2u);
    EXPECT_EQ(tensors[0].first, "zeros");
    EXPECT_EQ(values<double>(tensors[0].second), std::vector<double>(10'000, 0.0));
    EXPECT_EQ(values<std::int64_t>(tensors[1].second), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5}));
  }
}

TEST(Npz, ReadsAnArchiveWithoutEntries) {
  EXPECT_TRUE(read_bytes(std::string("PK\x05\x06", 4) + std::string(18, '\0')).empty());
}

TEST(Npz, RefusesEntriesThatAreNoArrays) {
  const std::string whole = testing::read_file(kData / "compressed.npz");
  expect_refused(replaced(whole, "x.npy", "x.txt"), ErrorCode::Unsupported, "\"x.txt\" is no .npy array");
}

TEST(Npz, RefusesDuplicateNames) {
  std::string whole = testing::read_file(kData / "all.npz");
  whole = replaced(whole, "int16.npy", "int32.npy");
  expect_refused(whole, ErrorCode::Corrupt, "int32\": is there twice");
}

TEST(Npz, RefusesSizesThatLie) {
  const std::string compressed = testing::read_file(kData / "compressed.npz");
  using namespace std::string_view_literals;
  expect_refused(with_central(compressed, kCentralBytes, "\xff\xff\xff\x7f"sv), ErrorCode::Corrupt,
                 "sizes cannot be");
  expect_refused(with_central(compressed, kCentralPacked, "\xff\xff\xff\x7f"sv), ErrorCode::Corrupt, "input");
  const std::string stored = testing::read_file(kData / "all.npz");
  expect_refused(with_central(stored, kCentralBytes, "\xff\0\0\0"sv), ErrorCode::Corrupt, "sizes cannot be");
  expect_refused(with_central(compressed, kCentralBytes, "\x81\x38\x01\0"sv), ErrorCode::Corrupt, "input");
}

TEST(Npz, RefusesOverlappingEntries) {
  using namespace std::string_view_literals;
  // Each entry fits in the file by itself; together they do not.
  std::string stored = testing::read_file(kData / "all.npz");
  stored = with_central(stored, kCentralPacked, "\x00\x08\0\0"sv);
  stored = with_central(stored, kCentralBytes, "\x00\x08\0\0"sv);
  expect_refused(stored, ErrorCode::Corrupt, "overlap");
}

TEST(Npz, RefusesOtherCompressionAndBadChecksums) {
  using namespace std::string_view_literals;
  const std::string stored = testing::read_file(kData / "all.npz");
  expect_refused(with_central(stored, kCentralMethod, "\x0c\0"sv), ErrorCode::Unsupported, "method 12");
  std::string flipped = testing::read_file(kData / "compressed.npz");
  const std::size_t data = flipped.find("zeros.npy") + 60;
  flipped[data] = static_cast<char>(flipped[data] ^ 0x10);
  expect_refused(flipped, ErrorCode::Corrupt, "zeros");
}

TEST(Npz, RefusesEveryTruncation) {
  const std::string whole = testing::read_file(kData / "compressed.npz");
  for (std::size_t length = 4; length < whole.size(); length += 7) {
    expect_refused(whole.substr(0, length), ErrorCode::Corrupt, "input");
  }
}

}  // namespace
}  // namespace penstock::io
