#include "session/graph_key.hpp"

#include "tensor/reach.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <numeric>

namespace penstock::session {
namespace {

/// Kernels and libraries look at no more than this of an address.
constexpr int kMostAlignmentBits = 8;

std::uintptr_t number(const TensorView& view) noexcept {
  return reinterpret_cast<std::uintptr_t>(view.data());
}

std::int64_t alignment_bits(const TensorView& view) noexcept {
  return std::min(std::countr_zero(number(view)), kMostAlignmentBits);
}

std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) noexcept {
  constexpr std::uint64_t kMultiplier = 0x9E3779B97F4A7C15U;
  constexpr int kRotation = 29;
  return std::rotl((hash ^ word) * kMultiplier, kRotation);
}

}  // namespace

void GraphKey::set(std::span<const TensorView> inputs, const Versions& versions, bool storage_counts) {
  versions_ = versions;
  words_.clear();
  for (const TensorView& input : inputs) {
    words_.push_back(static_cast<std::int64_t>(input.dtype()));
    words_.push_back(static_cast<std::int64_t>(input.rank()));
    words_.insert(words_.end(), input.sizes().begin(), input.sizes().end());
    words_.insert(words_.end(), input.strides().begin(), input.strides().end());
    words_.push_back(alignment_bits(input));
    if (storage_counts) words_.push_back(static_cast<std::int64_t>(input.storage_bytes()));
  }
  add_sharing(inputs);
  hash_ = mixed(versions.weights, versions.objects);
  for (const std::int64_t word : words_) hash_ = mixed(hash_, static_cast<std::uint64_t>(word));
}

/// For each input whose memory overlaps that of one before it in memory: which two, and how far apart.
void GraphKey::add_sharing(std::span<const TensorView> inputs) {
  by_address_.resize(inputs.size());
  std::iota(by_address_.begin(), by_address_.end(), std::size_t{0});
  std::ranges::sort(by_address_, [&](std::size_t a, std::size_t b) {
    return number(inputs[a]) != number(inputs[b]) ? number(inputs[a]) < number(inputs[b]) : a < b;
  });
  std::size_t widest = 0;  // Whose memory goes furthest of those so far.
  std::uintptr_t end = 0;
  for (const std::size_t i : by_address_) {
    const std::size_t bytes = tensor::reached_bytes(inputs[i]);
    if (bytes == 0) continue;
    const std::uintptr_t begin = number(inputs[i]);
    if (begin < end) {
      words_.push_back(static_cast<std::int64_t>(i));
      words_.push_back(static_cast<std::int64_t>(widest));
      words_.push_back(static_cast<std::int64_t>(begin - number(inputs[widest])));
    }
    if (begin + bytes > end) {
      end = begin + bytes;
      widest = i;
    }
  }
}

}  // namespace penstock::session
