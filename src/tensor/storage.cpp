#include "tensor/storage.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/free_list.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <new>
#include <optional>

namespace penstock::tensor {
namespace {

constexpr std::size_t kAlignment = 64;

// Small blocks are kept with their storage objects, as a run makes and frees the same few each time:
// classes of 64 bytes to 64 KiB, doubling, so at most 1 MiB a thread. Not under the address sanitizer,
// from which that would hide reads past a block's end.
constexpr std::size_t kClasses = 11;
constexpr std::size_t kLargestKept = kAlignment << (kClasses - 1);
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kKeepsBlocks = false;
#elif defined(__has_feature)
constexpr bool kKeepsBlocks = !__has_feature(address_sanitizer);
#else
constexpr bool kKeepsBlocks = true;
#endif

using BlockList = FreeList<Storage, 8>;

// Asked for many times a run: the model of thread-local storage that needs no call.
[[gnu::tls_model("initial-exec")]] constinit thread_local FreeList<Storage, 128> unused_storages;
constinit thread_local std::array<BlockList, kClasses> unused_blocks;

/// The list for blocks of `bytes`; null where they are not kept.
BlockList* block_list(std::size_t bytes) noexcept {
  if (!kKeepsBlocks || bytes == 0 || bytes > kLargestKept) return nullptr;
  return &unused_blocks[static_cast<std::size_t>(std::bit_width((bytes - 1) / kAlignment))];
}

struct ListCloser {
  ~ListCloser() {
    for (BlockList& list : unused_blocks) {
      while (Storage* storage = list.take()) {
        std::free(storage->data);
        delete storage;
      }
      list.close();
    }
    unused_storages.close();
  }
};

void open_lists() noexcept {
  static thread_local ListCloser closer;
  unused_storages.open();
  for (BlockList& list : unused_blocks) list.open();
}

/// Makes an object from a pool as good as new.
void reset(Storage& storage) noexcept {
  storage.reset_references();
  storage.constant = false;
  storage.of_model = false;
  storage.of_file = false;
  storage.context = nullptr;
}

/// Bytes that a block for `bytes` really has: whole classes, so that it serves all of its class, and whole
/// alignments, which aligned_alloc wants and vector loads of the last elements stay inside of.
std::optional<std::size_t> block_bytes(std::size_t bytes) noexcept {
  if (block_list(bytes) != nullptr) return std::max(std::bit_ceil(bytes), kAlignment);
  const auto padded = base::checked_add(bytes, kAlignment - 1);
  if (!padded) return std::nullopt;
  return *padded & ~(kAlignment - 1);
}

void release_borrowed(Storage& storage) noexcept { give_storage_object(storage); }

struct Holder {
  std::shared_ptr<const void> owner;
};

void release_held(Storage& storage) noexcept {
  delete static_cast<Holder*>(storage.context);
  give_storage_object(storage);
}

void release_narrowed(Storage& storage) noexcept {
  static_cast<Storage*>(storage.context)->drop();
  give_storage_object(storage);
}

void release_host(Storage& storage) noexcept {
  if (BlockList* const list = block_list(storage.bytes)) {
    if (unused_storages.is_new()) open_lists();
    if (!storage.derived.empty()) storage.derived.clear();
    if (list->give(&storage)) return;
  }
  std::free(storage.data);
  give_storage_object(storage);
}

}  // namespace

Storage* take_storage_object() {
  Storage* storage = unused_storages.take();
  if (storage == nullptr) {
    storage = new (std::nothrow) Storage;
    if (storage == nullptr) {
      base::fail(ErrorCode::OutOfMemory, "out of memory: {} bytes for a tensor's storage object",
                 sizeof(Storage));
    }
    return storage;
  }
  reset(*storage);
  return storage;
}

void give_storage_object(Storage& storage) noexcept {
  if (!storage.derived.empty()) storage.derived.clear();
  storage.data = nullptr;
  storage.bytes = 0;
  if (unused_storages.give(&storage)) return;
  if (unused_storages.is_new()) {
    open_lists();
    if (unused_storages.give(&storage)) return;
  }
  delete &storage;
}

Storage* allocate_host_storage(std::size_t bytes) {
  if (BlockList* const list = block_list(bytes)) {
    if (Storage* const storage = list->take()) {
      reset(*storage);
      storage->bytes = bytes;
      return storage;
    }
  }
  void* data = nullptr;
  if (bytes != 0) {
    if (const auto block = block_bytes(bytes)) data = std::aligned_alloc(kAlignment, *block);
    if (data == nullptr) {
      base::fail(ErrorCode::OutOfMemory, "out of memory: {} bytes of host memory for a tensor", bytes);
    }
  }
  Storage* storage = nullptr;
  try {
    storage = take_storage_object();
  } catch (...) {
    std::free(data);
    throw;
  }
  storage->data = data;
  storage->bytes = bytes;
  storage->device = Device{};
  storage->release = release_host;
  return storage;
}

Storage* borrow_storage(void* data, std::size_t bytes, Device device) {
  Storage* storage = take_storage_object();
  storage->data = data;
  storage->bytes = bytes;
  storage->device = device;
  storage->release = release_borrowed;
  return storage;
}

Storage* hold_storage(void* data, std::size_t bytes, Device device, std::shared_ptr<const void> owner) {
  auto holder = std::make_unique<Holder>(Holder{std::move(owner)});
  Storage* storage = take_storage_object();
  storage->data = data;
  storage->bytes = bytes;
  storage->device = device;
  storage->context = holder.release();
  storage->release = release_held;
  return storage;
}

Storage* narrow_storage(Storage* whole, std::size_t offset, std::size_t bytes) {
  Storage* storage = nullptr;
  try {
    storage = take_storage_object();
  } catch (...) {
    whole->drop();
    throw;
  }
  storage->data = static_cast<std::byte*>(whole->data) + offset;
  storage->bytes = bytes;
  storage->device = whole->device;
  storage->of_file = whole->of_file;
  storage->context = whole;
  storage->release = release_narrowed;
  return storage;
}

void forget_pages(const Storage& storage, PagesAround around) noexcept {
  if (!storage.of_file) return;
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(storage.data);
  const auto end = begin + storage.bytes;
  const std::uintptr_t more = around == PagesAround::Forget ? page - 1 : 0;
  const std::uintptr_t first = (begin + page - 1 - more) / page * page;
  const std::uintptr_t last = (end + more) / page * page;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace penstock::tensor
