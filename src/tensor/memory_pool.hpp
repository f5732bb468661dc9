#pragma once

#include "tensor/allocator.hpp"
#include "tensor/storage.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>

namespace penstock::tensor {

/// Where a pool gets its memory. Thread: thread-safe.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// `bytes` bytes, aligned to 64 and more; null where there are none. Errors: what is no lack of memory.
  virtual void* take(std::size_t bytes) = 0;
  virtual void give(void* data) noexcept = 0;
  /// True where giving back waits for work: then pools give back only what they are told to, and what is
  /// missing elsewhere.
  [[nodiscard]] virtual bool waits_to_give() const noexcept { return false; }
  /// Whose memory it is.
  [[nodiscard]] virtual Device device() const noexcept = 0;
};

/// Memory that is used again: what a run releases, the next one gets back without a system call. Of what
/// neither this run nor the one before used, holds no more unused bytes than were ever in use at once, unless
/// giving them back would wait. Thread: thread-safe; storages may be released from any thread, and after the
/// pool's owner is gone.
class MemoryPool final : public Allocator {
 public:
  /// Of host memory.
  MemoryPool();
  /// Of other memory. The source lives until the last storage of the pool is gone.
  explicit MemoryPool(std::shared_ptr<MemorySource> source);
  ~MemoryPool() override;
  MemoryPool(const MemoryPool&) = delete;
  MemoryPool& operator=(const MemoryPool&) = delete;

  /// At least `bytes` bytes, 64-byte aligned, with one reference held by the caller.
  /// Errors: OutOfMemory says how many bytes; what the source says.
  Storage* allocate(std::size_t bytes) override;

  /// Tells that another run begins, whose work is done in the order of a stream: a number other than 0. What
  /// a run releases itself any later one may use. What outlives its run (an output) may be read by other work
  /// of that stream when it is released, and is used again only by runs of the same stream. 0: by any.
  /// Thread: one caller at a time.
  void begin_run(std::uint64_t stream = 0) noexcept;
  /// Tells that the run is over: what it has allocated and not released outlives it. Needed only with
  /// streams.
  void end_run() noexcept;

  /// Gives back what is not in use.
  void release_unused() noexcept;

  /// Bytes held, in use or not, and the most that were ever in use at once.
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override;
  [[nodiscard]] std::uint64_t peak_bytes() const noexcept;

 private:
  struct Shared;
  Shared* shared_;
};

}  // namespace penstock::tensor
