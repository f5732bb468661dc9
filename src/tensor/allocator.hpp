#pragma once

#include "tensor/storage.hpp"

#include <cstddef>
#include <cstdint>

namespace penstock::tensor {

/// Where the results and temporaries of a run get their memory.
class Allocator {
 public:
  virtual ~Allocator() = default;

  /// At least `bytes` bytes, 64-byte aligned, with one reference held by the caller.
  /// Errors: OutOfMemory says how many bytes.
  virtual Storage* allocate(std::size_t bytes) = 0;

  /// Bytes held, in use or not.
  [[nodiscard]] virtual std::uint64_t held_bytes() const noexcept = 0;
};

}  // namespace penstock::tensor
