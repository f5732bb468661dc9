#include "tensor/storage.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/free_list.hpp"

#include <cstdlib>
#include <new>

namespace penstock::tensor {
namespace {

constexpr std::size_t kAlignment = 64;

constinit thread_local FreeList<Storage, 128> unused_storages;

struct ListCloser {
  ~ListCloser() { unused_storages.close(); }
};

void open_list() noexcept {
  static thread_local ListCloser closer;
  unused_storages.open();
}

void release_borrowed(Storage& storage) noexcept { give_storage_object(storage); }

void release_host(Storage& storage) noexcept {
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
  storage->reset_references();
  storage->constant = false;
  storage->context = nullptr;
  return storage;
}

void give_storage_object(Storage& storage) noexcept {
  if (!storage.derived.empty()) storage.derived.clear();
  storage.data = nullptr;
  storage.bytes = 0;
  if (unused_storages.give(&storage)) return;
  if (unused_storages.is_new()) {
    open_list();
    if (unused_storages.give(&storage)) return;
  }
  delete &storage;
}

Storage* allocate_host_storage(std::size_t bytes) {
  void* data = nullptr;
  if (bytes != 0) {
    // aligned_alloc wants a multiple of the alignment; vector loads of the last elements then stay inside.
    const auto padded = base::checked_add(bytes, kAlignment - 1);
    if (padded) data = std::aligned_alloc(kAlignment, *padded & ~(kAlignment - 1));
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

}  // namespace penstock::tensor
