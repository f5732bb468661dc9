#pragma once

#include <penstock/device.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace penstock::tensor {

/// Something that a library derived from the bytes of a storage (a reordered weight), kept with it.
struct DerivedData {
  virtual ~DerivedData() = default;
};

/// Bytes on a device that tensors share, with a reference count. The last release frees them.
/// Thread: thread-safe.
class Storage {
 public:
  using Release = void (*)(Storage&) noexcept;

  Storage() = default;
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data = nullptr;
  std::size_t bytes = 0;
  Device device;
  /// True for a parameter of a model: its bytes do not change while this storage is used, so work
  /// derived from them is worth keeping.
  bool constant = false;
  /// True where the bytes are in memory of a model library, which has to stay for as long as they are used.
  bool of_model = false;
  /// True where the bytes are pages of a file, mapped for this model alone: what is written to them stays
  /// in memory, and `forget_pages` brings the file's bytes back.
  bool of_file = false;
  /// Gives the bytes and this object back to where they came from.
  Release release = nullptr;
  /// For the maker's use: the pool or owner that `release` returns to.
  void* context = nullptr;

  void retain() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
  void drop() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) release(*this);
  }
  /// Puts the count back to one, for a storage that is used again.
  void reset_references() noexcept { references_.store(1, std::memory_order_relaxed); }

  /// Data derived from this storage, guarded by the mutex; cleared when the bytes go.
  std::mutex derived_mutex;
  std::vector<std::unique_ptr<DerivedData>> derived;

  Storage* next_free = nullptr;  ///< For the pool of unused objects.

 private:
  std::atomic<int> references_{1};
};

/// Owns one reference to a storage, which is dropped at the end of the scope.
class StorageReference {
 public:
  explicit StorageReference(Storage* storage) noexcept : storage_(storage) {}
  ~StorageReference() { storage_->drop(); }
  StorageReference(const StorageReference&) = delete;
  StorageReference& operator=(const StorageReference&) = delete;

  [[nodiscard]] Storage* get() const noexcept { return storage_; }
  Storage* operator->() const noexcept { return storage_; }

 private:
  Storage* storage_;
};

/// New bytes in host memory, aligned to 64 bytes and not initialized; null data for 0 bytes. The caller
/// has the one reference. Errors: OutOfMemory with the number of bytes.
Storage* allocate_host_storage(std::size_t bytes);

/// A storage over memory that the caller keeps alive until the last reference is gone. No memory is
/// allocated once the thread has a few unused objects. Errors: OutOfMemory.
Storage* borrow_storage(void* data, std::size_t bytes, Device device);

/// A storage over memory that `owner` keeps, which is let go of with the last reference.
/// Errors: OutOfMemory.
Storage* hold_storage(void* data, std::size_t bytes, Device device, std::shared_ptr<const void> owner);

/// A storage over the `bytes` bytes from `offset` on of `whole`, of which it takes the caller's reference,
/// also where it throws. Errors: OutOfMemory.
Storage* narrow_storage(Storage* whole, std::size_t offset, std::size_t bytes);

/// Gives back the pages of memory that a storage `of_file` takes, and what was written to them: those that
/// lie wholly in it, or those around it too, whose other bytes must be unchanged then. Any other storage is
/// left as it is. Thread: thread-safe, others may read the storage.
enum class PagesAround { Keep, Forget };
void forget_pages(const Storage& storage, PagesAround around) noexcept;

/// For makers of other storages: an object with one reference and nothing else set, from the pool of
/// this thread. Errors: OutOfMemory.
Storage* take_storage_object();

/// Clears derived data and gives the object back to the pool of this thread; the bytes are not touched.
void give_storage_object(Storage& storage) noexcept;

}  // namespace penstock::tensor
