// What comes after a convolution.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace {

__device__ float sum(float a, float b) { return a + b; }
__device__ double sum(double a, double b) { return a + b; }
__device__ __half sum(__half a, __half b) { return __float2half_rn(__half2float(a) + __half2float(b)); }
__device__ __nv_bfloat16 sum(__nv_bfloat16 a, __nv_bfloat16 b) {
  return __float2bfloat16_rn(__bfloat162float(a) + __bfloat162float(b));
}

/// Elements in the order of memory: `inner` follow one another in one channel.
template <class T>
__device__ void add_bias(T* out, const T* bias, std::int64_t bias_stride, std::int64_t channels, std::int64_t inner,
                         std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    out[i] = sum(out[i], bias[i / inner % channels * bias_stride]);
  }
}

}  // namespace

#define PENSTOCK_ADD_BIAS(name, T)                                                                              \
  extern "C" __global__ void penstock_add_bias_##name(T* out, const T* bias, std::int64_t bias_stride,          \
                                                      std::int64_t channels, std::int64_t inner,                \
                                                      std::int64_t count) {                                     \
    add_bias(out, bias, bias_stride, channels, inner, count);                                                   \
  }

PENSTOCK_ADD_BIAS(float32, float)
PENSTOCK_ADD_BIAS(float64, double)
PENSTOCK_ADD_BIAS(float16, __half)
PENSTOCK_ADD_BIAS(bfloat16, __nv_bfloat16)
