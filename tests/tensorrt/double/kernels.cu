// What the layers of the double do. Parameters are flat and in an order without gaps, so that tests can read them
// where kernels do not run: actions.cpp does the same on the host.

#include <cuda_bf16.h>
#include <cuda_fp16.h>

namespace {

/// Numbers of TensorRT's DataType.
enum : int { kFloat = 0, kHalf = 1, kInt8 = 2, kInt32 = 3, kBool = 4, kBFloat16 = 7, kInt64 = 8 };

__device__ double load(int type, const void* data, long long index) {
  switch (type) {
    case kFloat: return static_cast<const float*>(data)[index];
    case kHalf: return __half2float(static_cast<const __half*>(data)[index]);
    case kInt8: return static_cast<const signed char*>(data)[index];
    case kInt32: return static_cast<const int*>(data)[index];
    case kBool: return static_cast<const unsigned char*>(data)[index] != 0;
    case kBFloat16: return __bfloat162float(static_cast<const __nv_bfloat16*>(data)[index]);
    default: return static_cast<double>(static_cast<const long long*>(data)[index]);
  }
}

__device__ void store(int type, void* data, long long index, double value) {
  switch (type) {
    case kFloat: static_cast<float*>(data)[index] = static_cast<float>(value); break;
    case kHalf: static_cast<__half*>(data)[index] = __float2half_rn(static_cast<float>(value)); break;
    case kInt8: static_cast<signed char*>(data)[index] = static_cast<signed char>(value); break;
    case kInt32: static_cast<int*>(data)[index] = static_cast<int>(value); break;
    case kBool: static_cast<unsigned char*>(data)[index] = value != 0; break;
    case kBFloat16:
      static_cast<__nv_bfloat16*>(data)[index] = __float2bfloat16_rn(static_cast<float>(value));
      break;
    default: static_cast<long long*>(data)[index] = static_cast<long long>(value);
  }
}

__device__ unsigned long long nanoseconds() {
  unsigned long long now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  return now;
}

__device__ void spin(int microseconds) {
  const unsigned long long end = nanoseconds() + 1000ULL * static_cast<unsigned>(microseconds);
  while (microseconds > 0 && nanoseconds() < end) {
  }
}

__device__ long long first() { return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ long long step() { return static_cast<long long>(gridDim.x) * blockDim.x; }

}  // namespace

/// out = scale * (a + b + c + d) + bias. `types` has four bits each, from those of `out` on; a null input is none.
extern "C" __global__ void penstock_double_affine(void* out, const void* a, const void* b, const void* c, const void* d,
                                                  long long count, double scale, double bias, int types, int spin_us) {
  spin(spin_us);
  for (long long i = first(); i < count; i += step()) {
    double sum = 0;
    if (a != nullptr) sum += load(types >> 4 & 15, a, i);
    if (b != nullptr) sum += load(types >> 8 & 15, b, i);
    if (c != nullptr) sum += load(types >> 12 & 15, c, i);
    if (d != nullptr) sum += load(types >> 16 & 15, d, i);
    store(types & 15, out, i, scale * sum + bias);
  }
}

/// The SM of each block.
extern "C" __global__ void penstock_double_smid(int* out, long long count, int spin_us) {
  int sm;
  asm volatile("mov.u32 %0, %%smid;" : "=r"(sm));
  spin(spin_us);
  if (threadIdx.x == 0 && blockIdx.x < count) out[blockIdx.x] = sm;
}

/// How many values are not zero. One thread: tests have few.
extern "C" __global__ void penstock_double_count(long long* result, const float* in, long long count, int spin_us) {
  spin(spin_us);
  long long found = 0;
  for (long long i = 0; i < count; ++i) found += in[i] != 0;
  *result = found;
}

/// Those values, or with a type of integers where they are.
extern "C" __global__ void penstock_double_compact(void* out, const float* in, long long count, int type) {
  long long found = 0;
  for (long long i = 0; i < count; ++i) {
    if (in[i] != 0) store(type, out, found++, type == kFloat ? in[i] : static_cast<double>(i));
  }
}

/// cache += x, which begins anew where it ends.
extern "C" __global__ void penstock_double_append(void* cache, const void* x, long long count, long long x_count,
                                                  int type, int spin_us) {
  spin(spin_us);
  for (long long i = first(); i < count; i += step()) {
    store(type, cache, i, load(type, cache, i) + load(type, x, i % x_count));
  }
}

extern "C" __global__ void penstock_double_fill(void* out, long long count, double value, int type, int spin_us) {
  spin(spin_us);
  for (long long i = first(); i < count; i += step()) store(type, out, i, value);
}
