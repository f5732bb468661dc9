#pragma once

#include "tensor/allocator.hpp"
#include "tensor/storage.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace penstock::tensor {

/// Host memory that is used again: what a run releases, the next one gets back without a system call.
/// Holds no more unused bytes than were ever in use at once. Thread: thread-safe; storages may be
/// released from any thread, and after the pool's owner is gone.
class MemoryPool final : public Allocator {
 public:
  MemoryPool();
  ~MemoryPool() override;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  /// At least `bytes` bytes, 64-byte aligned, with one reference held by the caller.
  /// Errors: OutOfMemory says how many bytes.
  Storage* allocate(std::size_t bytes) override;

  /// Bytes held, in use or not.
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override;

 private:
  struct Shared;
  Shared* shared_;
};

}  // namespace penstock::tensor
