#include "cuda_ops/sort.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"

#include <algorithm>
#include <memory>

namespace penstock::cuda_ops {
namespace {

using kernels::kSortTile;
using kernels::RadixPass;
using kernels::SortRows;
using kernels::SortTiles;

/// The kernels for keys of 32 and 64 bits.
struct SortKernels {
  Kernel small;
  Kernel tiles;
  Kernel keys;
  Kernel count;
  Kernel place;
  Kernel median;
};
constexpr SortKernels kOf32{{kSortImage, "penstock_sort_small_32"},  {kSortImage, "penstock_sort_32"},
                            {kSortImage, "penstock_sort_keys_32"},   {kSortImage, "penstock_radix_count_32"},
                            {kSortImage, "penstock_radix_place_32"}, {kSortImage, "penstock_median_32"}};
constexpr SortKernels kOf64{{kSortImage, "penstock_sort_small_64"},  {kSortImage, "penstock_sort_64"},
                            {kSortImage, "penstock_sort_keys_64"},   {kSortImage, "penstock_radix_count_64"},
                            {kSortImage, "penstock_radix_place_64"}, {kSortImage, "penstock_median_64"}};

std::size_t key_bytes(const SortRows& of) { return of.key_bits > 32 ? 8 : 4; }
const SortKernels& kernels_of(const SortRows& of) { return of.key_bits > 32 ? kOf64 : kOf32; }

std::int64_t tiles_of(std::int64_t length) { return (length + kSortTile - 1) / kSortTile; }

SortRows rows_of(const SortOperands& operands, bool descending) {
  const tensor::TensorObject& self = operands.self;
  const SortRows of{.self = self.data,
                    .values = operands.values.data,
                    .indices = reinterpret_cast<std::int64_t*>(operands.indices.data),
                    .dtype = element_of("sort", self.dtype),
                    .key_bits = static_cast<int>(8 * element_bytes(self.dtype)),
                    .descending = descending ? 1 : 0,
                    .rows = make_rows<3>({&self, &operands.values, &operands.indices}, operands.dim)};
  if (of.rows.length > INT32_MAX) {
    base::fail(ErrorCode::Unsupported, "sort on a GPU of {} elements in a row; at most 2^31 - 1 are possible",
               of.rows.length);
  }
  return of;
}

void launch_tiles(const shim::CudaCall& call, const SortTiles& tiles) {
  const std::int64_t count = tiles.of.rows.starts.count * tiles.tiles;
  if (tiles.length <= kernels::kSmallSortTile) {
    kernels_of(tiles.of).small.launch(call, grid_of_blocks(call, count, kernels::kSmallSortThreads), tiles);
  } else {
    kernels_of(tiles.of).tiles.launch(call, grid_of_blocks(call, count, kernels::kSortThreads), tiles);
  }
}

/// Keys that were kept of a round, with their places.
struct Kept {
  Kept(const shim::CudaCall& call, const SortRows& of, std::int64_t length)
      : keys(call, of.rows.starts.count * length, key_bytes(of)),
        places(call, of.rows.starts.count * length, sizeof(std::uint32_t)) {}
  Temporary keys;
  Temporary places;
};

/// The first few of long rows: those of each tile, of these again, until a row is one tile.
void sort_in_rounds(const shim::CudaCall& call, const SortRows& of, const SortedPart& part) {
  const std::int64_t needed = part.first + part.kept;
  SortTiles tiles{.of = of,
                  .keys = nullptr,
                  .places = nullptr,
                  .kept_keys = nullptr,
                  .kept_places = nullptr,
                  .length = of.rows.length,
                  .tiles = tiles_of(of.rows.length),
                  .kept_of_row = 0,
                  .first = 0,
                  .kept = needed};
  std::unique_ptr<Kept> current;
  while (tiles.tiles > 1) {
    const std::int64_t in_last = tiles.length - (tiles.tiles - 1) * kSortTile;
    tiles.kept_of_row = (tiles.tiles - 1) * needed + std::min(needed, in_last);
    auto next = std::make_unique<Kept>(call, of, tiles.kept_of_row);
    tiles.kept_keys = next->keys.data();
    tiles.kept_places = next->places.as<std::uint32_t>();
    launch_tiles(call, tiles);
    // The memory of the round before goes to what the stream does later.
    current = std::move(next);
    tiles.keys = current->keys.data();
    tiles.places = current->places.as<std::uint32_t>();
    tiles.length = tiles.kept_of_row;
    tiles.tiles = tiles_of(tiles.length);
  }
  tiles.kept_keys = nullptr;
  tiles.kept_places = nullptr;
  tiles.first = part.first;
  tiles.kept = part.kept;
  launch_tiles(call, tiles);
}

/// Sorts the keys of whole rows, eight bits after eight bits; `last` is the pass whose results are in order.
struct RadixSort {
  RadixSort(const shim::CudaCall& call, const SortRows& of)
      : one(call, of, of.rows.length),
        other(call, of, of.rows.length),
        counts(call, of.rows.starts.count * kernels::kRadixDigits * tiles_of(of.rows.length),
               sizeof(std::uint32_t)) {
    static constexpr Kernel kBefore(kSortImage, "penstock_radix_before");
    const SortKernels& kernels = kernels_of(of);
    const std::int64_t rows = of.rows.starts.count;
    const std::int64_t tiles = tiles_of(of.rows.length);
    kernels.keys.launch(call, grid_for(call, rows * of.rows.length), of, one.keys.data());
    last = {.keys = nullptr,
            .places = nullptr,
            .next_keys = one.keys.data(),
            .next_places = nullptr,
            .counts = counts.as<std::uint32_t>(),
            .rows = rows,
            .length = of.rows.length,
            .tiles = tiles,
            .first_bit = 0,
            .bits = kernels::kRadixBits};
    for (int bit = 0; bit < of.key_bits; bit += kernels::kRadixBits) {
      const bool to_other = last.next_keys == one.keys.data();
      last.keys = last.next_keys;
      last.places = last.next_places;
      last.next_keys = (to_other ? other : one).keys.data();
      last.next_places = (to_other ? other : one).places.as<std::uint32_t>();
      last.first_bit = bit;
      const Grid grid = grid_of_blocks(call, rows * tiles, kernels::kSortThreads);
      kernels.count.launch(call, grid, last);
      kBefore.launch(call, grid_of_blocks(call, rows, kernels::kScanThreads), last);
      kernels.place.launch(call, grid, last);
    }
  }

  Kept one;
  Kept other;
  Temporary counts;
  RadixPass last{};
};

}  // namespace

void sort_rows(const shim::CudaCall& call, const SortOperands& operands, const SortedPart& part) {
  // More would not leave a tile much smaller than it was.
  constexpr std::int64_t kMostInRounds = kSortTile / 4;
  const SortRows of = rows_of(operands, part.descending);
  if (of.rows.starts.count == 0 || of.rows.length == 0 || part.kept == 0) return;
  if (of.rows.length <= kSortTile || part.first + part.kept <= kMostInRounds) {
    return sort_in_rounds(call, of, part);
  }
  static constexpr Kernel kResults(kSortImage, "penstock_sort_results");
  const RadixSort sorted(call, of);
  kResults.launch(call, grid_for(call, of.rows.starts.count * part.kept), of,
                  static_cast<const std::uint32_t*>(sorted.last.next_places), part.first, part.kept);
}

void find_median(const shim::CudaCall& call, const tensor::TensorObject& out,
                 const tensor::TensorObject& self, bool skips_nan) {
  kernels::Median median{.self = self.data,
                         .out = out.data,
                         .keys = nullptr,
                         .places = nullptr,
                         .dtype = element_of("median", self.dtype),
                         .skips_nan = skips_nan ? 1 : 0,
                         .count = self.numel};
  SortRows of{.self = self.data,
              .values = nullptr,
              .indices = nullptr,
              .dtype = median.dtype,
              .key_bits = static_cast<int>(8 * element_bytes(self.dtype)),
              .descending = 0,
              .rows = {}};
  of.rows.starts.count = 1;
  of.rows.step = {1, 0, 0};
  of.rows.length = self.numel;
  const Grid one{};
  if (self.numel == 0) return kernels_of(of).median.launch(call, one, median);
  const RadixSort sorted(call, of);
  median.keys = sorted.last.next_keys;
  median.places = sorted.last.next_places;
  kernels_of(of).median.launch(call, one, median);
}

}  // namespace penstock::cuda_ops
