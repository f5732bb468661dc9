#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock::package {

/// The CRC-32 of ZIP. Large spans are divided among up to four threads that end before it returns: one alone
/// keeps a processor busy longer than memory does. With `of_file`, bytes are those of a mapped file, and
/// pages that this brought in are given back as it goes, so that weights which are mapped once more count
/// once in what the process holds. Host-only. Errors: OutOfMemory.
std::uint32_t checksum_of(std::span<const std::byte> bytes, bool of_file);

}  // namespace penstock::package
