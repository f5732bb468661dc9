#include "package/checksum.hpp"

#include "system/machine.hpp"

#include <libdeflate.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

namespace penstock::package {
namespace {

constexpr std::size_t kLeastShare = std::size_t{16} << 20;
constexpr std::size_t kMostShares = 4;

/// Whole pages of a mapped file, which come back from the page cache when they are read again.
void give_back_pages(std::span<const std::byte> bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = (reinterpret_cast<std::uintptr_t>(bytes.data()) + page - 1) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data() + bytes.size()) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

std::uint32_t checksum_of_share(std::span<const std::byte> bytes, bool gives_back) noexcept {
  constexpr std::size_t kStep = std::size_t{8} << 20;
  std::uint32_t crc = 0;
  for (std::size_t at = 0; at < bytes.size(); at += kStep) {
    const auto step = bytes.subspan(at, std::min(kStep, bytes.size() - at));
    crc = libdeflate_crc32(crc, step.data(), step.size());
    if (gives_back && bytes.size() > kStep) give_back_pages(step);
  }
  return crc;
}

struct Share {
  std::span<const std::byte> bytes;
  std::uint32_t crc = 0;
};

std::vector<Share> divided(std::span<const std::byte> bytes) {
  const auto threads = static_cast<std::size_t>(std::max(system::available_threads(), 1));
  const std::size_t most = std::min(threads, kMostShares);
  const std::size_t count = std::clamp<std::size_t>(bytes.size() / kLeastShare, 1, most);
  std::vector<Share> shares(count);
  const std::size_t each = bytes.size() / count;
  for (std::size_t i = 0; i < count; ++i) {
    shares[i].bytes = i + 1 < count ? bytes.subspan(i * each, each) : bytes.subspan(i * each);
  }
  return shares;
}

}  // namespace

std::uint32_t checksum_of(std::span<const std::byte> bytes, bool of_file) {
  std::vector<Share> shares = divided(bytes);
  const auto work = [of_file](Share& share) { share.crc = checksum_of_share(share.bytes, of_file); };
  {
    std::vector<std::jthread> threads;
    threads.reserve(shares.size());
    for (std::size_t i = 1; i < shares.size(); ++i) {
      try {
        threads.emplace_back(work, std::ref(shares[i]));
      } catch (const std::system_error&) {
        // Where no thread can be had, this one does it all.
        work(shares[i]);
      }
    }
    work(shares[0]);
  }
  std::uint32_t crc = shares[0].crc;
  for (std::size_t i = 1; i < shares.size(); ++i) {
    crc = static_cast<std::uint32_t>(
        ::crc32_combine(crc, shares[i].crc, static_cast<z_off_t>(shares[i].bytes.size())));
  }
  return crc;
}

}  // namespace penstock::package
