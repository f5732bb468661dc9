#include "cpu/padding.hpp"

#include "base/fail.hpp"
#include "cpu/copy.hpp"
#include "tensor/address.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// No element of the input: the constant.
constexpr std::int64_t kOutside = -1;

/// How many elements are added to one dimension.
struct Amount {
  std::int64_t before = 0;
  std::int64_t after = 0;
};

/// Which element of a dimension of `size` is at `place`, counted from the input's first.
std::int64_t source_of(std::int64_t place, std::int64_t size, Amount amount, PadMode mode) {
  if (mode == PadMode::Circular) {
    // What is cut off on one side is not repeated on the other.
    const std::int64_t first = std::max<std::int64_t>(-amount.before, 0);
    const std::int64_t left = size - first - std::max<std::int64_t>(-amount.after, 0);
    return first + ((place - first) % left + left) % left;
  }
  if (place >= 0 && place < size) return place;
  switch (mode) {
    case PadMode::Reflect: return place < 0 ? -place : 2 * (size - 1) - place;
    case PadMode::Replicate: return std::clamp<std::int64_t>(place, 0, size - 1);
    case PadMode::Circular:
    case PadMode::Constant: break;
  }
  return kOutside;
}

/// Fills one line of the last dimension.
void fill_line(std::byte* to, std::int64_t to_stride, const std::byte* from, std::int64_t from_stride,
               std::span<const std::int64_t> sources, std::size_t element) {
  for (const std::int64_t source : sources) {
    if (source != kOutside) std::memcpy(to, from + source * from_stride, element);
    to += to_stride;
  }
}

}  // namespace

void pad(TensorObject& out, const TensorObject& input, std::span<const std::int64_t> pad, PadMode mode,
         double value) {
  const PadLayout layout = pad_layout(input, pad, mode);
  if (out.dtype != input.dtype || !std::ranges::equal(out.sizes(), layout.sizes)) {
    base::fail(ErrorCode::Internal, "pad: a result that is not made as it should be");
  }
  if (out.numel == 0) return;
  if (mode == PadMode::Constant) fill(out, value);
  const auto rank = static_cast<std::size_t>(out.rank);
  if (rank == 0) {
    copy(out, input);
    return;
  }
  const std::size_t element = element_bytes(out.dtype);
  const auto bytes = static_cast<std::int64_t>(element);
  std::vector<std::vector<std::int64_t>> sources(rank);
  for (std::size_t dim = 0; dim < rank; ++dim) {
    const std::size_t pair = rank - 1 - dim;
    Amount amount;
    if (2 * pair < pad.size()) amount = {pad[2 * pair], pad[2 * pair + 1]};
    for (std::int64_t i = 0; i < out.size[dim]; ++i) {
      sources[dim].push_back(source_of(i - amount.before, input.size[dim], amount, mode));
    }
  }
  // An odometer over all dimensions but the last.
  std::array<std::int64_t, tensor::kRoomForDims> place{};
  for (bool done = false; !done;) {
    std::byte* to = out.data;
    const std::byte* from = input.data;
    bool inside = true;
    for (std::size_t dim = 0; dim + 1 < rank; ++dim) {
      const std::int64_t source = sources[dim][static_cast<std::size_t>(place[dim])];
      inside = inside && source != kOutside;
      to += place[dim] * out.stride[dim] * bytes;
      from = tensor::address_at(from, (inside ? source : 0) * input.stride[dim] * bytes);
    }
    if (inside) {
      fill_line(to, out.stride[rank - 1] * bytes, from, input.stride[rank - 1] * bytes, sources[rank - 1],
                element);
    }
    done = true;
    for (std::size_t dim = rank - 1; done && dim-- > 0;) {
      done = ++place[dim] == out.size[dim];
      if (done) place[dim] = 0;
    }
  }
}

}  // namespace penstock::cpu
