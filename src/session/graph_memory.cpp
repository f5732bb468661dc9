#include "session/graph_memory.hpp"

#include "base/fail.hpp"

#include <algorithm>

namespace penstock::session {
namespace {

/// A block serves sizes down to half of its own.
constexpr std::size_t kMostWaste = 2;

}  // namespace

tensor::Storage* GraphMemory::allocate(std::size_t bytes) {
  Block* best = nullptr;
  for (const auto& block : blocks_) {
    const bool fits = !block->used && block->bytes >= bytes && block->bytes / kMostWaste <= bytes;
    if (fits && (best == nullptr || block->bytes < best->bytes)) best = block.get();
  }
  tensor::Storage* const storage = tensor::take_storage_object();
  if (best == nullptr) {
    try {
      blocks_.push_back(std::make_unique<Block>());
      best = blocks_.back().get();
      best->of_pool = pool_.allocate(bytes);
      best->bytes = bytes;
    } catch (...) {
      if (best != nullptr) blocks_.pop_back();
      tensor::give_storage_object(*storage);
      throw;
    }
  }
  best->used = true;
  storage->data = best->of_pool->data;
  storage->device = best->of_pool->device;
  storage->bytes = bytes;
  storage->context = best;
  storage->release = &GraphMemory::take_back;
  return storage;
}

void GraphMemory::take_back(tensor::Storage& storage) noexcept {
  static_cast<Block*>(storage.context)->used = false;
  tensor::give_storage_object(storage);
}

std::uint64_t GraphMemory::held_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const auto& block : blocks_) bytes += block->bytes;
  return bytes;
}

void GraphMemory::release() noexcept {
  for (const auto& block : blocks_) block->of_pool->drop();
  blocks_.clear();
}

tensor::Storage* RecordingAllocator::allocate(std::size_t bytes) {
  all_.emplace_back();
  tensor::Storage* const storage = memory_.allocate(bytes);
  all_.back() = {storage->data, bytes};
  return storage;
}

tensor::Storage* RepeatingAllocator::allocate(std::size_t bytes) {
  if (next_ == all_.size() || all_[next_].bytes != bytes) {
    base::fail(ErrorCode::Internal, "two captures of a run differ in what they allocate");
  }
  return tensor::borrow_storage(all_[next_++].data, bytes, device_);
}

}  // namespace penstock::session
