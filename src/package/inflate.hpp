#pragma once

#include <cstddef>
#include <span>

namespace penstock::package {

/// How inflating came out.
enum class Inflated {
  Whole,    ///< The data ended with the room for it, and with the packed bytes.
  TooLong,  ///< The room is filled, and there is more.
  Short,    ///< The data or the packed bytes ended before the room.
  Damaged,  ///< No such data is ever made, or other bytes follow it.
};

/// Inflates raw deflate data into `room`. Host-only. Thread: thread-safe. Errors: OutOfMemory.
/// Source: RFC 1951.
Inflated inflate_into(std::span<std::byte> room, std::span<const std::byte> packed);

}  // namespace penstock::package
