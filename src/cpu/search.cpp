#include "cpu/search.hpp"

#include "cpu/element.hpp"
#include "cpu/promotion.hpp"
#include "cpu/strided.hpp"
#include "cpu/temporary.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <span>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// The elements of a sequence in sorted order.
template <class T>
void read_sequence(std::span<Plain<T>> into, const std::byte* from, const Lane& lane,
                   const std::int64_t* sorter, std::int64_t sorter_stride) {
  for (std::int64_t i = 0; i < lane.size; ++i) {
    const std::int64_t place = sorter != nullptr ? sorter[i * sorter_stride] : i;
    if (place < 0 || place >= lane.size) {
      base::fail(ErrorCode::InvalidArgument, "torch.searchsorted(): sorter index out of range");
    }
    into[static_cast<std::size_t>(i)] =
        plain(load<T>(from + place * lane.stride * static_cast<std::int64_t>(sizeof(T))));
  }
}

/// A number in the type that both sides are promoted to, rounded to it: 16777217 is 16777216 in float32.
template <class Promoted, class From>
Plain<Promoted> promoted(From value) {
  return plain(convert<Promoted>(value));
}

template <class Promoted, class From>
Plain<Promoted> read_as(const std::byte* from) {
  return promoted<Promoted>(load<From>(from));
}

/// NaN is larger than any number: no element is at or above it.
template <class T>
std::int64_t find_place(std::span<T> sequence, T value, bool right) {
  const auto place = right ? std::partition_point(sequence.begin(), sequence.end(),
                                                  [value](T element) { return !(element > value); })
                           : std::partition_point(sequence.begin(), sequence.end(),
                                                  [value](T element) { return !(element >= value); });
  return place - sequence.begin();
}

struct Search {
  const TensorObject& out;
  const TensorObject& sequence;
  const TensorObject& values;
  const SearchOptions& options;
};

/// S: the type of the sequence, and Promoted that of the comparison.
template <class S, class Promoted>
void search(tensor::Allocator* pool, const Search& of, Plain<Promoted> (*read_value)(const std::byte*)) {
  using Compared = Plain<Promoted>;
  const auto& out = of.out;
  const auto& sequence = of.sequence;
  const auto& values = of.values;
  const auto& options = of.options;
  const auto value_bytes = static_cast<std::int64_t>(element_bytes(values.dtype));
  const Lane lane = lane_of(sequence, static_cast<std::size_t>(sequence.rank - 1));
  const Temporary<Plain<S>> read(pool, lane.size);
  const Temporary<Compared> sorted(pool, lane.size);
  const bool is_shared = sequence.rank == 1;
  const auto last = static_cast<std::size_t>(std::max(values.rank - 1, 0));
  const Lane from = lane_of(values, last);
  const Lane to = lane_of(out, last);
  const Dims still(static_cast<std::size_t>(values.rank), 0);
  const DimsView per_row = is_shared ? DimsView(still) : sequence.strides();
  const DimsView sorter_per_row = is_shared || options.sorter == nullptr ? still : options.sorter->strides();
  const std::int64_t sorter_stride =
      options.sorter == nullptr ? 0 : options.sorter->stride[static_cast<std::size_t>(sequence.rank - 1)];
  bool is_read = false;
  for_each_element<4>(
      without_dim(values, last), {values.strides(), out.strides(), per_row, sorter_per_row},
      [&](const auto& place) {
        if (!is_shared || !is_read) {
          const std::int64_t* sorter = nullptr;
          if (options.sorter != nullptr) {
            sorter = reinterpret_cast<const std::int64_t*>(options.sorter->data) + place[3];
          }
          read_sequence<S>(read.items(), sequence.data + place[2] * static_cast<std::int64_t>(sizeof(S)),
                           lane, sorter, sorter_stride);
          std::ranges::transform(read.items(), sorted.begin(),
                                 [](Plain<S> value) { return promoted<Promoted>(S(value)); });
          is_read = true;
        }
        for (std::int64_t i = 0; i < from.size; ++i) {
          const Compared value = read_value(values.data + (place[0] + i * from.stride) * value_bytes);
          const std::int64_t found = find_place(sorted.items(), value, options.right);
          const std::int64_t at = place[1] + i * to.stride;
          if (out.dtype == DType::Int32) {
            store(out.data + at * 4, static_cast<std::int32_t>(found));
          } else {
            store(out.data + at * 8, found);
          }
        }
      });
}

}  // namespace

void searchsorted(tensor::Allocator* pool, const TensorObject& out, const TensorObject& sequence,
                  const TensorObject& values, const SearchOptions& options) {
  for (const TensorObject* operand : {&out, &sequence, &values}) check_host("searchsorted", *operand);
  check_same_sizes("searchsorted", out, values.sizes());
  check_search(sequence, values, options.sorter);
  if (options.sorter != nullptr) check_host("searchsorted", *options.sorter);
  if (values.numel == 0) return;
  const Search of{out, sequence, values, options};
  with_type("searchsorted", sequence.dtype, kNumbers, [&]<class S>(std::type_identity<S>) {
    if (values.dtype == sequence.dtype) {
      search<S, S>(pool, of, &read_as<S, S>);
      return;
    }
    with_type("searchsorted", promote(sequence.dtype, values.dtype), kNumbers,
              [&]<class Promoted>(std::type_identity<Promoted>) {
                Plain<Promoted> (*read_value)(const std::byte*) = nullptr;
                with_type("searchsorted", values.dtype, kNumbers,
                          [&]<class V>(std::type_identity<V>) { read_value = &read_as<Promoted, V>; });
                search<S, Promoted>(pool, of, read_value);
              });
  });
}

}  // namespace penstock::cpu
