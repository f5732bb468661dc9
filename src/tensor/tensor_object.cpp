#include "tensor/tensor_object.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/free_list.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <limits>
#include <new>
#include <utility>

namespace penstock::tensor {
namespace {

// Asked for many times a run: the model of thread-local storage that needs no call.
[[gnu::tls_model("initial-exec")]] constinit thread_local FreeList<TensorObject, 128> unused_tensors;

struct ListCloser {
  ~ListCloser() { unused_tensors.close(); }
};

void open_list() noexcept {
  static thread_local ListCloser closer;
  unused_tensors.open();
}

/// What make_tensor works out on the way to its checks.
struct Counts {
  std::uint64_t numel = 1;
  std::uint64_t extent = 1;  ///< Elements from the first to one past the last.
  bool overflow = false;
  bool negative = false;
};

/// One pass over the dimensions, as this is done for every tensor of every run.
Counts count(const Layout& layout) noexcept {
  Counts counts;
  bool empty = false;
  for (std::size_t i = 0; i < layout.sizes.size(); ++i) {
    const std::int64_t size = layout.sizes[i];
    const std::int64_t stride = layout.strides[i];
    counts.negative |= size < 0 || stride < 0;
    empty |= size == 0;
    std::uint64_t reach = 0;
    counts.overflow |= __builtin_mul_overflow(counts.numel, static_cast<std::uint64_t>(size), &counts.numel);
    counts.overflow |= __builtin_mul_overflow(static_cast<std::uint64_t>(size) - 1,
                                              static_cast<std::uint64_t>(stride), &reach);
    counts.overflow |= __builtin_add_overflow(counts.extent, reach, &counts.extent);
  }
  constexpr auto kMost = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  counts.overflow |= counts.numel > kMost || counts.extent > kMost;
  if (empty) {
    counts.numel = 0;
    counts.extent = 0;
    counts.overflow = false;
  }
  return counts;
}

[[noreturn]] void refuse(const Storage* storage, const Layout& layout, const Counts& counts) {
  if (layout.sizes.size() > kRoomForDims) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of {} dimensions: at most {} are possible",
               layout.sizes.size(), kRoomForDims);
  }
  if (layout.sizes.size() != layout.strides.size()) {
    base::fail(ErrorCode::InvalidArgument, "a tensor with {} sizes and {} strides", layout.sizes.size(),
               layout.strides.size());
  }
  if (counts.negative || layout.storage_offset < 0) {
    base::fail(ErrorCode::InvalidArgument,
               "a tensor with a negative size, stride or offset: sizes {}, strides {}, offset {}",
               sizes_text(layout.sizes), sizes_text(layout.strides), layout.storage_offset);
  }
  if (element_bytes(layout.dtype) == 0) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of an unknown dtype ({})",
               static_cast<std::int32_t>(layout.dtype));
  }
  if (counts.overflow) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of sizes {} and strides {}: its size overflows 63 bits",
               sizes_text(layout.sizes), sizes_text(layout.strides));
  }
  base::fail(ErrorCode::InvalidArgument,
             "a {} tensor of sizes {}, strides {} and offset {} reaches past its storage of {} bytes",
             dtype_name(layout.dtype), sizes_text(layout.sizes), sizes_text(layout.strides),
             layout.storage_offset, storage->bytes);
}

TensorObject* take_object() {
  TensorObject* tensor = unused_tensors.take();
  if (tensor != nullptr) return tensor;
  tensor = new (std::nothrow) TensorObject;
  if (tensor == nullptr) {
    base::fail(ErrorCode::OutOfMemory, "out of memory: {} bytes for a tensor object", sizeof(TensorObject));
  }
  return tensor;
}

}  // namespace

TensorObject* make_tensor(Storage* storage, const Layout& layout) {
  const std::size_t rank = layout.sizes.size();
  if (rank > kRoomForDims || rank != layout.strides.size() || layout.storage_offset < 0) {
    refuse(storage, layout, {});
  }
  const Counts counts = count(layout);
  const std::size_t bytes = element_bytes(layout.dtype);
  if (counts.overflow || counts.negative || bytes == 0) refuse(storage, layout, counts);
  const auto offset = static_cast<std::uint64_t>(layout.storage_offset);
  // Where nothing is read, PyTorch accepts any offset; only an address inside the storage is made of it.
  if (storage != nullptr && counts.numel != 0 && !base::fits(offset, counts.extent, storage->bytes / bytes)) {
    refuse(storage, layout, counts);
  }

  TensorObject* tensor = take_object();
  tensor->storage = storage;
  tensor->data = nullptr;
  if (storage != nullptr) {
    storage->retain();
    tensor->data = static_cast<std::byte*>(storage->data);
    if (offset <= storage->bytes / bytes) tensor->data += offset * bytes;
  }
  tensor->storage_offset = layout.storage_offset;
  tensor->numel = static_cast<std::int64_t>(counts.numel);
  tensor->dtype = layout.dtype;
  tensor->rank = static_cast<std::int32_t>(rank);
  for (std::size_t i = 0; i < rank; ++i) {
    tensor->size[i] = layout.sizes[i];
    tensor->stride[i] = layout.strides[i];
  }
  return tensor;
}

void assign(TensorObject& tensor, TensorObject& made) noexcept {
  std::swap(tensor.storage, made.storage);
  tensor.data = made.data;
  tensor.storage_offset = made.storage_offset;
  tensor.numel = made.numel;
  tensor.dtype = made.dtype;
  tensor.rank = made.rank;
  std::copy_n(made.size.begin(), made.rank, tensor.size.begin());
  std::copy_n(made.stride.begin(), made.rank, tensor.stride.begin());
}

void free_tensor(TensorObject* tensor) noexcept {
  if (tensor == nullptr) return;
  Storage* storage = tensor->storage;
  tensor->storage = nullptr;
  if (storage != nullptr) storage->drop();
  if (unused_tensors.give(tensor)) return;
  if (unused_tensors.is_new()) {
    open_list();
    if (unused_tensors.give(tensor)) return;
  }
  delete tensor;
}

}  // namespace penstock::tensor
