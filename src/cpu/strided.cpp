#include "cpu/strided.hpp"

#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <cstring>
#include <type_traits>

namespace penstock::cpu {
namespace {

/// Below 0 where dimension `a` has to be inside of `b`, above where outside, 0 where no operand tells.
int compare_dims(DimsView sizes, std::span<const DimsView> operands, std::size_t a, std::size_t b) {
  for (const DimsView strides : operands) {
    if (strides[a] == 0 || strides[b] == 0) continue;
    if (strides[a] != strides[b]) return strides[a] < strides[b] ? -1 : 1;
    if (sizes[a] > sizes[b]) return 1;
  }
  return 0;
}

bool is_dense(DimsView sizes, DimsView strides) {
  if (std::ranges::find(sizes, 0) != sizes.end()) return true;
  DimList<std::size_t> order;
  for (std::size_t dim = 0; dim < sizes.size(); ++dim) {
    if (sizes[dim] != 1) order.push_back(dim);
  }
  std::ranges::sort(order, {}, [&](std::size_t dim) { return strides[dim]; });
  std::int64_t expected = 1;
  for (const std::size_t dim : order) {
    if (strides[dim] != expected) return false;
    expected *= sizes[dim];
  }
  return true;
}

}  // namespace

ResultLayout contiguous_layout(const Dims& sizes) {
  if (!tensor::checked_numel(sizes)) {
    base::fail(ErrorCode::InvalidArgument, "a result of sizes {}", tensor::sizes_text(sizes));
  }
  Dims strides(sizes.size());
  tensor::fill_contiguous_strides(sizes, strides);
  return {sizes, strides};
}

ResultLayout like_layout(const tensor::TensorObject& self) {
  return {Dims(self.sizes().begin(), self.sizes().end()), like_strides(self.sizes(), self.strides())};
}

Dims like_strides(DimsView sizes, DimsView strides) {
  if (is_dense(sizes, strides)) return {strides.begin(), strides.end()};
  return elementwise_strides(sizes, {&strides, 1});
}

Dims elementwise_strides(DimsView sizes, std::span<const DimsView> operand_strides) {
  // From the innermost dimension to the outermost. The relation is no strict order where operands
  // disagree, so the way of sorting is part of the result: insertion, outer dimensions last.
  DimList<std::size_t> order(sizes.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = order.size() - 1 - i;
  for (std::size_t i = 1; i < order.size(); ++i) {
    std::size_t moved = i;
    for (std::size_t place = i; place-- > 0;) {
      const int comparison = compare_dims(sizes, operand_strides, order[place], order[moved]);
      if (comparison < 0) break;
      if (comparison == 0) continue;
      std::swap(order[place], order[moved]);
      moved = place;
    }
  }
  Dims strides(sizes.size());
  std::int64_t stride = 1;
  for (const std::size_t dim : order) {
    strides[dim] = stride;
    // What overflows has no elements, or is refused when it is made.
    std::int64_t next = 0;
    if (!__builtin_mul_overflow(stride, std::max<std::int64_t>(sizes[dim], 1), &next)) stride = next;
  }
  return strides;
}

Dims elementwise_strides(DimsView sizes, std::initializer_list<Dims> operand_strides) {
  const DimList<DimsView> views(operand_strides.begin(), operand_strides.end());
  return elementwise_strides(sizes, std::span<const DimsView>(views));
}

bool suggests_channels_last(std::span<const std::int64_t> sizes,
                            std::span<const std::int64_t> strides) noexcept {
  if (strides[1] == 0) return false;
  std::int64_t least = 0;
  // Channels first, then the spatial dimensions from the last on, then the batch.
  for (std::size_t step = 0; step < sizes.size(); ++step) {
    std::size_t dim = sizes.size() - step;
    if (step == 0) dim = 1;
    if (step + 1 == sizes.size()) dim = 0;
    if (sizes[dim] == 0 || strides[dim] < least) return false;
    // Where strides fit both formats, PyTorch takes the tensor for contiguous.
    if (dim == 0 && least == strides[1]) return false;
    least = strides[dim] * std::max<std::int64_t>(sizes[dim], 1);
  }
  return true;
}

void fill_channels_last_strides(std::span<const std::int64_t> sizes,
                                std::span<std::int64_t> strides) noexcept {
  strides[1] = 1;
  std::int64_t stride = std::max<std::int64_t>(sizes[1], 1);
  for (std::size_t dim = sizes.size() - 1; dim >= 2; --dim) {
    strides[dim] = stride;
    stride *= std::max<std::int64_t>(sizes[dim], 1);
  }
  strides[0] = stride;
}

void check_host(std::string_view name, const tensor::TensorObject& tensor) {
  if (tensor.storage == nullptr) base::fail(ErrorCode::InvalidArgument, "{} of an undefined tensor", name);
  if (tensor.storage->device.type != DeviceType::Cpu) {
    base::fail(ErrorCode::InvalidArgument, "{} on the CPU of a tensor that is on {}", name,
               to_string(tensor.storage->device));
  }
}

std::size_t wrap_dim(std::int64_t dim, std::int64_t rank) {
  const std::int64_t dims = std::max<std::int64_t>(rank, 1);
  if (dim < -dims || dim >= dims) {
    base::fail(ErrorCode::InvalidArgument,
               "Dimension out of range (expected to be in range of [{}, {}], but got {})", -dims, dims - 1,
               dim);
  }
  return static_cast<std::size_t>(dim < 0 ? dim + dims : dim);
}

Dims broadcast_sizes(DimsView a, DimsView b) {
  Dims sizes(std::max(a.size(), b.size()));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::int64_t left = i < a.size() ? a[a.size() - 1 - i] : 1;
    const std::int64_t right = i < b.size() ? b[b.size() - 1 - i] : 1;
    const std::size_t dim = sizes.size() - 1 - i;
    if (left != right && left != 1 && right != 1) {
      base::fail(
          ErrorCode::InvalidArgument,
          "The size of tensor a ({}) must match the size of tensor b ({}) at non-singleton dimension {}",
          left, right, dim);
    }
    sizes[dim] = left == 1 ? right : left;
  }
  return sizes;
}

Dims broadcast_strides(const tensor::TensorObject& tensor, DimsView sizes) {
  const auto rank = static_cast<std::size_t>(tensor.rank);
  bool fits = rank <= sizes.size();
  Dims strides(sizes.size());
  for (std::size_t dim = 0; fits && dim < rank; ++dim) {
    const std::size_t place = sizes.size() - rank + dim;
    if (tensor.size[dim] == sizes[place]) {
      strides[place] = tensor.stride[dim];
    } else {
      fits = tensor.size[dim] == 1;
    }
  }
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of sizes {} cannot be broadcast to {}",
               tensor::sizes_text(tensor.sizes()), tensor::sizes_text(sizes));
  }
  return strides;
}

void check_same_sizes(std::string_view name, const tensor::TensorObject& out, DimsView sizes) {
  if (std::ranges::equal(out.sizes(), sizes)) return;
  base::fail(ErrorCode::InvalidArgument, "{}: a result of sizes {} where it has {}", name,
             tensor::sizes_text(sizes), tensor::sizes_text(out.sizes()));
}

Lane lane_of(const tensor::TensorObject& tensor, std::size_t dim) {
  if (tensor.rank == 0) return {};
  return {tensor.size[dim], tensor.stride[dim]};
}

Dims without_dim(const tensor::TensorObject& tensor, std::size_t dim) {
  Dims sizes(tensor.sizes().begin(), tensor.sizes().end());
  if (!sizes.empty()) sizes[dim] = 1;
  return sizes;
}

void move_elements(std::byte* to, std::int64_t to_step, const std::byte* from, std::int64_t from_step,
                   std::int64_t count, std::size_t element_bytes) noexcept {
  if (to_step == 1 && from_step == 1) {
    std::memmove(to, from, static_cast<std::size_t>(count) * element_bytes);
    return;
  }
  const auto move = [&]<std::size_t kBytes>(std::integral_constant<std::size_t, kBytes>) {
    constexpr auto kStep = static_cast<std::int64_t>(kBytes);
    for (std::int64_t i = 0; i < count; ++i) {
      std::memcpy(to + i * to_step * kStep, from + i * from_step * kStep, kBytes);
    }
  };
  switch (element_bytes) {
    case 1: return move(std::integral_constant<std::size_t, 1>{});
    case 2: return move(std::integral_constant<std::size_t, 2>{});
    case 4: return move(std::integral_constant<std::size_t, 4>{});
    case 8: return move(std::integral_constant<std::size_t, 8>{});
    default: return move(std::integral_constant<std::size_t, 16>{});
  }
}

}  // namespace penstock::cpu
