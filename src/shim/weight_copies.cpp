#include "shim/weight_copies.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"
#include "tensor/layout.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>

namespace penstock::shim {
namespace {

/// What generated kernels and the vector loads of our own expect.
constexpr std::uintptr_t kAlignment = 64;

WeightCopies* current_copies() noexcept {
  const CallContext* context = current_context();
  return context != nullptr ? context->copies : nullptr;
}

void* copy_or_note(void* to, const void* from, std::size_t bytes) noexcept {
  if (WeightCopies* const copies = current_copies()) {
    if (copies->note(to, from, bytes)) return to;
  }
  return std::memcpy(to, from, bytes);
}

void* checked_copy_or_note(void* to, const void* from, std::size_t bytes, std::size_t) noexcept {
  return copy_or_note(to, from, bytes);
}

bool is_mapping_weights() noexcept {
  const WeightCopies* const copies = current_copies();
  return copies != nullptr && copies->appended;
}

// A library that maps its weights opens the file that it was loaded from, which is not there any more,
// takes the length, and maps so many bytes before the end. It gets a file of the stand-in's length, and
// the stand-in.

int open_own_file(const char* path, int flags) {
  return ::open(is_mapping_weights() ? "/dev/null" : path, flags | O_CLOEXEC);
}

off_t seek_own_file(int file, off_t offset, int whence) {
  if (is_mapping_weights()) return static_cast<off_t>(current_copies()->stand_in.size());
  return ::lseek(file, offset, whence);
}

void* map_own_file(void* address, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  if (!is_mapping_weights()) return ::mmap(address, bytes, protection, flags, file, offset);
  const auto stand_in = current_copies()->stand_in;
  if (bytes != stand_in.size() || offset != 0) return MAP_FAILED;
  return const_cast<std::byte*>(stand_in.data());
}

/// The stand-in goes with the model, not with the library's object.
int keep_own_file(void*, std::size_t) { return 0; }

}  // namespace

bool WeightCopies::note(const void* to, const void* from, std::size_t bytes) noexcept {
  if (!given.empty()) return given_next < given.size() && from == given[given_next]->data;
  const auto* const start = static_cast<const std::byte*>(from);
  if (std::less<>{}(start, stand_in.data()) || !std::less<>{}(start, stand_in.data() + stand_in.size())) {
    return false;
  }
  copied_to = to;
  copied_from = static_cast<std::uint64_t>(start - stand_in.data());
  copied_bytes = bytes;
  return true;
}

const void* WeightCopies::bytes_at(const void* from, std::size_t bytes) const noexcept {
  const auto* const start = static_cast<const std::byte*>(from);
  if (std::less<>{}(start, stand_in.data()) || !std::less<>{}(start, stand_in.data() + stand_in.size()))
    return from;
  const auto offset = static_cast<std::size_t>(start - stand_in.data());
  const bool is_there = weights != nullptr && base::fits(offset, bytes, weights->bytes);
  return is_there ? static_cast<const std::byte*>(weights->data) + offset : nullptr;
}

tensor::TensorObjectPtr WeightCopies::take_given(std::span<const std::int64_t> sizes) {
  if (given_next >= given.size()) {
    base::fail(ErrorCode::Internal, "the library takes more than its {} weights", given.size());
  }
  const tensor::TensorObject& weight = *given[given_next++];
  if (!std::ranges::equal(weight.sizes(), sizes)) {
    base::fail(ErrorCode::InvalidArgument, "a weight is {}{}, {}{} was given", dtype_name(weight.dtype),
               tensor::sizes_text(sizes), dtype_name(weight.dtype), tensor::sizes_text(weight.sizes()));
  }
  return share(weight);
}

tensor::Storage* WeightCopies::storage(void* data, std::uint64_t bytes) const {
  if (data == nullptr || bytes == 0) return tensor::borrow_storage(data, bytes, Device{});
  if (data != copied_to) {
    base::fail(ErrorCode::Internal, "the library makes a weight of {} bytes of memory that is not known",
               bytes);
  }
  // The stand-in of appended weights is longer than these are.
  const std::uint64_t most = weights != nullptr ? weights->bytes : stand_in.size();
  if (bytes > copied_bytes || !base::fits(copied_from, copied_bytes, most)) {
    base::fail(ErrorCode::Corrupt, "a weight of {} bytes at byte {} of {} bytes of weights", bytes,
               copied_from, most);
  }
  if (weights == nullptr) return tensor::borrow_storage(nullptr, bytes, Device{});
  const auto* const real = static_cast<const std::byte*>(weights->data) + copied_from;
  if (reinterpret_cast<std::uintptr_t>(real) % kAlignment == 0) {
    weights->retain();
    return tensor::narrow_storage(weights, copied_from, bytes);
  }
  tensor::Storage* const copy = tensor::allocate_host_storage(bytes);
  std::memcpy(copy->data, real, bytes);
  return copy;
}

std::span<const TableEntry> weight_functions() {
  static const std::array kTable{
      entry("memcpy", &copy_or_note),
      entry("__memcpy_chk", &checked_copy_or_note),
      entry("open of appended weights", &open_own_file),
      entry("lseek of appended weights", &seek_own_file),
      entry("mmap of appended weights", &map_own_file),
      entry("munmap of appended weights", &keep_own_file),
  };
  return kTable;
}

}  // namespace penstock::shim
