// Softmax of the scores of an attention.

#include "element.cuh"

using namespace penstock::kernels;

namespace {

/// As in attention.cpp.
struct SoftmaxShape {
  std::int64_t rows;
  std::int64_t queries;
  std::int64_t first_query;
  std::int64_t keys;
  std::int64_t row_stride;
  std::int64_t heads;
  std::int64_t mask_batch;
  std::int64_t mask_head;
  std::int64_t mask_query;
  std::int64_t mask_key;
  std::int64_t sum_batch;
  std::int64_t sum_head;
  int causal;
};

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

}  // namespace

#define PENSTOCK_SOFTMAX(name, T)                                                                        \
  PENSTOCK_KERNEL(penstock_softmax_##name, float* scores, T* weights, const T* mask, float* log_sums,    \
                  SoftmaxShape shape) {                                                                  \
    softmax(scores, weights, mask, log_sums, shape);                                                     \
  }

PENSTOCK_SOFTMAX(float32, float)
PENSTOCK_SOFTMAX(float16, Half)
PENSTOCK_SOFTMAX(bfloat16, BFloat16)
