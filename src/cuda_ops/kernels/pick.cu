// Elements that a mask or their values pick, in row-major order: counted a tile at a time, then moved to where
// those of the tiles before end.

#include "block.cuh"
#include "element.cuh"

using namespace penstock::kernels;

namespace {

using Count = long long;
using Scanner = BlockScan<Count, kPickThreads>;

struct Add {
  __device__ Count operator()(Count a, Count b) const { return a + b; }
};

/// Calls work(i, number) for each element of one tile that is picked, `number` counting from `before` on.
/// Gives the tile's count.
template <class Work>
__device__ Count pick_tile(const Picked& picked, Scanner::Storage& storage, std::int64_t tile, Count before,
                           const Work& work) {
  const std::int64_t first = tile * kPickTile + static_cast<std::int64_t>(threadIdx.x) * kPickItems;
  bool flags[kPickItems];
  Count sum = 0;
  for (int i = 0; i < kPickItems; ++i) {
    flags[i] = false;
    if (first + i < picked.walk.count) {
      std::int64_t place[1];
      find_places(picked.walk, first + i, place);
      flags[i] = is_nonzero(picked.dtype, picked.flags, place[0]);
    }
    sum += flags[i] ? 1 : 0;
  }
  Count total = 0;
  Count number = before + Scanner::before(storage, sum, Count{0}, Add{}, total);
  for (int i = 0; i < kPickItems; ++i) {
    if (flags[i]) work(first + i, number++);
  }
  return total;
}

template <class Work>
__device__ void for_each_picked(const Picked& picked, const std::int64_t* before, const Work& work) {
  __shared__ Scanner::Storage storage;
  const std::int64_t tiles = (picked.walk.count + kPickTile - 1) / kPickTile;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    pick_tile(picked, storage, tile, before[tile], work);
    __syncthreads();
  }
}

}  // namespace

PENSTOCK_KERNEL(penstock_pick_count, Picked picked, std::int64_t* counts) {
  __shared__ Scanner::Storage storage;
  const std::int64_t tiles = (picked.walk.count + kPickTile - 1) / kPickTile;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const Count total = pick_tile(picked, storage, tile, 0, [](std::int64_t, Count) {});
    if (threadIdx.x == 0) counts[tile] = total;
    __syncthreads();
  }
}

/// Makes of the counts of all tiles how many go before each; the sum of all stands behind them. One block.
PENSTOCK_KERNEL(penstock_pick_before, std::int64_t* counts, std::int64_t tiles) {
  __shared__ Scanner::Storage storage;
  Count carry = 0;
  for (std::int64_t begin = 0; begin < tiles; begin += kPickThreads) {
    const std::int64_t at = begin + threadIdx.x;
    Count total = 0;
    const Count count = at < tiles ? counts[at] : 0;
    const Count before = Scanner::before(storage, count, Count{0}, Add{}, total);
    if (at < tiles) counts[at] = carry + before;
    carry += total;
    __syncthreads();
  }
  if (threadIdx.x == 0) counts[tiles] = carry;
}

PENSTOCK_KERNEL(penstock_pick_places, PlacesOfPicked places) {
  for_each_picked(places.picked, places.before, [&](std::int64_t i, Count number) {
    if (number >= places.rows) return;
    std::int64_t* const row = places.out + number * places.row_stride;
    for (int dim = places.rank - 1; dim >= 0; --dim) {
      row[dim * places.column_stride] = i % places.size[dim];
      i /= places.size[dim];
    }
  });
}

/// masked_select: from the tensor beside the mask to the packed one.
PENSTOCK_KERNEL(penstock_pick_gather, MovePicked move) {
  for_each_picked(move.picked, move.before, [&](std::int64_t i, Count number) {
    if (number >= move.packed.count) return;
    std::int64_t from[1];
    std::int64_t to[1];
    find_places(move.walked, i, from);
    find_places(move.packed, static_cast<std::int64_t>(number), to);
    move_element(move.element_bytes, move.to, to[0], move.from, from[0]);
  });
}

/// masked_scatter: from the packed one to the tensor beside the mask. What has no source is left as it is.
PENSTOCK_KERNEL(penstock_pick_scatter, MovePicked move) {
  for_each_picked(move.picked, move.before, [&](std::int64_t i, Count number) {
    if (number >= move.packed.count) return;
    std::int64_t from[1];
    std::int64_t to[1];
    find_places(move.walked, i, to);
    find_places(move.packed, static_cast<std::int64_t>(number), from);
    move_element(move.element_bytes, move.to, to[0], move.from, from[0]);
  });
}

/// Which run of repeats each result is in: the first that ends behind it.
PENSTOCK_KERNEL(penstock_repeat_interleave, RepeatInterleave repeat) {
  for_each_index(repeat.count, [&](std::int64_t i) {
    std::int64_t low = 0;
    std::int64_t high = repeat.length;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (repeat.ends[middle] <= i) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    // Where the caller names a size that is too large, the last one goes on.
    if (low == repeat.length && low > 0) --low;
    if (repeat.is_wide != 0) {
      static_cast<std::int64_t*>(repeat.out)[i] = low;
    } else {
      static_cast<std::int32_t*>(repeat.out)[i] = static_cast<std::int32_t>(low);
    }
  });
}

PENSTOCK_KERNEL(penstock_count_negative, const void* data, Element dtype, Walk<1> walk, unsigned long long* count) {
  for_each_place(walk, [&](std::int64_t, const std::int64_t (&place)[1]) {
    if (load_integer(dtype, data, place[0]) < 0) atomicAdd(count, 1ull);
  });
}
