// Copies of strided tensors, conversions of dtypes, and tensors of one value.

#include "element.cuh"

using namespace penstock::kernels;

namespace {

template <class T>
__device__ void copy(T* to, const T* from, const Walk<2>& walk) {
  for_each_place(walk, [&](std::int64_t, const std::int64_t (&place)[2]) { to[place[0]] = from[place[1]]; });
}

/// Reads along one dimension and writes along the other, so that neighbors in memory are neighbors in a warp
/// both times.
template <class T>
__device__ void transpose(T* to, const T* from, const Transpose& shape) {
  // One more, so that a column's elements are not all in one bank.
  __shared__ T tile[kTransposeTile][kTransposeTile + 1];
  constexpr int kSteps = kTransposeThreads / kTransposeTile;
  const int fast = static_cast<int>(threadIdx.x) % kTransposeTile;
  const int slow = static_cast<int>(threadIdx.x) / kTransposeTile;
  const std::int64_t across = (shape.columns + kTransposeTile - 1) / kTransposeTile;
  const std::int64_t down = (shape.rows + kTransposeTile - 1) / kTransposeTile;
  const std::int64_t tiles = across * down * shape.around.count;
  for (std::int64_t t = blockIdx.x; t < tiles; t += gridDim.x) {
    std::int64_t start[2];
    find_places(shape.around, t / (across * down), start);
    const std::int64_t row = t / across % down * kTransposeTile;
    const std::int64_t column = t % across * kTransposeTile;
    for (int i = slow; i < kTransposeTile; i += kSteps) {
      if (row + fast < shape.rows && column + i < shape.columns) {
        tile[i][fast] = from[start[1] + row + fast + (column + i) * shape.from_column];
      }
    }
    __syncthreads();
    for (int i = slow; i < kTransposeTile; i += kSteps) {
      if (row + i < shape.rows && column + fast < shape.columns) {
        to[start[0] + (row + i) * shape.to_row + column + fast] = tile[fast][i];
      }
    }
    __syncthreads();
  }
}

}  // namespace

PENSTOCK_KERNEL(penstock_copy_1, std::uint8_t* to, const std::uint8_t* from, Walk<2> walk) { copy(to, from, walk); }
PENSTOCK_KERNEL(penstock_copy_2, std::uint16_t* to, const std::uint16_t* from, Walk<2> walk) { copy(to, from, walk); }
PENSTOCK_KERNEL(penstock_copy_4, std::uint32_t* to, const std::uint32_t* from, Walk<2> walk) { copy(to, from, walk); }
PENSTOCK_KERNEL(penstock_copy_8, std::uint64_t* to, const std::uint64_t* from, Walk<2> walk) { copy(to, from, walk); }
PENSTOCK_KERNEL(penstock_copy_16, Sixteen* to, const Sixteen* from, Walk<2> walk) { copy(to, from, walk); }

PENSTOCK_KERNEL(penstock_transpose_1, std::uint8_t* to, const std::uint8_t* from, Transpose shape) {
  transpose(to, from, shape);
}
PENSTOCK_KERNEL(penstock_transpose_2, std::uint16_t* to, const std::uint16_t* from, Transpose shape) {
  transpose(to, from, shape);
}
PENSTOCK_KERNEL(penstock_transpose_4, std::uint32_t* to, const std::uint32_t* from, Transpose shape) {
  transpose(to, from, shape);
}
PENSTOCK_KERNEL(penstock_transpose_8, std::uint64_t* to, const std::uint64_t* from, Transpose shape) {
  transpose(to, from, shape);
}
PENSTOCK_KERNEL(penstock_transpose_16, Sixteen* to, const Sixteen* from, Transpose shape) {
  transpose(to, from, shape);
}

PENSTOCK_KERNEL(penstock_convert, void* to, Element to_dtype, const void* from, Element from_dtype, Walk<2> walk) {
  for_each_place(walk, [&](std::int64_t, const std::int64_t (&place)[2]) {
    store_number(to_dtype, to, place[0], load_number(from_dtype, from, place[1]));
  });
}

PENSTOCK_KERNEL(penstock_fill, void* to, Element dtype, FillValue value, Walk<1> walk) {
  const Number number = number_of(value);
  for_each_place(walk,
                 [&](std::int64_t, const std::int64_t (&place)[1]) { store_number(dtype, to, place[0], number); });
}
