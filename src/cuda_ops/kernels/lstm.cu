// One step of an LSTM, after its products.

#include "element.cuh"

using namespace penstock::kernels;

namespace {

__device__ float sigmoid(float value) { return 1 / (1 + expf(-value)); }
__device__ double sigmoid(double value) { return 1 / (1 + exp(-value)); }
__device__ float tangent(float value) { return tanhf(value); }
__device__ double tangent(double value) { return tanh(value); }

/// Gates lie one after the other in each row: in, forget, cell, out.
template <class T>
__device__ void lstm_cell(const T* input, const T* recurrent, const T* before, const T* bias0, const T* bias1, T* hidden,
                          T* cell, T* gates, std::int64_t width, std::int64_t count) {
  for_each_index(count, [&](std::int64_t i) {
    const std::int64_t column = i % width;
    const std::int64_t first = i / width * 4 * width + column;
    decltype(wide(T())) sums[4];
    for (int gate = 0; gate < 4; ++gate) {
      sums[gate] = wide(input[first + gate * width]) + wide(recurrent[first + gate * width]);
      if (bias0 != nullptr) sums[gate] += wide(bias0[column + gate * width]);
      if (bias1 != nullptr) sums[gate] += wide(bias1[column + gate * width]);
    }
    const auto in = sigmoid(sums[0]);
    const auto forget = sigmoid(sums[1]);
    const auto candidate = tangent(sums[2]);
    const auto out = sigmoid(sums[3]);
    const auto after = forget * wide(before[i]) + in * candidate;
    cell[i] = Narrow<T>::of(after);
    hidden[i] = Narrow<T>::of(out * tangent(after));
    gates[first] = Narrow<T>::of(in);
    gates[first + width] = Narrow<T>::of(forget);
    gates[first + 2 * width] = Narrow<T>::of(candidate);
    gates[first + 3 * width] = Narrow<T>::of(out);
  });
}

}  // namespace

#define PENSTOCK_LSTM_CELL(name, T)                                                                              \
  PENSTOCK_KERNEL(penstock_lstm_cell_##name, const T* input, const T* recurrent, const T* before, const T* bias0, \
                  const T* bias1, T* hidden, T* cell, T* gates, std::int64_t width, std::int64_t count) {        \
    lstm_cell(input, recurrent, before, bias0, bias1, hidden, cell, gates, width, count);                        \
  }

PENSTOCK_LSTM_CELL(float32, float)
PENSTOCK_LSTM_CELL(float64, double)
PENSTOCK_LSTM_CELL(float16, Half)
PENSTOCK_LSTM_CELL(bfloat16, BFloat16)
