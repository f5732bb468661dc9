#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <vector>

// What kernels of src/cuda_ops/kernels need of a device, where they are compiled as code of the host: each
// thread of a block is a fiber, and blocks run one after the other. It shows what a kernel computes, not how
// fast, nor what goes wrong between threads that run at once.

#define __device__
#define __global__
// One block runs at a time.
#define __shared__ static

struct EmulatedIndex {
  unsigned x = 0;
  unsigned y = 0;
  unsigned z = 0;
};
extern EmulatedIndex threadIdx;
extern EmulatedIndex blockIdx;
extern EmulatedIndex blockDim;
extern EmulatedIndex gridDim;

/// Waits until every thread of the block that has not ended is here.
void __syncthreads();

/// The value of the thread whose number in the warp differs in these bits. All threads of a warp come here.
float __shfl_xor_sync(unsigned threads, float value, int bits);

using std::isnan;

namespace penstock::emulation {

/// Runs a kernel with its arguments by address.
using Launcher = void (*)(void** arguments);
void add_kernel(const char* name, Launcher launcher);

template <class... Arguments, std::size_t... kPlaces>
void call_with(void (*kernel)(Arguments...), void** arguments, std::index_sequence<kPlaces...>) {
  kernel(*static_cast<std::remove_reference_t<Arguments>*>(arguments[kPlaces])...);
}

template <auto kKernel>
struct LauncherOf;
template <class... Arguments, void (*kKernel)(Arguments...)>
struct LauncherOf<kKernel> {
  static void launch(void** arguments) {
    call_with(kKernel, arguments, std::index_sequence_for<Arguments...>{});
  }
};

template <auto kKernel>
struct Registration {
  explicit Registration(const char* name) { add_kernel(name, &LauncherOf<kKernel>::launch); }
};

}  // namespace penstock::emulation

#define PENSTOCK_KERNEL(name, ...)                                              \
  extern "C" void name(__VA_ARGS__);                                            \
  static const penstock::emulation::Registration<&name> register_##name(#name); \
  extern "C" void name(__VA_ARGS__)

template <class T, class U>
T atomicAdd(T* address, U value) {
  const T old = *address;
  *address = static_cast<T>(old + value);
  return old;
}

template <class T>
T atomicCAS(T* address, T expected, T desired) {
  const T old = *address;
  if (old == expected) *address = desired;
  return old;
}

template <class T>
T min(T a, T b) {
  return std::min(a, b);
}
template <class T>
T max(T a, T b) {
  return std::max(a, b);
}

inline double __longlong_as_double(long long bits) {
  double value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

namespace penstock::kernels {

float float_of_half(std::uint16_t bits);
std::uint16_t half_of_float(float value);
float float_of_bfloat16(std::uint16_t bits);
std::uint16_t bfloat16_of_float(float value);

/// As block.cuh has it from CUB.
template <class T, int kThreads>
struct BlockScan {
  struct Storage {
    T values[kThreads];
  };

  template <class Combine>
  static T before(Storage& storage, T value, T identity, Combine combine, T& total) {
    storage.values[threadIdx.x] = value;
    __syncthreads();
    T result = identity;
    total = identity;
    for (unsigned i = 0; i < kThreads; ++i) {
      if (i == threadIdx.x) result = total;
      total = combine(total, storage.values[i]);
    }
    __syncthreads();
    return result;
  }
};

template <class Key, int kThreads, int kItems>
struct BlockSort {
  static constexpr unsigned kCount = static_cast<unsigned>(kThreads * kItems);
  struct Storage {
    Key keys[kCount];
    std::uint32_t places[kCount];
    std::uint32_t order[kCount];
  };

  static void sort(Storage& storage, Key (&keys)[kItems], std::uint32_t (&places)[kItems], int first_bit,
                   int last_bit) {
    for (unsigned i = 0; i < kItems; ++i) {
      storage.keys[threadIdx.x * kItems + i] = keys[i];
      storage.places[threadIdx.x * kItems + i] = places[i];
    }
    __syncthreads();
    if (threadIdx.x == 0) {
      const Key mask = ~Key{0} >> (8 * static_cast<int>(sizeof(Key)) - (last_bit - first_bit));
      std::iota(storage.order, storage.order + kCount, 0U);
      std::stable_sort(storage.order, storage.order + kCount, [&](std::uint32_t a, std::uint32_t b) {
        return (storage.keys[a] >> first_bit & mask) < (storage.keys[b] >> first_bit & mask);
      });
    }
    __syncthreads();
    for (unsigned i = 0; i < kItems; ++i) {
      const std::uint32_t from = storage.order[threadIdx.x + i * kThreads];
      keys[i] = storage.keys[from];
      places[i] = storage.places[from];
    }
    __syncthreads();
  }
};

}  // namespace penstock::kernels
