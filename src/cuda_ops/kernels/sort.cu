// Sorting along a dimension: rows that fit into a block in one launch, the largest of long rows by rounds of
// those, and long rows by a radix sort of three launches for 8 bits of the key.

#include "block.cuh"
#include "element.cuh"

using namespace penstock::kernels;

namespace {

/// The bits of a floating value as a number of the same order. Both zeros are equal; NaN is above all else.
template <class Key>
__device__ Key key_of_float(Key bits, Key infinity) {
  constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
  const Key magnitude = bits & ~kSign;
  if (magnitude > infinity) return ~Key{0};
  if (magnitude == 0) return kSign;
  return (bits & kSign) != 0 ? ~bits : bits | kSign;
}

__device__ std::uint32_t key_of_short_float(std::uint16_t bits, std::uint16_t infinity) {
  // At the top of the word, where the sign is; below it there is nothing to compare.
  return key_of_float<std::uint32_t>(std::uint32_t{bits} << 16, std::uint32_t{infinity} << 16) >> 16;
}

template <class Key>
struct KeyOf;

template <>
struct KeyOf<std::uint32_t> {
  static __device__ std::uint32_t load(Element dtype, const void* data, std::int64_t i) {
    switch (dtype) {
      case Element::Float16: return key_of_short_float(static_cast<const std::uint16_t*>(data)[i], 0x7c00);
      case Element::BFloat16: return key_of_short_float(static_cast<const std::uint16_t*>(data)[i], 0x7f80);
      case Element::Float32: return key_of_float<std::uint32_t>(static_cast<const std::uint32_t*>(data)[i], 0x7f800000);
      case Element::Int8: return static_cast<const std::uint8_t*>(data)[i] ^ 0x80u;
      case Element::Int16: return static_cast<const std::uint16_t*>(data)[i] ^ 0x8000u;
      case Element::Int32: return static_cast<const std::uint32_t*>(data)[i] ^ 0x80000000u;
      default: return static_cast<std::uint32_t>(load_integer(dtype, data, i));
    }
  }
};

template <>
struct KeyOf<std::uint64_t> {
  static __device__ std::uint64_t load(Element dtype, const void* data, std::int64_t i) {
    const std::uint64_t bits = static_cast<const std::uint64_t*>(data)[i];
    switch (dtype) {
      case Element::Float64: return key_of_float<std::uint64_t>(bits, 0x7ff0000000000000u);
      case Element::Int64: return bits ^ 0x8000000000000000u;
      default: return bits;
    }
  }
};

/// The key of an element: larger elements have larger ones, or smaller ones where the order is descending.
template <class Key>
__device__ Key sort_key(const SortRows& of, std::int64_t place) {
  const Key key = KeyOf<Key>::load(of.dtype, of.self, place);
  const Key all = static_cast<Key>(~Key{0} >> (8 * sizeof(Key) - of.key_bits));
  return of.descending != 0 ? static_cast<Key>(~key & all) : key;
}

/// Element `from` of a row becomes its result `to`.
__device__ void put_result(const SortRows& of, const std::int64_t (&start)[3], std::int64_t to, std::int64_t from) {
  const std::int64_t value = start[1] + to * of.rows.step[1];
  move_element(bytes_of(of.dtype), of.values, value, of.self, start[0] + from * of.rows.step[0]);
  of.indices[start[2] + to * of.rows.step[2]] = from;
}

template <class Key, int kThreads, int kItems>
__device__ void sort_tiles(const SortTiles& tiles) {
  using Sort = BlockSort<Key, kThreads, kItems>;
  __shared__ typename Sort::Storage storage;
  constexpr std::int64_t kTile = std::int64_t{kThreads} * kItems;
  const SortRows& of = tiles.of;
  const std::int64_t count = of.rows.starts.count * tiles.tiles;
  for (std::int64_t block = blockIdx.x; block < count; block += gridDim.x) {
    const std::int64_t row = block / tiles.tiles;
    const std::int64_t tile = block % tiles.tiles;
    const std::int64_t begin = tile * kTile;
    std::int64_t start[3];
    find_places(of.rows.starts, row, start);
    Key keys[kItems];
    std::uint32_t places[kItems];
    for (int i = 0; i < kItems; ++i) {
      const std::int64_t at = begin + static_cast<std::int64_t>(threadIdx.x) * kItems + i;
      // Behind the last element: after all that are equal, as the order is kept.
      keys[i] = ~Key{0};
      places[i] = 0;
      if (at >= tiles.length) continue;
      if (tiles.keys != nullptr) {
        keys[i] = static_cast<const Key*>(tiles.keys)[row * tiles.length + at];
        places[i] = tiles.places[row * tiles.length + at];
      } else {
        keys[i] = sort_key<Key>(of, start[0] + at * of.rows.step[0]);
        places[i] = static_cast<std::uint32_t>(at);
      }
    }
    Sort::sort(storage, keys, places, 0, of.key_bits);
    for (int i = 0; i < kItems; ++i) {
      const std::int64_t to = static_cast<std::int64_t>(threadIdx.x) + std::int64_t{i} * kThreads - tiles.first;
      if (to < 0 || to >= tiles.kept || begin + tiles.first + to >= tiles.length) continue;
      if (tiles.kept_keys == nullptr) {
        put_result(of, start, to, places[i]);
      } else {
        const std::int64_t kept = row * tiles.kept_of_row + tile * tiles.kept + to;
        static_cast<Key*>(tiles.kept_keys)[kept] = keys[i];
        tiles.kept_places[kept] = places[i];
      }
    }
    __syncthreads();
  }
}

template <class Key>
__device__ void make_keys(const SortRows& of, Key* keys) {
  for_each_index(of.rows.starts.count * of.rows.length, [&](std::int64_t i) {
    std::int64_t start[3];
    find_places(of.rows.starts, i / of.rows.length, start);
    keys[i] = sort_key<Key>(of, start[0] + i % of.rows.length * of.rows.step[0]);
  });
}

static_assert(kRadixDigits == kSortThreads, "each thread counts one digit");

template <class Key>
__device__ std::uint32_t digit_of(const RadixPass& pass, Key key) {
  return static_cast<std::uint32_t>(key >> pass.first_bit) & ((1u << pass.bits) - 1);
}

/// How often each digit is in each tile.
template <class Key>
__device__ void count_digits(const RadixPass& pass) {
  __shared__ unsigned counts[kRadixDigits];
  for (std::int64_t block = blockIdx.x; block < pass.rows * pass.tiles; block += gridDim.x) {
    const std::int64_t row = block / pass.tiles;
    const std::int64_t tile = block % pass.tiles;
    counts[threadIdx.x] = 0;
    __syncthreads();
    const Key* const keys = static_cast<const Key*>(pass.keys) + row * pass.length;
    for (int i = 0; i < kSortItems; ++i) {
      const std::int64_t at = tile * kSortTile + std::int64_t{i} * kSortThreads + threadIdx.x;
      if (at < pass.length) atomicAdd(&counts[digit_of(pass, keys[at])], 1u);
    }
    __syncthreads();
    pass.counts[(row * kRadixDigits + threadIdx.x) * pass.tiles + tile] = counts[threadIdx.x];
    __syncthreads();
  }
}

/// Sorts each tile by the digit, then writes each digit's elements behind those of the tiles before.
template <class Key>
__device__ void place_digits(const RadixPass& pass) {
  using Sort = BlockSort<Key, kSortThreads, kSortItems>;
  __shared__ typename Sort::Storage storage;
  __shared__ std::uint32_t digits[kSortTile];
  __shared__ std::uint32_t begins[kRadixDigits];
  for (std::int64_t block = blockIdx.x; block < pass.rows * pass.tiles; block += gridDim.x) {
    const std::int64_t row = block / pass.tiles;
    const std::int64_t tile = block % pass.tiles;
    const std::int64_t begin = tile * kSortTile;
    Key keys[kSortItems];
    std::uint32_t places[kSortItems];
    for (int i = 0; i < kSortItems; ++i) {
      const std::int64_t at = begin + static_cast<std::int64_t>(threadIdx.x) * kSortItems + i;
      keys[i] = ~Key{0};
      places[i] = 0;
      if (at >= pass.length) continue;
      keys[i] = static_cast<const Key*>(pass.keys)[row * pass.length + at];
      places[i] = pass.places != nullptr ? pass.places[row * pass.length + at] : static_cast<std::uint32_t>(at);
    }
    Sort::sort(storage, keys, places, pass.first_bit, pass.first_bit + pass.bits);
    for (int i = 0; i < kSortItems; ++i) digits[threadIdx.x + i * kSortThreads] = digit_of(pass, keys[i]);
    __syncthreads();
    for (int i = 0; i < kSortItems; ++i) {
      const std::uint32_t at = threadIdx.x + static_cast<std::uint32_t>(i) * kSortThreads;
      if (at == 0 || digits[at] != digits[at - 1]) begins[digits[at]] = at;
    }
    __syncthreads();
    for (int i = 0; i < kSortItems; ++i) {
      const std::uint32_t at = threadIdx.x + static_cast<std::uint32_t>(i) * kSortThreads;
      // The keys behind the last element are the last of their digit.
      if (begin + at >= pass.length) continue;
      const std::uint32_t digit = digits[at];
      const std::int64_t before = pass.counts[(row * kRadixDigits + digit) * pass.tiles + tile];
      const std::int64_t to = row * pass.length + before + (at - begins[digit]);
      static_cast<Key*>(pass.next_keys)[to] = keys[i];
      pass.next_places[to] = places[i];
    }
    __syncthreads();
  }
}

/// Of sorted keys those that belong to no NaN come first.
template <class Key>
__device__ void find_median(const Median& median) {
  const Key* const keys = static_cast<const Key*>(median.keys);
  const std::int64_t count = median.count;
  const bool has_nan = !is_integer(median.dtype);
  const Key nan = median.dtype == Element::Float16 || median.dtype == Element::BFloat16
                      ? static_cast<Key>(0xffff)
                      : static_cast<Key>(~Key{0});
  std::int64_t numbers = count;
  if (has_nan) {
    std::int64_t low = 0;
    while (low < numbers) {
      const std::int64_t middle = low + (numbers - low) / 2;
      if (keys[middle] < nan) {
        low = middle + 1;
      } else {
        numbers = middle;
      }
    }
  }
  if (numbers == 0 || (numbers < count && median.skips_nan == 0)) {
    store_number(median.dtype, median.out, 0, number_of(__longlong_as_double(0x7ff8000000000000ll)));
    return;
  }
  move_element(bytes_of(median.dtype), median.out, 0, median.self, median.places[(numbers - 1) / 2]);
}

}  // namespace

PENSTOCK_KERNEL(penstock_sort_small_32, SortTiles tiles) {
  sort_tiles<std::uint32_t, kSmallSortThreads, kSmallSortItems>(tiles);
}
PENSTOCK_KERNEL(penstock_sort_small_64, SortTiles tiles) {
  sort_tiles<std::uint64_t, kSmallSortThreads, kSmallSortItems>(tiles);
}
PENSTOCK_KERNEL(penstock_sort_32, SortTiles tiles) { sort_tiles<std::uint32_t, kSortThreads, kSortItems>(tiles); }
PENSTOCK_KERNEL(penstock_sort_64, SortTiles tiles) { sort_tiles<std::uint64_t, kSortThreads, kSortItems>(tiles); }

PENSTOCK_KERNEL(penstock_sort_keys_32, SortRows of, std::uint32_t* keys) { make_keys(of, keys); }
PENSTOCK_KERNEL(penstock_sort_keys_64, SortRows of, std::uint64_t* keys) { make_keys(of, keys); }

PENSTOCK_KERNEL(penstock_radix_count_32, RadixPass pass) { count_digits<std::uint32_t>(pass); }
PENSTOCK_KERNEL(penstock_radix_count_64, RadixPass pass) { count_digits<std::uint64_t>(pass); }

PENSTOCK_KERNEL(penstock_radix_place_32, RadixPass pass) { place_digits<std::uint32_t>(pass); }
PENSTOCK_KERNEL(penstock_radix_place_64, RadixPass pass) { place_digits<std::uint64_t>(pass); }

/// Makes of the counts of each row how many elements go before.
PENSTOCK_KERNEL(penstock_radix_before, RadixPass pass) {
  using Scanner = BlockScan<std::uint32_t, kScanThreads>;
  __shared__ typename Scanner::Storage storage;
  const auto add = [](std::uint32_t a, std::uint32_t b) { return a + b; };
  for (std::int64_t row = blockIdx.x; row < pass.rows; row += gridDim.x) {
    const std::int64_t count = std::int64_t{kRadixDigits} * pass.tiles;
    std::uint32_t* const counts = pass.counts + row * count;
    std::uint32_t carry = 0;
    for (std::int64_t begin = 0; begin < count; begin += kPickTile) {
      std::uint32_t items[kPickItems];
      std::uint32_t sum = 0;
      const std::int64_t first = begin + static_cast<std::int64_t>(threadIdx.x) * kPickItems;
      for (int i = 0; i < kPickItems; ++i) {
        items[i] = first + i < count ? counts[first + i] : 0;
        sum += items[i];
      }
      std::uint32_t total = 0;
      std::uint32_t before = carry + Scanner::before(storage, sum, 0u, add, total);
      for (int i = 0; i < kPickItems; ++i) {
        if (first + i < count) counts[first + i] = before;
        before += items[i];
      }
      carry += total;
      __syncthreads();
    }
  }
}

PENSTOCK_KERNEL(penstock_sort_results, SortRows of, const std::uint32_t* places, std::int64_t first, std::int64_t kept) {
  for_each_index(of.rows.starts.count * kept, [&](std::int64_t i) {
    const std::int64_t row = i / kept;
    const std::int64_t to = i % kept;
    std::int64_t start[3];
    find_places(of.rows.starts, row, start);
    put_result(of, start, to, places[row * of.rows.length + first + to]);
  });
}

PENSTOCK_KERNEL(penstock_median_32, Median median) { find_median<std::uint32_t>(median); }
PENSTOCK_KERNEL(penstock_median_64, Median median) { find_median<std::uint64_t>(median); }
