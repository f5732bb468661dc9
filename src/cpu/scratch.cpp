#include "cpu/scratch.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"

namespace penstock::cpu {

AlignedBuffer::AlignedBuffer(std::size_t bytes) : bytes_(bytes) {
  constexpr std::size_t kAlignment = 64;
  if (bytes == 0) return;
  if (const auto padded = base::checked_add(bytes, kAlignment - 1)) {
    data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, *padded & ~(kAlignment - 1))));
  }
  if (data_ == nullptr) {
    base::fail(ErrorCode::OutOfMemory, "out of memory: {} bytes of host memory for an operator", bytes);
  }
}

std::byte* Scratch::get(ScratchUse use, std::size_t bytes) {
  AlignedBuffer& buffer = buffers_[static_cast<std::size_t>(use)];
  if (buffer.bytes() < bytes) {
    // The old block goes first, so that the two never exist together.
    buffer = AlignedBuffer();
    buffer = AlignedBuffer(bytes);
  }
  return buffer.data();
}

}  // namespace penstock::cpu
