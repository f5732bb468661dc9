#include "cpu/padding.hpp"

#include "base/fail.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;

void check_amount(const TensorObject& input, std::size_t dim, std::array<std::int64_t, 2> amount,
                  PadMode mode) {
  const auto [before, after] = amount;
  const std::int64_t size = input.size[dim];
  const auto refuse = [&, before = amount[0], after = amount[1]](std::string_view why) {
    base::fail(ErrorCode::InvalidArgument,
               "pad: padding ({}, {}) at dimension {} of an input of sizes {}: {}", before, after, dim,
               sizes_text(input.sizes()), why);
  };
  // Compared without a sign: the smallest int64 has no magnitude.
  constexpr std::int64_t kMost = INT64_MAX / 4;
  if (std::min(before, after) < -kMost || std::max(before, after) > kMost) refuse("it is too large");
  if (size + before + after < 0) refuse("it would leave a negative size");
  if (mode == PadMode::Constant) return;
  if (size == 0) refuse("there is nothing to repeat");
  if (mode == PadMode::Reflect && std::max(before, after) >= size) {
    refuse("Padding size should be less than the corresponding input dimension");
  }
  const std::int64_t left = size + std::min<std::int64_t>(before, 0) + std::min<std::int64_t>(after, 0);
  if (mode == PadMode::Circular && (left <= 0 || std::max(before, after) > left)) {
    refuse("Padding value causes wrapping around more than once.");
  }
}

}  // namespace

PadMode pad_mode(std::string_view name) {
  if (name == "constant") return PadMode::Constant;
  if (name == "reflect") return PadMode::Reflect;
  if (name == "replicate") return PadMode::Replicate;
  if (name == "circular") return PadMode::Circular;
  base::fail(ErrorCode::InvalidArgument, "pad: Unrecognised padding mode {}", name);
}

PadLayout pad_layout(const TensorObject& input, std::span<const std::int64_t> pad, PadMode mode) {
  const auto rank = static_cast<std::size_t>(input.rank);
  const std::size_t padded = pad.size() / 2;
  // All modes but the constant one are for images: the last dimensions behind one or two others.
  const bool fits = pad.size() % 2 == 0 && padded <= rank &&
                    (mode == PadMode::Constant ||
                     (padded >= 1 && padded <= 3 && (rank == padded + 1 || rank == padded + 2)));
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "pad: Padding size {} is not supported for {}D input tensor.",
               pad.size(), rank);
  }
  PadLayout layout{{input.sizes().begin(), input.sizes().end()}, Dims(rank)};
  for (std::size_t i = 0; i < padded; ++i) {
    const std::size_t dim = rank - 1 - i;
    check_amount(input, dim, {pad[2 * i], pad[2 * i + 1]}, mode);
    layout.sizes[dim] += pad[2 * i] + pad[2 * i + 1];
  }
  // What is only cut off is a part of the input, cloned.
  if (mode == PadMode::Constant &&
      std::ranges::all_of(pad, [](std::int64_t amount) { return amount <= 0; })) {
    layout.strides = like_strides(layout.sizes, input.strides());
    return layout;
  }
  const bool keeps_format = rank == 4 || rank == 5;
  if (mode != PadMode::Circular && keeps_format && suggests_channels_last(input.sizes(), input.strides())) {
    fill_channels_last_strides(layout.sizes, layout.strides);
  } else {
    tensor::fill_contiguous_strides(layout.sizes, layout.strides);
  }
  return layout;
}

}  // namespace penstock::cpu
