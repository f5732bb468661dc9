#pragma once

#include "device.cuh"

#ifdef __CUDACC__
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_scan.cuh>
#endif

// What the threads of a block do together: from CUB. Tests that run kernels on the host have their own.
namespace penstock::kernels {

#ifdef __CUDACC__
/// Combines one value of each thread with those of the threads before.
template <class T, int kThreads>
struct BlockScan {
  using Scanner = cub::BlockScan<T, kThreads>;
  using Storage = typename Scanner::TempStorage;

  /// What goes before this thread; `total` is that of all threads. Barriers are the caller's.
  template <class Combine>
  static __device__ T before(Storage& storage, T value, T identity, Combine combine, T& total) {
    T result;
    Scanner(storage).ExclusiveScan(value, result, identity, combine, total);
    return result;
  }
};

/// Sorts `kItems` keys a thread by some of their bits, stable, with what belongs to them. Thread t has the
/// items from t * kItems on before, and every kThreads-th from t on after.
template <class Key, int kThreads, int kItems>
struct BlockSort {
  using Sorter = cub::BlockRadixSort<Key, kThreads, kItems, std::uint32_t>;
  using Storage = typename Sorter::TempStorage;

  static __device__ void sort(Storage& storage, Key (&keys)[kItems], std::uint32_t (&places)[kItems],
                              int first_bit, int last_bit) {
    Sorter(storage).SortBlockedToStriped(keys, places, first_bit, last_bit);
  }
};
#endif

}  // namespace penstock::kernels
