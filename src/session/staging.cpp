#include "session/staging.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <cstring>

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

void Staging::Copy::lay_out(const model::Reach& wanted, std::size_t input_bytes) {
  if (memory != nullptr && reach.before == wanted.before && reach.from_first == wanted.from_first &&
      bytes == input_bytes) {
    return;
  }
  memory.reset();
  const auto room = base::checked_add<std::uint64_t>(wanted.before, std::max(wanted.from_first, input_bytes));
  const auto padded = room ? base::checked_add<std::uint64_t>(*room, 2 * kAlignment) : std::nullopt;
  // Zeros from calloc cost nothing where nobody touches them, and a reach may be long.
  if (padded) memory.reset(std::calloc(*padded, 1));
  if (memory == nullptr) {
    base::fail(ErrorCode::OutOfMemory,
               "cannot allocate {} bytes for an input and {} bytes before it, which the model may touch",
               wanted.from_first, wanted.before);
  }
  const auto address = reinterpret_cast<std::uintptr_t>(memory.get()) + wanted.before;
  data = static_cast<std::byte*>(memory.get()) + wanted.before + (kAlignment - address % kAlignment);
  reach = wanted;
  bytes = input_bytes;
}

void Staging::begin(const model::InputRules& rules, std::span<const TensorView> inputs,
                    const model::Latitude& latitude) {
  copies_.resize(inputs.size());
  margin_ = {.doublings = std::min(latitude.below_two, kMostDoublings)};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    Copy& copy = copies_[i];
    const model::Reach reach = rules.reach(i, inputs[i], latitude);
    margin_.at_least_bytes = std::max(margin_.at_least_bytes, reach.before + reach.from_first);
    copy.used = reach.before != 0 || reach.from_first > inputs[i].storage_bytes();
    if (!copy.used) continue;
    copy.lay_out(reach, bytes_of(inputs[i]));
    if (copy.bytes != 0) std::memcpy(copy.data, inputs[i].data(), copy.bytes);
  }
}

tensor::Storage* Staging::storage(std::size_t index, const TensorView& input) const {
  if (index < copies_.size() && copies_[index].used)
    return tensor::borrow_storage(copies_[index].data, copies_[index].bytes, input.device());
  return tensor::borrow_storage(input.data(), input.storage_bytes(), input.device());
}

void Staging::give_back(tensor::TensorObject& output, std::span<const TensorView> inputs) const {
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    if (!copies_[i].used || output.storage == nullptr || output.storage->data != copies_[i].data) continue;
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

void Staging::finish(std::span<const TensorView> inputs) const noexcept {
  for (std::size_t i = 0; i < copies_.size(); ++i) {
    const Copy& copy = copies_[i];
    const TensorView& input = inputs[i];
    // Only what was changed is written: inputs are often constants, in memory that cannot be written to.
    if (!copy.used || copy.bytes == 0 || std::memcmp(copy.data, input.data(), copy.bytes) == 0) continue;
    tensor::copy_strided(input.data(), input.strides(), copy.data, input.strides(), input.sizes(),
                         element_bytes(input.dtype()));
  }
}

}  // namespace penstock::session
