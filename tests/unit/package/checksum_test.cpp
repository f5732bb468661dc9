#include "package/checksum.hpp"

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstddef>
#include <random>
#include <span>
#include <vector>

namespace penstock::package {
namespace {

std::vector<std::byte> random_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  std::minstd_rand random(7);
  for (std::byte& each : bytes) each = static_cast<std::byte>(random() >> 8);
  return bytes;
}

std::uint32_t by_zlib(std::span<const std::byte> bytes) {
  return static_cast<std::uint32_t>(::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

TEST(Checksum, IsThatOfZipWhereverTheBytesAreDivided) {
  const std::vector<std::byte> all = random_bytes((std::size_t{70} << 20) + 13);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{4097}, (std::size_t{16} << 20) - 1, std::size_t{32} << 20,
        (std::size_t{48} << 20) + 5, all.size()}) {
    const auto bytes = std::span(all).first(size);
    EXPECT_EQ(checksum_of(bytes, false), by_zlib(bytes)) << size;
  }
}

TEST(Checksum, SeesEveryByte) {
  std::vector<std::byte> bytes = random_bytes((std::size_t{33} << 20) + 1);
  const std::uint32_t before = checksum_of(bytes, false);
  for (const std::size_t at : {std::size_t{0}, bytes.size() / 2 - 1, bytes.size() / 2, bytes.size() - 1}) {
    bytes[at] ^= std::byte{1};
    EXPECT_NE(checksum_of(bytes, false), before) << at;
    bytes[at] ^= std::byte{1};
  }
}

}  // namespace
}  // namespace penstock::package
