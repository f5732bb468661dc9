#include "cpu/mask.hpp"

#include "base/checked.hpp"
#include "cpu/element.hpp"
#include "cpu/temporary.hpp"
#include "tensor/layout.hpp"

#include <cstring>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

template <class T>
bool is_nonzero(const std::byte* at) {
  return plain(load<T>(at)) != Plain<T>{};
}

void check_mask(std::string_view name, const TensorObject& mask) {
  check_host(name, mask);
  if (mask.dtype == DType::Bool) return;
  base::fail(ErrorCode::InvalidArgument, "{}: expected BoolTensor for mask, not {}", name,
             dtype_name(mask.dtype));
}

/// The elements of a tensor one after the other in row-major order.
Temporary<std::int64_t> element_places(tensor::Allocator* pool, const TensorObject& tensor) {
  Temporary<std::int64_t> places(pool, tensor.numel);
  std::int64_t* next = places.data();
  for_each_element<1>(tensor.sizes(), {tensor.strides()}, [&](const auto& place) { *next++ = place[0]; });
  return places;
}

}  // namespace

std::int64_t count_nonzero(const TensorObject& self) {
  check_host("nonzero", self);
  std::int64_t count = 0;
  with_type("nonzero", self.dtype, kAllTypes, [&]<class T>(std::type_identity<T>) {
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
    for_each_row<1>(self.sizes(), {self.strides()}, [&](const Row<1>& row) {
      const std::byte* const from = self.data + row.start[0] * kBytes;
      for (std::int64_t i = 0; i < row.count; ++i) count += is_nonzero<T>(from + i * row.step[0] * kBytes);
    });
  });
  return count;
}

ResultLayout nonzero_layout(const TensorObject& self, std::int64_t count) {
  return {{count, self.rank}, {1, std::max<std::int64_t>(count, 1)}};
}

void nonzero(const TensorObject& out, const TensorObject& self, std::int64_t rest) {
  check_host("nonzero", self);
  const auto rank = static_cast<std::size_t>(self.rank);
  const std::int64_t rows = out.size[0];
  check_same_sizes("nonzero", out, Dims{rows, self.rank});
  auto* const to = reinterpret_cast<std::int64_t*>(out.data);
  std::int64_t row = 0;
  with_type("nonzero", self.dtype, kAllTypes, [&]<class T>(std::type_identity<T>) {
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
    Dims index(rank);
    for_each_element<1>(self.sizes(), {self.strides()}, [&](const auto& place) {
      if (row < rows && is_nonzero<T>(self.data + place[0] * kBytes)) {
        for (std::size_t dim = 0; dim < rank; ++dim) {
          to[row * out.stride[0] + static_cast<std::int64_t>(dim) * out.stride[1]] = index[dim];
        }
        ++row;
      }
      for (std::size_t dim = rank; dim-- > 0;) {
        if (++index[dim] < self.size[dim]) break;
        index[dim] = 0;
      }
    });
  });
  for (; row < rows; ++row) {
    for (std::int64_t dim = 0; dim < self.rank; ++dim) to[row * out.stride[0] + dim * out.stride[1]] = rest;
  }
}

std::int64_t count_selected(const TensorObject& self, const TensorObject& mask) {
  check_mask("masked_select", mask);
  const Dims sizes = broadcast_sizes(mask.sizes(), self.sizes());
  const Dims strides = broadcast_strides(mask, sizes);
  std::int64_t count = 0;
  for_each_element<1>(sizes, {strides},
                      [&](const auto& place) { count += is_nonzero<Boolean>(mask.data + place[0]); });
  return count;
}

void masked_select(const TensorObject& out, const TensorObject& self, const TensorObject& mask) {
  check_mask("masked_select", mask);
  check_host("masked_select", self);
  const Dims sizes = broadcast_sizes(mask.sizes(), self.sizes());
  const Dims self_strides = broadcast_strides(self, sizes);
  const Dims mask_strides = broadcast_strides(mask, sizes);
  const Lane lane = lane_of(out, 0);
  if (out.rank != 1 || out.dtype != self.dtype) {
    base::fail(ErrorCode::InvalidArgument, "masked_select of {} into {}{}", dtype_name(self.dtype),
               dtype_name(out.dtype), tensor::sizes_text(out.sizes()));
  }
  const auto element = static_cast<std::int64_t>(element_bytes(self.dtype));
  std::int64_t taken = 0;
  for_each_element<2>(sizes, {self_strides, mask_strides}, [&](const auto& place) {
    // The mask could be changed by another thread since it was counted.
    if (taken == lane.size || !is_nonzero<Boolean>(mask.data + place[1])) return;
    std::memcpy(out.data + taken++ * lane.stride * element, self.data + place[0] * element,
                static_cast<std::size_t>(element));
  });
}

void masked_scatter(tensor::Allocator* pool, const TensorObject& out, const TensorObject& mask,
                    const TensorObject& source) {
  check_mask("masked_scatter", mask);
  check_host("masked_scatter", source);
  if (source.dtype != out.dtype) {
    base::fail(ErrorCode::InvalidArgument,
               "masked_scatter: expected self and source to have same dtypes but got {} and {}",
               dtype_name(out.dtype), dtype_name(source.dtype));
  }
  const Dims mask_strides = broadcast_strides(mask, out.sizes());
  const Temporary<std::int64_t> places = element_places(pool, source);
  const auto element = static_cast<std::int64_t>(element_bytes(out.dtype));
  std::size_t taken = 0;
  for_each_element<2>(out.sizes(), {out.strides(), mask_strides}, [&](const auto& place) {
    if (!is_nonzero<Boolean>(mask.data + place[1])) return;
    if (taken == places.size()) {
      base::fail(ErrorCode::InvalidArgument, "Number of elements of source < number of ones in mask");
    }
    std::memcpy(out.data + place[0] * element, source.data + places[taken++] * element,
                static_cast<std::size_t>(element));
  });
}

std::int64_t count_repeats(const TensorObject& repeats) {
  check_host("repeat_interleave", repeats);
  if (repeats.rank != 1) {
    base::fail(ErrorCode::InvalidArgument, "repeat_interleave only accept 1D vector as repeat");
  }
  std::int64_t total = 0;
  with_type("repeat_interleave", repeats.dtype, Types<std::int32_t, std::int64_t>{},
            [&]<class T>(std::type_identity<T>) {
              const Lane lane = lane_of(repeats, 0);
              for (std::int64_t i = 0; i < lane.size; ++i) {
                const std::int64_t count =
                    load<T>(repeats.data + i * lane.stride * static_cast<std::int64_t>(sizeof(T)));
                if (count < 0) base::fail(ErrorCode::InvalidArgument, "repeats can not be negative");
                const auto sum = base::checked_add(total, count);
                if (!sum) base::fail(ErrorCode::InvalidArgument, "repeat_interleave: too many repeats");
                total = *sum;
              }
            });
  return total;
}

void repeat_interleave(const TensorObject& out, const TensorObject& repeats) {
  with_type("repeat_interleave", repeats.dtype, Types<std::int32_t, std::int64_t>{},
            [&]<class T>(std::type_identity<T>) {
              constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
              const Lane lane = lane_of(repeats, 0);
              const Lane target = lane_of(out, 0);
              std::int64_t made = 0;
              for (std::int64_t i = 0; i < lane.size; ++i) {
                const std::int64_t count = load<T>(repeats.data + i * lane.stride * kBytes);
                for (std::int64_t k = 0; k < count && made < target.size; ++k) {
                  store(out.data + made++ * target.stride * kBytes, static_cast<T>(i));
                }
              }
            });
}

}  // namespace penstock::cpu
