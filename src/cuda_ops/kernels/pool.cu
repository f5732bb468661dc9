// Largest elements and averages under windows that move over the last two or three dimensions, and padding.

#include "element.cuh"

using namespace penstock::kernels;

namespace {

/// Where a window lies in one dimension.
struct Extent {
  std::int64_t begin;
  std::int64_t end;
  std::int64_t step;
  std::int64_t counted;  ///< Elements that an average with padding counts.
};

__device__ Extent extent_of(const Pool& pool, int dim, std::int64_t at) {
  const std::int64_t size = pool.size[dim + 2];
  if (pool.is_adaptive != 0) {
    const std::int64_t to = pool.out_size[dim + 2];
    const std::int64_t begin = at * size / to;
    const std::int64_t end = ((at + 1) * size + to - 1) / to;
    return {begin, end, 1, end - begin};
  }
  const std::int64_t first = at * pool.step[dim] - pool.padding[dim];
  const std::int64_t dilation = pool.dilation[dim];
  const std::int64_t last = first + (pool.kernel[dim] - 1) * dilation + 1;
  const std::int64_t skipped = first < 0 ? (-first + dilation - 1) / dilation : 0;
  const std::int64_t padded_end = min(first + pool.kernel[dim], size + pool.padding[dim]);
  return {first + skipped * dilation, min(last, size), dilation, padded_end - first};
}

struct Window {
  Extent extent[3];
  std::int64_t from;  ///< Where the channel begins in self.
  std::int64_t to;    ///< The place of the result.
};

__device__ Window window_of(const Pool& pool, std::int64_t i) {
  std::int64_t place[5];
  for (int d = 4; d >= 0; --d) {
    const int dim = pool.order[d];
    place[dim] = i % pool.out_size[dim];
    i /= pool.out_size[dim];
  }
  Window window;
  window.from = place[0] * pool.stride[0] + place[1] * pool.stride[1];
  window.to = 0;
  for (int d = 0; d < 5; ++d) window.to += place[d] * pool.out_stride[d];
  for (int d = 0; d < 3; ++d) window.extent[d] = extent_of(pool, d, place[d + 2]);
  return window;
}

/// Calls take(place, number of the element in its channel) for each element under the window.
template <class Take>
__device__ void for_each_under(const Pool& pool, const Window& window, const Take& take) {
  const Extent (&extent)[3] = window.extent;
  for (std::int64_t d = extent[0].begin; d < extent[0].end; d += extent[0].step) {
    for (std::int64_t h = extent[1].begin; h < extent[1].end; h += extent[1].step) {
      const std::int64_t line = window.from + d * pool.stride[2] + h * pool.stride[3];
      const std::int64_t number = (d * pool.size[3] + h) * pool.size[4];
      for (std::int64_t w = extent[2].begin; w < extent[2].end; w += extent[2].step) {
        take(line + w * pool.stride[4], number + w);
      }
    }
  }
}

/// Loads T elements as what they are compared and added as.
template <class T>
struct Plain {
  static __device__ auto load(const Pool& pool, std::int64_t place) {
    return wide(static_cast<const T*>(pool.self)[place]);
  }
  template <class W>
  static __device__ void store(const Pool& pool, std::int64_t place, W value) {
    static_cast<T*>(pool.out)[place] = Narrow<T>::of(value);
  }
  static __device__ auto lowest(const Pool&) {
    return static_cast<decltype(wide(T{}))>(-HUGE_VAL);
  }
};

/// Integers of any size.
struct AnyInteger {
  static __device__ std::int64_t load(const Pool& pool, std::int64_t place) {
    return load_integer(pool.dtype, pool.self, place);
  }
  static __device__ void store(const Pool& pool, std::int64_t place, std::int64_t value) {
    store_integer(pool.dtype, pool.out, place, value);
  }
  static __device__ std::int64_t lowest(const Pool& pool) {
    switch (pool.dtype) {
      case Element::Bool:
      case Element::UInt8:
      case Element::UInt16:
      case Element::UInt32:
      case Element::UInt64: return 0;
      default: break;
    }
    return -(std::int64_t{1} << (8 * bytes_of(pool.dtype) - 2)) * 2;
  }
};

/// NaN is largest; of equal elements the first counts.
template <class Access>
__device__ void take_largest(const Pool& pool) {
  for_each_index(pool.count, [&](std::int64_t i) {
    const Window window = window_of(pool, i);
    const std::int64_t d = window.extent[0].begin;
    const std::int64_t h = window.extent[1].begin;
    const std::int64_t w = window.extent[2].begin;
    std::int64_t best = window.from + d * pool.stride[2] + h * pool.stride[3] + w * pool.stride[4];
    std::int64_t index = (d * pool.size[3] + h) * pool.size[4] + w;
    bool is_empty = false;
    for (const Extent& extent : window.extent) is_empty = is_empty || extent.begin >= extent.end;
    if (is_empty) {
      // The steps of a dilated window may all lie beside the elements.
      Access::store(pool, window.to, Access::lowest(pool));
      pool.indices[window.to] = index;
      return;
    }
    auto largest = Access::load(pool, best);
    for_each_under(pool, window, [&](std::int64_t place, std::int64_t number) {
      const auto value = Access::load(pool, place);
      if (!(value > largest) && value == value) return;
      largest = value;
      best = place;
      index = number;
    });
    move_element(bytes_of(pool.dtype), pool.out, window.to, pool.self, best);
    pool.indices[window.to] = index;
  });
}

template <class Access>
__device__ void take_average(const Pool& pool) {
  for_each_index(pool.count, [&](std::int64_t i) {
    const Window window = window_of(pool, i);
    decltype(Access::load(pool, 0)) sum = 0;
    bool is_empty = false;
    std::int64_t count = 1;
    for (const Extent& extent : window.extent) {
      is_empty = is_empty || extent.begin >= extent.end;
      count *= pool.counts_padding != 0 ? extent.counted : extent.end - extent.begin;
    }
    if (!is_empty) {
      for_each_under(pool, window, [&](std::int64_t place, std::int64_t) { sum += Access::load(pool, place); });
      sum /= static_cast<decltype(sum)>(pool.divisor != 0 ? pool.divisor : count);
    }
    Access::store(pool, window.to, sum);
  });
}

/// Which element of a dimension is at `place`, counted from self's first; below 0 for none.
__device__ std::int64_t padded_source(const Pad& pad, int dim, std::int64_t place) {
  const std::int64_t size = pad.size[dim];
  if (pad.kind == PadKind::Circular) {
    // What is cut off on one side is not repeated on the other.
    const std::int64_t first = max(-pad.before[dim], static_cast<std::int64_t>(0));
    const std::int64_t left = size - first - max(-pad.after[dim], static_cast<std::int64_t>(0));
    return first + ((place - first) % left + left) % left;
  }
  if (place >= 0 && place < size) return place;
  switch (pad.kind) {
    case PadKind::Reflect: return place < 0 ? -place : 2 * (size - 1) - place;
    case PadKind::Replicate: return place < 0 ? 0 : size - 1;
    default: return -1;
  }
}

}  // namespace

PENSTOCK_KERNEL(penstock_max_pool_float32, Pool pool) { take_largest<Plain<float>>(pool); }
PENSTOCK_KERNEL(penstock_max_pool_float64, Pool pool) { take_largest<Plain<double>>(pool); }
PENSTOCK_KERNEL(penstock_max_pool_float16, Pool pool) { take_largest<Plain<Half>>(pool); }
PENSTOCK_KERNEL(penstock_max_pool_bfloat16, Pool pool) { take_largest<Plain<BFloat16>>(pool); }
PENSTOCK_KERNEL(penstock_max_pool_integer, Pool pool) { take_largest<AnyInteger>(pool); }

PENSTOCK_KERNEL(penstock_average_pool_float32, Pool pool) { take_average<Plain<float>>(pool); }
PENSTOCK_KERNEL(penstock_average_pool_float64, Pool pool) { take_average<Plain<double>>(pool); }
PENSTOCK_KERNEL(penstock_average_pool_float16, Pool pool) { take_average<Plain<Half>>(pool); }
PENSTOCK_KERNEL(penstock_average_pool_bfloat16, Pool pool) { take_average<Plain<BFloat16>>(pool); }
PENSTOCK_KERNEL(penstock_average_pool_integer, Pool pool) { take_average<AnyInteger>(pool); }

PENSTOCK_KERNEL(penstock_pad, Pad pad) {
  const Number value = number_of(pad.value);
  for_each_index(pad.walk.count, [&](std::int64_t i) {
    std::int64_t to = 0;
    std::int64_t from = 0;
    bool is_inside = true;
    for (int dim = pad.walk.rank - 1; dim >= 0; --dim) {
      const std::int64_t rest = i / pad.walk.size[dim];
      const std::int64_t place = i - rest * pad.walk.size[dim];
      i = rest;
      to += place * pad.walk.stride[0][dim];
      const std::int64_t source = padded_source(pad, dim, place - pad.before[dim]);
      is_inside = is_inside && source >= 0;
      from += source * pad.stride[dim];
    }
    if (is_inside) {
      move_element(pad.element_bytes, pad.out, to, pad.self, from);
    } else {
      store_number(pad.dtype, pad.out, to, value);
    }
  });
}
