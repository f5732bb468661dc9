#include "cpu/sort.hpp"

#include "cpu/element.hpp"
#include "cpu/strided.hpp"
#include "cpu/temporary.hpp"
#include "tensor/address.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// An element with its place along the dimension that is sorted.
template <class T>
struct Entry {
  Plain<T> value;
  std::int64_t index;
};

struct Less {
  template <class E>
  bool operator()(const E& a, const E& b) const noexcept {
    return (!is_nan(a.value) && is_nan(b.value)) || a.value < b.value;
  }
};

struct Greater {
  template <class E>
  bool operator()(const E& a, const E& b) const noexcept {
    return Less{}(b, a);
  }
};

/// Sorts items, equal ones in the order that they have. `spare` has room for as many.
template <class E, class Before>
void sort_stably(std::span<E> items, E* spare, Before before) {
  constexpr std::size_t kRun = 16;
  const std::size_t count = items.size();
  for (std::size_t begin = 0; begin < count; begin += kRun) {
    const std::size_t end = std::min(begin + kRun, count);
    for (std::size_t i = begin + 1; i < end; ++i) {
      const E moved = items[i];
      std::size_t place = i;
      for (; place > begin && before(moved, items[place - 1]); --place) items[place] = items[place - 1];
      items[place] = moved;
    }
  }
  E* from = items.data();
  E* to = spare;
  for (std::size_t run = kRun; run < count; run *= 2, std::swap(from, to)) {
    for (std::size_t begin = 0; begin < count; begin += 2 * run) {
      const std::size_t middle = std::min(begin + run, count);
      const std::size_t end = std::min(middle + run, count);
      std::merge(from + begin, from + middle, from + middle, from + end, to + begin, before);
    }
  }
  if (from != items.data()) std::copy_n(from, count, items.data());
}

/// One lane of the operands: byte pointers, and steps in bytes.
struct LaneView {
  const std::byte* from;
  std::int64_t from_step;
  std::int64_t count;
  std::byte* values;
  std::int64_t value_step;
  std::byte* indices;
  std::int64_t index_step;
};

/// `out` without the dimension (where it has size 1 there) looks as `self` does otherwise.
template <class Work>
void for_each_lane(const Found& out, const TensorObject& self, std::size_t dim, Work&& work) {
  const Dims starts = without_dim(self, dim);
  const auto element = static_cast<std::int64_t>(element_bytes(self.dtype));
  constexpr auto kIndex = static_cast<std::int64_t>(sizeof(std::int64_t));
  const Lane from = lane_of(self, dim);
  const Lane values = lane_of(out.values, dim);
  const Lane indices = lane_of(out.indices, dim);
  for_each_element<3>(
      starts, {self.strides(), out.values.strides(), out.indices.strides()}, [&](const auto& place) {
        work(LaneView{tensor::address_at(self.data, place[0] * element), from.stride * element, from.size,
                      tensor::address_at(out.values.data, place[1] * element), values.stride * element,
                      tensor::address_at(out.indices.data, place[2] * kIndex), indices.stride * kIndex});
      });
}

template <class T>
void read_lane(const LaneView& lane, std::span<Entry<T>> entries) {
  for (std::int64_t i = 0; i < lane.count; ++i) {
    entries[static_cast<std::size_t>(i)] = {plain(load<T>(lane.from + i * lane.from_step)), i};
  }
}

/// Writes elements as they are in memory: a NaN keeps its bits.
template <class T>
void write_lane(const LaneView& lane, std::span<const Entry<T>> entries, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = entries[static_cast<std::size_t>(i)].index;
    store(lane.values + i * lane.value_step, load<T>(lane.from + index * lane.from_step));
    store(lane.indices + i * lane.index_step, index);
  }
}

void check_found(std::string_view name, const Found& out, const TensorObject& self, DimsView sizes) {
  check_host(name, self);
  check_same_sizes(name, out.values, sizes);
  check_same_sizes(name, out.indices, sizes);
  if (out.values.dtype != self.dtype || out.indices.dtype != DType::Int64) {
    base::fail(ErrorCode::InvalidArgument, "{} of {} into {} and {}", name, dtype_name(self.dtype),
               dtype_name(out.values.dtype), dtype_name(out.indices.dtype));
  }
}

/// The first k entries in order. Partial sorting pays for few of many; the bound is PyTorch's, so that
/// equal elements are taken as it takes them.
template <class E, class Before>
void select_top(std::span<E> entries, std::int64_t k, bool sorted, Before before) {
  if (k * 64 <= static_cast<std::int64_t>(entries.size())) {
    std::partial_sort(entries.begin(), entries.begin() + k, entries.end(), before);
    return;
  }
  std::nth_element(entries.begin(), entries.begin() + k - 1, entries.end(), before);
  if (sorted) std::sort(entries.begin(), entries.begin() + k - 1, before);
}

void find_median(std::string_view name, tensor::Allocator* pool, const TensorObject& out,
                 const TensorObject& self, bool skips_nan) {
  check_host(name, self);
  check_same_sizes(name, out, {});
  with_type(name, self.dtype, kNumbers, [&]<class T>(std::type_identity<T>) {
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
    const Temporary<Plain<T>> room(pool, self.numel);
    std::size_t count = 0;
    bool has_nan = false;
    for_each_element<1>(self.sizes(), {self.strides()}, [&](const auto& place) {
      const T value = load<T>(self.data + place[0] * kBytes);
      has_nan |= is_nan(value);
      if (!skips_nan || !is_nan(value)) room[count++] = plain(value);
    });
    if (count == 0 || (has_nan && !skips_nan)) {
      store(out.data, convert<T>(std::numeric_limits<double>::quiet_NaN()));
      return;
    }
    const std::span values = room.items().first(count);
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>((count - 1) / 2);
    // There is no NaN among them.
    std::nth_element(values.begin(), middle, values.end());
    store(out.data, static_cast<T>(*middle));
  });
}

}  // namespace

void sort(tensor::Allocator* pool, Found out, const TensorObject& self, SortOrder order) {
  const std::size_t dim = wrap_dim(order.dim, self.rank);
  check_found("sort", out, self, self.sizes());
  with_type("sort", self.dtype, kOrdered, [&]<class T>(std::type_identity<T>) {
    const std::int64_t size = lane_of(self, dim).size;
    const Temporary<Entry<T>> room(pool, size);
    const Temporary<Entry<T>> spare(pool, size);
    const std::span entries = room.items();
    for_each_lane(out, self, dim, [&](const LaneView& lane) {
      read_lane<T>(lane, entries);
      if (order.descending) {
        sort_stably(entries, spare.data(), Greater{});
      } else {
        sort_stably(entries, spare.data(), Less{});
      }
      write_lane<T>(lane, entries, lane.count);
    });
  });
}

void topk(tensor::Allocator* pool, Found out, const TensorObject& self, const TopK& options) {
  const std::size_t dim = wrap_dim(options.dim, self.rank);
  check_found("topk", out, self, topk_sizes(self, options));
  // A scalar is its own one element, also where none is asked for.
  const std::int64_t k = self.rank == 0 ? 1 : options.k;
  if (k == 0) return;
  with_type("topk", self.dtype, kNumbers, [&]<class T>(std::type_identity<T>) {
    const Temporary<Entry<T>> room(pool, lane_of(self, dim).size);
    const std::span entries = room.items();
    for_each_lane(out, self, dim, [&](const LaneView& lane) {
      read_lane<T>(lane, entries);
      if (options.largest) {
        select_top(entries, k, options.sorted, Greater{});
      } else {
        select_top(entries, k, options.sorted, Less{});
      }
      write_lane<T>(lane, entries, k);
    });
  });
}

void kthvalue(tensor::Allocator* pool, Found out, const TensorObject& self, std::int64_t k,
              std::int64_t dim) {
  const std::size_t along = wrap_dim(dim, self.rank);
  check_found("kthvalue", out, self, without_dim(self, along));
  check_kth(self, k, along);
  with_type("kthvalue", self.dtype, kNumbers, [&]<class T>(std::type_identity<T>) {
    const Temporary<Entry<T>> room(pool, lane_of(self, along).size);
    const std::span entries = room.items();
    for_each_lane(out, self, along, [&](const LaneView& lane) {
      read_lane<T>(lane, entries);
      const auto found = entries.begin() + k - 1;
      std::nth_element(entries.begin(), found, entries.end(), [](const auto& a, const auto& b) {
        return Less{}(a, b) || (!Less{}(b, a) && a.index < b.index);
      });
      entries.front() = *found;
      write_lane<T>(lane, entries, 1);
    });
  });
}

void median(tensor::Allocator* pool, const TensorObject& out, const TensorObject& self) {
  find_median("median", pool, out, self, false);
}

void nanmedian(tensor::Allocator* pool, const TensorObject& out, const TensorObject& self) {
  find_median("nanmedian", pool, out, self, true);
}

}  // namespace penstock::cpu
