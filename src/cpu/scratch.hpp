#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>
#include <memory>

namespace penstock::cpu {

/// Host memory aligned to 64 bytes. Errors of the constructor: OutOfMemory with the number of bytes.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t bytes);
  [[nodiscard]] std::byte* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

/// What one block of scratch memory is for; two uses that meet in one operator have two names.
enum class ScratchUse {
  Left,
  Right,
  Result,
  WideLeft,
  WideRight,
  WideResult,
  WideBias,
  Library,
  Reordered0,
  Reordered1,
  Reordered2,
  Reordered3,
  Count,
};

/// Memory of one session that operators use while they run, kept for the next.
class Scratch {
 public:
  /// At least `bytes`, contents undefined, until the next call for the same use. Errors: OutOfMemory.
  std::byte* get(ScratchUse use, std::size_t bytes);

 private:
  std::array<AlignedBuffer, static_cast<std::size_t>(ScratchUse::Count)> buffers_;
};

}  // namespace penstock::cpu
