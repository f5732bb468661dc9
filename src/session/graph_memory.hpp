#pragma once

#include "tensor/allocator.hpp"
#include "tensor/storage.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace penstock::session {

/// Memory of a lane that its captured runs work in, all of them in the same: runs of a lane never overlap.
/// What a capture releases it gets back for what it allocates next; at its end all is free for the next
/// capture, but stays out of the lane's pool, so that no output of another run comes to lie there.
/// Thread: one caller at a time.
class GraphMemory final : public tensor::Allocator {
 public:
  explicit GraphMemory(tensor::Allocator& pool) : pool_(pool) {}
  ~GraphMemory() override { release(); }
  GraphMemory(const GraphMemory&) = delete;
  GraphMemory& operator=(const GraphMemory&) = delete;

  tensor::Storage* allocate(std::size_t bytes) override;
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override;

  /// Gives all back to the pool. No graph may use it any more but those whose last launch is on its way.
  void release() noexcept;

 private:
  struct Block {
    tensor::Storage* of_pool = nullptr;
    std::size_t bytes = 0;
    bool used = false;
  };
  static void take_back(tensor::Storage& storage) noexcept;

  tensor::Allocator& pool_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

/// What a capture allocated, in order.
struct Allocation {
  void* data = nullptr;
  std::size_t bytes = 0;
};

/// Writes down what is allocated.
class RecordingAllocator final : public tensor::Allocator {
 public:
  explicit RecordingAllocator(tensor::Allocator& memory) : memory_(memory) {}
  tensor::Storage* allocate(std::size_t bytes) override;
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override { return memory_.held_bytes(); }
  [[nodiscard]] const std::vector<Allocation>& all() const noexcept { return all_; }

 private:
  tensor::Allocator& memory_;
  std::vector<Allocation> all_;
};

/// Gives the addresses of another capture again, in the same order: for a capture that never runs.
class RepeatingAllocator final : public tensor::Allocator {
 public:
  RepeatingAllocator(std::vector<Allocation> all, Device device) : all_(std::move(all)), device_(device) {}
  /// Errors: Internal where something else is asked for than the other capture did.
  tensor::Storage* allocate(std::size_t bytes) override;
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override { return 0; }

 private:
  std::vector<Allocation> all_;
  std::size_t next_ = 0;
  Device device_;
};

}  // namespace penstock::session
