// One step of an LSTM, after its products.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace {

__device__ float widen(float value) { return value; }
__device__ double widen(double value) { return value; }
__device__ float widen(__half value) { return __half2float(value); }
__device__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }

__device__ void narrow(float* to, float value) { *to = value; }
__device__ void narrow(double* to, double value) { *to = value; }
__device__ void narrow(__half* to, float value) { *to = __float2half_rn(value); }
__device__ void narrow(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

__device__ float sigmoid(float value) { return 1 / (1 + expf(-value)); }
__device__ double sigmoid(double value) { return 1 / (1 + exp(-value)); }
__device__ float tangent(float value) { return tanhf(value); }
__device__ double tangent(double value) { return tanh(value); }

/// Gates lie one after the other in each row: in, forget, cell, out.
template <class T>
__device__ void lstm_cell(const T* input, const T* recurrent, const T* before, const T* bias0, const T* bias1, T* hidden,
                          T* cell, T* gates, std::int64_t width, std::int64_t count) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const std::int64_t column = i % width;
    const std::int64_t first = i / width * 4 * width + column;
    decltype(widen(T())) sums[4];
    for (int gate = 0; gate < 4; ++gate) {
      sums[gate] = widen(input[first + gate * width]) + widen(recurrent[first + gate * width]);
      if (bias0 != nullptr) sums[gate] += widen(bias0[column + gate * width]);
      if (bias1 != nullptr) sums[gate] += widen(bias1[column + gate * width]);
    }
    const auto in = sigmoid(sums[0]);
    const auto forget = sigmoid(sums[1]);
    const auto candidate = tangent(sums[2]);
    const auto out = sigmoid(sums[3]);
    const auto after = forget * widen(before[i]) + in * candidate;
    narrow(cell + i, after);
    narrow(hidden + i, out * tangent(after));
    narrow(gates + first, in);
    narrow(gates + first + width, forget);
    narrow(gates + first + 2 * width, candidate);
    narrow(gates + first + 3 * width, out);
  }
}

}  // namespace

#define PENSTOCK_LSTM_CELL(name, T)                                                                               \
  extern "C" __global__ void penstock_lstm_cell_##name(                                                          \
      const T* input, const T* recurrent, const T* before, const T* bias0, const T* bias1, T* hidden, T* cell,   \
      T* gates, std::int64_t width, std::int64_t count) {                                                        \
    lstm_cell(input, recurrent, before, bias0, bias1, hidden, cell, gates, width, count);                        \
  }

PENSTOCK_LSTM_CELL(float32, float)
PENSTOCK_LSTM_CELL(float64, double)
PENSTOCK_LSTM_CELL(float16, __half)
PENSTOCK_LSTM_CELL(bfloat16, __nv_bfloat16)
