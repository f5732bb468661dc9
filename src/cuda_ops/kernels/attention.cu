// Attention: all of it where it is small, else the softmax of its scores.

#include "attention_arguments.hpp"
#include "element.cuh"

using namespace penstock::kernels;

namespace {

struct Larger {
  __device__ float operator()(float a, float b) const { return a > b || isnan(a) ? a : b; }
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

/// The same in all threads of a warp.
template <class Combine>
__device__ float over_warp(float value, Combine combine) {
  for (int lane = 16; lane > 0; lane /= 2) value = combine(value, __shfl_xor_sync(0xFFFFFFFF, value, lane));
  return value;
}

/// One warp a row. Scores get the mask added where they lie, so that they are computed once. `weights` may be
/// the scores themselves.
template <class T>
__device__ void softmax(float* scores, T* weights, const T* mask, float* log_sums, const SoftmaxShape& shape) {
  const int lane = threadIdx.x % 32;
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * (blockDim.x / 32);
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * (blockDim.x / 32) + threadIdx.x / 32;
       row < shape.rows; row += warps) {
    const std::int64_t query = row % shape.queries;
    const std::int64_t head = row / shape.queries % shape.heads;
    const std::int64_t batch = row / shape.queries / shape.heads;
    const std::int64_t last = shape.first_query + query + 1;
    const std::int64_t seen = shape.causal != 0 && last < shape.keys ? last : shape.keys;
    float* const score = scores + row * shape.row_stride;
    T* const weight = weights + row * shape.row_stride;
    const T* const added =
        mask == nullptr ? nullptr
                        : mask + batch * shape.mask_batch + head * shape.mask_head + query * shape.mask_query;
    float largest = -INFINITY;
    for (std::int64_t key = lane; key < seen; key += 32) {
      if (added != nullptr) score[key] += wide(added[key * shape.mask_key]);
      // A NaN stays one.
      largest = score[key] > largest || isnan(score[key]) ? score[key] : largest;
    }
    largest = over_warp(largest, Larger());
    float sum = 0;
    const float subtracted = largest == -INFINITY ? 0 : largest;
    for (std::int64_t key = lane; key < seen; key += 32) sum += expf(score[key] - subtracted);
    sum = over_warp(sum, Sum());
    const float scale = sum == 0 ? 0 : 1 / sum;
    for (std::int64_t key = lane; key < shape.keys; key += 32) {
      weight[key] = Narrow<T>::of(key < seen ? expf(score[key] - subtracted) * scale : 0.0F);
    }
    if (log_sums != nullptr && lane == 0) {
      log_sums[batch * shape.sum_batch + head * shape.sum_head + query] = subtracted + logf(sum);
    }
  }
}

__device__ std::int64_t place(const AttentionStrides& strides, std::int64_t batch, std::int64_t head,
                              std::int64_t row, std::int64_t column) {
  return batch * strides.batch + head * strides.head + row * strides.row + column * strides.column;
}

/// Some queries of one head in a block, `kRows` of them a warp, so that each number of a key that is read
/// counts for all of these. Keys come by, a tile at a time, one a lane for the scores; then the lanes have
/// columns of the result. What the keys before amount to is kept relative to the largest score so far.
template <class T, int kDepth>
struct Attend {
  static constexpr int kWarps = kAttentionThreads / 32;
  static constexpr int kRows = kAttentionQueries / kWarps;
  static constexpr int kTile = 32;
  static constexpr int kParts = kDepth / 32;
  static constexpr int kQueries = kAttentionQueries;

  /// One number of each row of a warp, read at once.
  struct alignas(16) Rows {
    float of[kRows];
  };
  /// One column more than there is keeps lanes out of each other's banks.
  struct Shared {
    Rows queries[kWarps][kDepth];
    Rows weights[kWarps][kTile];
    float keys[kTile][kDepth + 1];
    float values[kTile][kDepth];
  };

  /// Calls store(row, column, number) for a tile of `kCount` rows, of which `rows` are there; zeros else.
  template <int kCount, class Store>
  static __device__ void load(const T* from, const AttentionStrides& strides, int rows, std::int64_t depth,
                              const Store& store) {
    for (int i = threadIdx.x; i < kCount * kDepth; i += kWarps * 32) {
      const int row = i / kDepth;
      const int column = i % kDepth;
      const bool is_there = row < rows && column < depth;
      store(row, column, is_there ? wide(from[row * strides.row + column * strides.column]) : 0.0F);
    }
  }

  static __device__ void run(Shared& shared, const T* query, const T* key, const T* value, const T* mask,
                             T* out, float* log_sums, const AttentionShape& shape) {
    const std::int64_t tiles = (shape.queries + kQueries - 1) / kQueries;
    const std::int64_t first = blockIdx.x % tiles * kQueries;
    const std::int64_t head = blockIdx.x / tiles % shape.heads;
    const std::int64_t batch = blockIdx.x / tiles / shape.heads;
    const std::int64_t key_head = head / shape.heads_a_key;
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const std::int64_t left = shape.queries - first;
    const int count = left < kQueries ? static_cast<int>(left) : kQueries;
    // What the last query of the block sees.
    const std::int64_t seen = shape.causal != 0 && first + count < shape.keys ? first + count : shape.keys;
    load<kQueries>(query + place(shape.query, batch, head, first, 0), shape.query, count, shape.depth,
                   [&](int row, int column, float number) {
                     shared.queries[row / kRows][column].of[row % kRows] = number * shape.scale;
                   });
    float largest[kRows];
    float sum[kRows];
    float result[kRows][kParts];
    for (int row = 0; row < kRows; ++row) {
      largest[row] = -INFINITY;
      sum[row] = 0;
      for (int part = 0; part < kParts; ++part) result[row][part] = 0;
    }
    for (std::int64_t begin = 0; begin < seen; begin += kTile) {
      const int rows = seen - begin < kTile ? static_cast<int>(seen - begin) : kTile;
      __syncthreads();
      load<kTile>(key + place(shape.key, batch, key_head, begin, 0), shape.key, rows, shape.depth,
                  [&](int row, int column, float number) { shared.keys[row][column] = number; });
      load<kTile>(value + place(shape.value, batch, key_head, begin, 0), shape.value, rows, shape.value_depth,
                  [&](int row, int column, float number) { shared.values[row][column] = number; });
      __syncthreads();
      float score[kRows] = {};
      for (int d = 0; d < kDepth; ++d) {
        const float number = shared.keys[lane][d];
        const Rows of_queries = shared.queries[warp][d];
        for (int row = 0; row < kRows; ++row) score[row] += of_queries.of[row] * number;
      }
      for (int row = 0; row < kRows; ++row) {
        const std::int64_t at = first + warp * kRows + row;
        const std::int64_t number = begin + lane;
        const bool is_seen = lane < rows && at < shape.queries && (shape.causal == 0 || number <= at);
        if (!is_seen) {
          score[row] = -INFINITY;
        } else if (mask != nullptr) {
          score[row] += wide(mask[place(shape.mask, batch, head, at, number)]);
        }
        const float before = largest[row];
        largest[row] = Larger()(over_warp(score[row], Larger()), before);
        const float subtracted = largest[row] == -INFINITY ? 0 : largest[row];
        const float weight = is_seen ? expf(score[row] - subtracted) : 0.0F;
        const float kept = expf(before - subtracted);
        sum[row] = sum[row] * kept + over_warp(weight, Sum());
        for (int part = 0; part < kParts; ++part) result[row][part] *= kept;
        shared.weights[warp][lane].of[row] = weight;
      }
      __syncthreads();
      for (int number = 0; number < rows; ++number) {
        const Rows weights = shared.weights[warp][number];
        for (int part = 0; part < kParts; ++part) {
          const float of_value = shared.values[number][part * 32 + lane];
          for (int row = 0; row < kRows; ++row) result[row][part] += weights.of[row] * of_value;
        }
      }
    }
    for (int row = 0; row < kRows; ++row) {
      const std::int64_t at = first + warp * kRows + row;
      if (at >= shape.queries) continue;
      const float scale = sum[row] == 0 ? 0 : 1 / sum[row];
      for (int part = 0; part < kParts; ++part) {
        const std::int64_t column = part * 32 + lane;
        if (column < shape.value_depth)
          out[place(shape.out, batch, head, at, column)] = Narrow<T>::of(result[row][part] * scale);
      }
      if (log_sums == nullptr || lane != 0) continue;
      const float subtracted = largest[row] == -INFINITY ? 0 : largest[row];
      log_sums[place(shape.sum, batch, head, at, 0)] = subtracted + logf(sum[row]);
    }
  }
};

}  // namespace

#define PENSTOCK_ATTENTION(name, T, depth)                                                                   \
  PENSTOCK_KERNEL(penstock_attention_##name##_##depth, const T* query, const T* key, const T* value,         \
                  const T* mask, T* out, float* log_sums, AttentionShape shape) {                            \
    __shared__ Attend<T, depth>::Shared shared;                                                              \
    Attend<T, depth>::run(shared, query, key, value, mask, out, log_sums, shape);                            \
  }

PENSTOCK_ATTENTION(float32, float, 32)
PENSTOCK_ATTENTION(float32, float, 64)
PENSTOCK_ATTENTION(float32, float, 128)
PENSTOCK_ATTENTION(float16, Half, 32)
PENSTOCK_ATTENTION(float16, Half, 64)
PENSTOCK_ATTENTION(float16, Half, 128)
PENSTOCK_ATTENTION(bfloat16, BFloat16, 32)
PENSTOCK_ATTENTION(bfloat16, BFloat16, 64)
PENSTOCK_ATTENTION(bfloat16, BFloat16, 128)

#define PENSTOCK_SOFTMAX(name, T)                                                                        \
  PENSTOCK_KERNEL(penstock_softmax_##name, float* scores, T* weights, const T* mask, float* log_sums,    \
                  SoftmaxShape shape) {                                                                  \
    softmax(scores, weights, mask, log_sums, shape);                                                     \
  }

PENSTOCK_SOFTMAX(float32, float)
PENSTOCK_SOFTMAX(float16, Half)
PENSTOCK_SOFTMAX(bfloat16, BFloat16)
