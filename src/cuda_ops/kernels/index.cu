// Elements at places that index tensors name. A place that is out of bounds reads the nearest that is not, and
// writes nothing: PyTorch stops the device there.

#include "combine.cuh"

using namespace penstock::kernels;

namespace {

/// What the columns add to the place in self of element `i` of the walk; false where one is out of bounds.
__device__ bool add_columns(const Indexed& of, std::int64_t i, std::int64_t& place) {
  std::int64_t at[kMostIndices];
  for (int c = 0; c < of.columns; ++c) at[c] = 0;
  for (int d = of.walk.rank - 1; d >= 0; --d) {
    const std::int64_t rest = i / of.walk.size[d];
    const std::int64_t index = i - rest * of.walk.size[d];
    i = rest;
    for (int c = 0; c < of.columns; ++c) at[c] += index * of.column[c].strides[d];
  }
  bool is_inside = true;
  for (int c = 0; c < of.columns; ++c) {
    const IndexColumn& column = of.column[c];
    std::int64_t index = column.is_wide != 0 ? static_cast<const std::int64_t*>(column.places)[at[c]]
                                             : static_cast<const std::int32_t*>(column.places)[at[c]];
    if (index < 0) index += column.size;
    if (index < 0 || index >= column.size) {
      is_inside = false;
      index = index < 0 ? 0 : column.size - 1;
    }
    place += index * column.stride;
  }
  return is_inside;
}

template <class T>
__device__ void gather(const Indexed& of) {
  for_each_place(of.walk, [&](std::int64_t i, const std::int64_t (&place)[2]) {
    std::int64_t from = place[1];
    add_columns(of, i, from);
    static_cast<T*>(of.other)[place[0]] = static_cast<const T*>(of.self)[from];
  });
}

template <class T>
__device__ void put(const Indexed& of) {
  for_each_place(of.walk, [&](std::int64_t i, const std::int64_t (&place)[2]) {
    std::int64_t to = place[1];
    if (add_columns(of, i, to)) static_cast<T*>(of.self)[to] = static_cast<const T*>(of.other)[place[0]];
  });
}

}  // namespace

PENSTOCK_KERNEL(penstock_index_1, Indexed of) { gather<std::uint8_t>(of); }
PENSTOCK_KERNEL(penstock_index_2, Indexed of) { gather<std::uint16_t>(of); }
PENSTOCK_KERNEL(penstock_index_4, Indexed of) { gather<std::uint32_t>(of); }
PENSTOCK_KERNEL(penstock_index_8, Indexed of) { gather<std::uint64_t>(of); }
PENSTOCK_KERNEL(penstock_index_16, Indexed of) { gather<Sixteen>(of); }

PENSTOCK_KERNEL(penstock_index_put_1, Indexed of) { put<std::uint8_t>(of); }
PENSTOCK_KERNEL(penstock_index_put_2, Indexed of) { put<std::uint16_t>(of); }
PENSTOCK_KERNEL(penstock_index_put_4, Indexed of) { put<std::uint32_t>(of); }
PENSTOCK_KERNEL(penstock_index_put_8, Indexed of) { put<std::uint64_t>(of); }
PENSTOCK_KERNEL(penstock_index_put_16, Indexed of) { put<Sixteen>(of); }

PENSTOCK_KERNEL(penstock_index_add, Indexed of) {
  for_each_place(of.walk, [&](std::int64_t i, const std::int64_t (&place)[2]) {
    std::int64_t to = place[1];
    if (!add_columns(of, i, to)) return;
    combine_atomically(Reduce::Sum, of.dtype, of.self, to, load_number(of.dtype, of.other, place[0]));
  });
}

PENSTOCK_KERNEL(penstock_scatter, Scatter scatter) {
  const int bytes = bytes_of(scatter.self_dtype);
  for_each_place(scatter.walk, [&](std::int64_t, const std::int64_t (&place)[3]) {
    const std::int64_t index = scatter.index_is_wide != 0 ? static_cast<const std::int64_t*>(scatter.index)[place[1]]
                                                          : static_cast<const std::int32_t*>(scatter.index)[place[1]];
    if (index < 0 || index >= scatter.size) return;
    const std::int64_t to = place[0] + index * scatter.stride;
    switch (scatter.reduce) {
      case Reduce::Assign:
        if (scatter.source != nullptr) {
          move_element(bytes, scatter.self, to, scatter.source, place[2]);
        } else {
          store_number(scatter.self_dtype, scatter.self, to, number_of(scatter.value));
        }
        return;
      case Reduce::Count: atomicAdd(scatter.counts + to, 1); return;
      case Reduce::Identity:
        store_number(scatter.self_dtype, scatter.self, to, identity_of(scatter.identity_of, scatter.self_dtype));
        return;
      default:
        combine_atomically(scatter.reduce, scatter.self_dtype, scatter.self, to,
                           load_number(scatter.source_dtype, scatter.source, place[2]));
        return;
    }
  });
}

PENSTOCK_KERNEL(penstock_divide_by_count, DivideByCount divide) {
  for_each_place(divide.walk, [&](std::int64_t, const std::int64_t (&place)[1]) {
    const std::int64_t count = divide.counts[place[0]] + divide.counts_self;
    if (count <= 1) return;
    if (!is_integer(divide.dtype)) {
      const double value = load_real(divide.dtype, divide.self, place[0]);
      // In the precision in which PyTorch divides.
      const bool is_double = divide.dtype == Element::Float64;
      const double mean = is_double ? value / static_cast<double>(count)
                                    : static_cast<float>(value) / static_cast<float>(count);
      store_number(divide.dtype, divide.self, place[0], number_of(mean));
      return;
    }
    // Rounded down.
    const std::int64_t value = load_integer(divide.dtype, divide.self, place[0]);
    store_integer(divide.dtype, divide.self, place[0], value / count - (value % count < 0 ? 1 : 0));
  });
}
