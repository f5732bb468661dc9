#pragma once

// A kernel by the name under which the host finds it. Tests compile the same files as code of the host, with
// what a device has beside C++ (threadIdx, __syncthreads, ...) imitated.
#ifdef __CUDACC__
#define PENSTOCK_KERNEL(name, ...) extern "C" __global__ void name(__VA_ARGS__)
#else
#include "emulated_device.hpp"
#endif

#include "arguments.hpp"

#include <cstdint>

namespace penstock::kernels {

/// Where element `i` of a walk lies in each tensor, counting in row-major order.
template <class Index, int kTensors>
__device__ void find_places(const Walk<kTensors>& walk, Index i, std::int64_t (&place)[kTensors]) {
  for (int t = 0; t < kTensors; ++t) place[t] = 0;
#pragma unroll 1
  for (int d = walk.rank - 1; d >= 0; --d) {
    const Index size = static_cast<Index>(walk.size[d]);
    // What is left is an index of the outermost dimension.
    const Index rest = d == 0 ? 0 : i / size;
    const std::int64_t index = static_cast<std::int64_t>(i - rest * size);
    i = rest;
    for (int t = 0; t < kTensors; ++t) place[t] += index * walk.stride[t][d];
  }
}

/// The same, with the cheaper division where that is enough.
template <int kTensors>
__device__ void find_places(const Walk<kTensors>& walk, std::int64_t i, std::int64_t (&place)[kTensors]) {
  if (walk.count <= INT32_MAX) {
    find_places<std::uint32_t>(walk, static_cast<std::uint32_t>(i), place);
  } else {
    find_places<std::uint64_t>(walk, static_cast<std::uint64_t>(i), place);
  }
}

/// Calls work(i) for i below `count`, each once in the grid.
template <class Work>
__device__ void for_each_index(std::int64_t count, const Work& work) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += step) {
    work(i);
  }
}

/// Calls work(i, places) for each element of a walk, once in the grid.
template <int kTensors, class Work>
__device__ void for_each_place(const Walk<kTensors>& walk, const Work& work) {
  for_each_index(walk.count, [&](std::int64_t i) {
    std::int64_t place[kTensors];
    find_places(walk, i, place);
    work(i, place);
  });
}

}  // namespace penstock::kernels
