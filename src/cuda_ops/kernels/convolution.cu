// What comes after a convolution.

#include "element.cuh"

using namespace penstock::kernels;

namespace {

/// Elements in the order of memory: `inner` follow one another in one channel.
template <class T>
__device__ void add_bias(T* out, const T* bias, std::int64_t bias_stride, std::int64_t channels, std::int64_t inner,
                         std::int64_t count) {
  for_each_index(count, [&](std::int64_t i) {
    out[i] = Narrow<T>::of(wide(out[i]) + wide(bias[i / inner % channels * bias_stride]));
  });
}

}  // namespace

#define PENSTOCK_ADD_BIAS(name, T)                                                                           \
  PENSTOCK_KERNEL(penstock_add_bias_##name, T* out, const T* bias, std::int64_t bias_stride,                 \
                  std::int64_t channels, std::int64_t inner, std::int64_t count) {                           \
    add_bias(out, bias, bias_stride, channels, inner, count);                                                \
  }

PENSTOCK_ADD_BIAS(float32, float)
PENSTOCK_ADD_BIAS(float64, double)
PENSTOCK_ADD_BIAS(float16, Half)
PENSTOCK_ADD_BIAS(bfloat16, BFloat16)
