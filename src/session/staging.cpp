#include "session/staging.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

namespace penstock::session {
namespace {

constexpr std::size_t kAlignment = 64;
/// More sizes of 0 or 1 than this are not counted as dimensions of one result.
constexpr int kMostDoublings = 6;

std::size_t bytes_of(const TensorView& view) {
  // A view overflows nowhere: its constructor has looked.
  const std::int64_t extent = tensor::checked_extent(view.sizes(), view.strides()).value_or(0);
  return static_cast<std::size_t>(extent) * element_bytes(view.dtype());
}

}  // namespace

void Staging::make_room(Copy& copy, std::size_t bytes) {
  if (bytes <= copy.capacity) return;
  copy.memory.reset();
  copy.capacity = 0;
  // Zeros from calloc cost nothing where nobody touches them, and a reach may be long.
  void* const memory = std::calloc(bytes, 1);
  if (memory == nullptr) base::fail(ErrorCode::OutOfMemory, "cannot allocate {} bytes", bytes);
  copy.memory = std::shared_ptr<void>(memory, &std::free);
  copy.capacity = bytes;
}

void Staging::fill(const Copy& copy, const TensorView& input) {
  std::memcpy(copy.data, input.data(), copy.bytes);
}

void Staging::lay_out(Copy& copy, std::size_t input_bytes) {
  const model::Reach& wanted = copy.reach;
  const auto behind =
      base::checked_add<std::uint64_t>(std::max(wanted.from_first, input_bytes), 2 * kAlignment);
  const auto room = behind ? base::checked_add<std::uint64_t>(*behind, wanted.before) : std::nullopt;
  try {
    if (!room) throw std::bad_alloc();
    make_room(copy, *room);
  } catch (const std::exception&) {
    base::fail(ErrorCode::OutOfMemory,
               "cannot allocate {} bytes for an input and {} bytes before it, which the model may touch",
               wanted.from_first, wanted.before);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(copy.memory.get()) + wanted.before;
  copy.data =
      static_cast<std::byte*>(copy.memory.get()) + wanted.before + (kAlignment - address % kAlignment);
  copy.bytes = input_bytes;
}

void Staging::begin(const model::InputRules& rules, std::span<const TensorView> inputs,
                    const model::Latitude& latitude) {
  copies_.resize(inputs.size());
  margin_ = {.doublings = std::min(latitude.below_two, kMostDoublings)};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Copy& copy = copies_[i];
    const model::Reach reach = rules.reach(i, inputs[i], latitude);
    copy.used = reach.before != 0 || reach.from_first > inputs[i].storage_bytes();
    if (!copy.used) continue;
    margin_.of_nothing_bytes = std::max(margin_.of_nothing_bytes, reach.before + reach.from_first);
    copy.reach = reach;
    copy.same_as = first_of(inputs, i);
    if (copy.same_as != i) continue;
    lay_out(copy, bytes_of(inputs[i]));
    if (copy.bytes != 0) fill(copy, inputs[i]);
  }
}

/// The first staged input that is the very tensor that input `index` is, and is touched as far.
std::size_t Staging::first_of(std::span<const TensorView> inputs, std::size_t index) const {
  const TensorView& given = inputs[index];
  for (std::size_t i = 0; i < index; ++i) {
    const TensorView& other = inputs[i];
    const model::Reach& reach = copies_[i].reach;
    if (copies_[i].used && reach.before == copies_[index].reach.before &&
        reach.from_first == copies_[index].reach.from_first && other.data() == given.data() &&
        other.dtype() == given.dtype() && std::ranges::equal(other.sizes(), given.sizes()) &&
        std::ranges::equal(other.strides(), given.strides())) {
      return i;
    }
  }
  return index;
}

tensor::Storage* Staging::storage(std::size_t index, const TensorView& input) const {
  if (index < copies_.size() && copies_[index].used) {
    const Copy& copy = copies_[copies_[index].same_as];
    return tensor::borrow_storage(copy.data, copy.bytes, input.device());
  }
  return tensor::borrow_storage(input.data(), input.storage_bytes(), input.device());
}

void Staging::give_back(tensor::TensorObject& output, std::span<const TensorView> inputs) const {
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    const bool is_staged = copies_[i].used && copies_[i].same_as == i;
    if (!is_staged || output.storage == nullptr || output.storage->data != copies_[i].data) continue;
    tensor::Storage* const own =
        tensor::borrow_storage(inputs[i].data(), inputs[i].storage_bytes(), inputs[i].device());
    if (inputs[i].data() == nullptr) {
      output.data = nullptr;
    } else {
      output.data = static_cast<std::byte*>(inputs[i].data()) + (output.data - copies_[i].data);
    }
    std::exchange(output.storage, own)->drop();
    return;
  }
}

void Staging::finish(std::span<const TensorView> inputs) {
  // All are looked at before any is written to, as inputs may share memory. Only what was changed is written:
  // inputs are often constants, in memory that cannot be written to.
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    Copy& copy = copies_[i];
    copy.changed = copy.used && copy.same_as == i && copy.bytes != 0 &&
                   std::memcmp(copy.data, inputs[i].data(), copy.bytes) != 0;
  }
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    if (!copies_[i].changed) continue;
    const TensorView& input = inputs[i];
    tensor::copy_strided(input.data(), input.strides(), copies_[i].data, input.strides(), input.sizes(),
                         element_bytes(input.dtype()));
  }
}

std::uint64_t Staging::held_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (const Copy& copy : copies_) bytes += copy.capacity;
  return bytes;
}

}  // namespace penstock::session
