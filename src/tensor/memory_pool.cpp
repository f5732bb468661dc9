#include "tensor/memory_pool.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

namespace penstock::tensor {
namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kClassesPerDoubling = 4;
constexpr std::size_t kClassCount = 60 * kClassesPerDoubling;
constexpr std::uint64_t kAnyRun = UINT64_MAX;

/// Sizes are rounded up to a quarter of their power of two, so that models with sizes that vary a
/// little use memory again.
struct SizeClass {
  std::size_t index;
  std::size_t bytes;
};

SizeClass size_class(std::size_t bytes) noexcept {
  const std::size_t at_least = std::max(bytes, kAlignment * kClassesPerDoubling);
  const auto power = static_cast<std::size_t>(std::bit_width(at_least) - 1);
  const std::size_t step = (std::size_t{1} << power) / kClassesPerDoubling;
  const std::size_t rounded = (at_least + step - 1) / step * step;
  const auto rounded_power = static_cast<std::size_t>(std::bit_width(rounded) - 1);
  const std::size_t quarter = (rounded - (std::size_t{1} << rounded_power)) /
                              ((std::size_t{1} << rounded_power) / kClassesPerDoubling);
  return {rounded_power * kClassesPerDoubling + quarter, rounded};
}

class HostMemory final : public MemorySource {
 public:
  void* take(std::size_t bytes) override { return std::aligned_alloc(kAlignment, bytes); }
  void give(void* data) noexcept override { std::free(data); }
  [[nodiscard]] Device device() const noexcept override { return {}; }
};

}  // namespace

/// Lives until the owner and the last storage in use are gone.
struct MemoryPool::Shared {
  struct Block : Storage {
    Block* next = nullptr;
    std::size_t class_index = 0;
    std::size_t capacity = 0;
    std::uint64_t run = 0;         ///< That allocated it,
    std::uint64_t run_stream = 0;  ///< and the stream of that run.
    std::uint64_t stream = 0;      ///< Whose runs may use it again; 0: any.
  };

  explicit Shared(std::shared_ptr<MemorySource> given) : source(std::move(given)) {}

  std::shared_ptr<MemorySource> source;
  mutable std::mutex mutex;
  std::array<Block*, kClassCount> unused{};
  /// The run that last used a block of the class.
  std::array<std::uint64_t, kClassCount> last_run{};
  std::atomic<std::uint64_t> run{0};
  std::atomic<std::uint64_t> stream{0};  ///< Of the run that is on.
  std::uint64_t used_bytes = 0;
  std::uint64_t unused_bytes = 0;
  std::uint64_t most_used_bytes = 0;
  std::size_t used_blocks = 0;
  bool owned = true;

  void note_user(Block& block) const noexcept {
    block.run = run.load(std::memory_order_relaxed);
    block.run_stream = stream.load(std::memory_order_relaxed);
  }

  /// With the mutex held: takes an unused block of the class that the run that is on may use; null: none.
  Block* take_unused(std::size_t index) noexcept {
    const std::uint64_t now = stream.load(std::memory_order_relaxed);
    for (Block** each = &unused[index]; *each != nullptr; each = &(*each)->next) {
      Block* const block = *each;
      if (block->stream != 0 && block->stream != now) continue;
      *each = block->next;
      return block;
    }
    return nullptr;
  }

  void destroy(Block* block) noexcept {
    source->give(block->data);
    delete block;
  }

  /// With the mutex held: frees unused blocks that no run after `until` has used, largest first, until no
  /// more than `limit` bytes are left.
  void trim(std::uint64_t limit, std::uint64_t until) noexcept {
    for (std::size_t index = kClassCount; index-- > 0 && unused_bytes > limit;) {
      if (last_run[index] > until) continue;
      while (unused[index] != nullptr && unused_bytes > limit) {
        Block* block = unused[index];
        unused[index] = block->next;
        unused_bytes -= block->capacity;
        destroy(block);
      }
    }
  }

  /// With the mutex held: frees what recent runs did not use where more is held than ever was in use at once.
  /// What these used stays: a run that is like them needs all of it, if one after the other.
  void trim_old() noexcept {
    const std::uint64_t current = run.load(std::memory_order_relaxed);
    if (current < 2) return;
    trim(std::max(most_used_bytes, used_bytes) - used_bytes, current - 2);
  }

  /// With the mutex held: frees what only runs of other streams may use again, where more is held than is
  /// ever needed: streams that come and go leave it behind for good.
  void trim_left_behind() noexcept {
    constexpr std::uint64_t kMostTimes = 4;
    if (unused_bytes <= kMostTimes * most_used_bytes) return;
    const std::uint64_t now = stream.load(std::memory_order_relaxed);
    for (Block*& first : unused) {
      for (Block** each = &first; *each != nullptr;) {
        Block* const block = *each;
        if (block->stream == 0 || block->stream == now) {
          each = &block->next;
          continue;
        }
        *each = block->next;
        unused_bytes -= block->capacity;
        destroy(block);
      }
    }
  }

  static void take_back(Storage& storage) noexcept {
    auto& block = static_cast<Block&>(storage);
    block.derived.clear();
    auto* shared = static_cast<Shared*>(block.context);
    bool last = false;
    {
      const std::lock_guard lock(shared->mutex);
      shared->used_bytes -= block.capacity;
      --shared->used_blocks;
      if (shared->owned) {
        const bool outlived_its_run = block.run != shared->run.load(std::memory_order_relaxed);
        block.stream = outlived_its_run ? block.run_stream : 0;
        block.next = shared->unused[block.class_index];
        shared->unused[block.class_index] = &block;
        shared->unused_bytes += block.capacity;
        if (!shared->source->waits_to_give()) shared->trim_old();
      } else {
        shared->destroy(&block);
        last = shared->used_blocks == 0;
      }
    }
    if (last) delete shared;
  }
};

MemoryPool::MemoryPool() : MemoryPool(std::make_shared<HostMemory>()) {}

MemoryPool::MemoryPool(std::shared_ptr<MemorySource> source) : shared_(new Shared(std::move(source))) {}

MemoryPool::~MemoryPool() {
  bool last = false;
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->trim(0, kAnyRun);
    shared_->owned = false;
    last = shared_->used_blocks == 0;
  }
  if (last) delete shared_;
}

Storage* MemoryPool::allocate(std::size_t bytes) {
  // Beyond this no size class fits, and no machine has it.
  if (bytes > (std::size_t{1} << 56)) base::fail(ErrorCode::OutOfMemory, "cannot allocate {} bytes", bytes);
  const SizeClass wanted = size_class(bytes);
  {
    const std::lock_guard lock(shared_->mutex);
    shared_->last_run[wanted.index] = shared_->run.load(std::memory_order_relaxed);
    if (Shared::Block* block = shared_->take_unused(wanted.index); block != nullptr) {
      shared_->note_user(*block);
      shared_->unused_bytes -= block->capacity;
      shared_->used_bytes += block->capacity;
      ++shared_->used_blocks;
      shared_->most_used_bytes = std::max(shared_->most_used_bytes, shared_->used_bytes);
      block->reset_references();
      block->bytes = bytes;
      return block;
    }
    shared_->trim_left_behind();
  }
  const Device device = shared_->source->device();
  const std::string whose = device == Device{} ? "host memory" : "memory of " + to_string(device);
  void* data = shared_->source->take(wanted.bytes);
  if (data == nullptr) {
    // What other sizes left may be what is missing.
    release_unused();
    data = shared_->source->take(wanted.bytes);
  }
  if (data == nullptr) base::fail(ErrorCode::OutOfMemory, "cannot allocate {} bytes of {}", bytes, whose);
  auto block = std::unique_ptr<Shared::Block>(new (std::nothrow) Shared::Block);
  if (block == nullptr) {
    shared_->source->give(data);
    base::fail(ErrorCode::OutOfMemory, "cannot allocate {} bytes of {}", bytes, whose);
  }
  block->device = device;
  block->data = data;
  block->bytes = bytes;
  block->capacity = wanted.bytes;
  block->class_index = wanted.index;
  block->release = &Shared::take_back;
  block->context = shared_;
  shared_->note_user(*block);
  const std::lock_guard lock(shared_->mutex);
  shared_->used_bytes += wanted.bytes;
  ++shared_->used_blocks;
  shared_->most_used_bytes = std::max(shared_->most_used_bytes, shared_->used_bytes);
  return block.release();
}

void MemoryPool::begin_run(std::uint64_t stream) noexcept {
  shared_->stream.store(stream, std::memory_order_relaxed);
  end_run();
}

void MemoryPool::end_run() noexcept {
  shared_->run.store(shared_->run.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void MemoryPool::release_unused() noexcept {
  const std::lock_guard lock(shared_->mutex);
  shared_->trim(0, kAnyRun);
  shared_->most_used_bytes = shared_->used_bytes;
}

std::uint64_t MemoryPool::peak_bytes() const noexcept {
  const std::lock_guard lock(shared_->mutex);
  return shared_->most_used_bytes;
}

std::uint64_t MemoryPool::held_bytes() const noexcept {
  const std::lock_guard lock(shared_->mutex);
  return shared_->used_bytes + shared_->unused_bytes;
}

}  // namespace penstock::tensor
