// Included once by each of the attention_*.cpp units, under the rules of gemm_unit.hpp: Eigen's
// namespace is renamed first, and nothing is used that could be emitted out of line under a shared name.
//
// Queries lie across the lanes of vectors, so that keys and values are read where they are, element by
// element, and the softmax needs no sum across a vector.

#include "cpu/attention_kernels.hpp"

#define EIGEN_NO_DEBUG
#define EIGEN_DONT_PARALLELIZE
#define EIGEN_MPL2_ONLY
#include <Eigen/Core>

namespace penstock::cpu {
namespace {

namespace packet = Eigen::internal;

template <class T>
using Packet = typename packet::packet_traits<T>::type;

template <class T>
constexpr std::int64_t kLanes = packet::unpacket_traits<Packet<T>>::size;

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inf());

template <int N>
#ifdef __AVX512F__
constexpr int kRows = N == 4 ? 6 : 8;
#else
constexpr int kRows = N == 1   ? 8
                      : N == 2 ? 6
                      : N == 3 ? 4
                               : 3;
#endif

/// Below this, exp is 0: its exact value is no normal number.
template <class T>
constexpr T kLeastExponent = sizeof(T) == sizeof(float) ? T(-87.0) : T(-708.0);

template <class T>
Packet<T> exponential(const Packet<T>& x) {
  const auto tiny = packet::pcmp_lt(x, packet::pset1<Packet<T>>(kLeastExponent<T>));
  // Zeros instead of what is tiny keep the exponent of minus infinity away from the clamping inside.
  const Packet<T> power = packet::pexp(packet::pandnot(x, tiny));
  return packet::pandnot(power, tiny);
}

template <class T>
void store(T* to, const Packet<T>& from) {
  packet::pstore<T>(to, from);
}

/// Scratch memory of one block with N vectors of queries.
template <class T, int N>
struct Work {
  static constexpr std::int64_t kWidth = N * kLanes<T>;
  T* query;   ///< [depth][kWidth]
  T* out;     ///< [depth][kWidth], not yet divided by the sums.
  T* scores;  ///< [kAttentionKeys][kWidth]
  T* bias;    ///< [kAttentionKeys][kWidth]
  Packet<T> largest[N];
  Packet<T> sum[N];
  Packet<T> factor[N];  ///< What sums so far are multiplied by.

  explicit Work(const AttentionBlock& block) {
    query = static_cast<T*>(block.scratch);
    out = query + block.depth * kWidth;
    scores = out + block.depth * kWidth;
    bias = scores + kAttentionKeys * kWidth;
    for (int n = 0; n < N; ++n) {
      largest[n] = packet::pset1<Packet<T>>(-kInfinity<T>);
      sum[n] = packet::pset1<Packet<T>>(T(0));
    }
  }
};

/// to[column][row] = from[row][column]; `to` has `width` elements a line, and zeros after the rows.
template <class T>
void transpose_in(const T* from, std::int64_t stride, std::int64_t rows, std::int64_t columns, T* to,
                  std::int64_t width) {
  constexpr std::int64_t kStep = kLanes<T>;
  for (std::int64_t row = 0; row < width; row += kStep) {
    std::int64_t column = 0;
    for (; column + kStep <= columns; column += kStep) {
      packet::PacketBlock<Packet<T>, kStep> tile;
      for (std::int64_t i = 0; i < kStep; ++i) {
        tile.packet[i] = row + i < rows ? packet::ploadu<Packet<T>>(from + (row + i) * stride + column)
                                        : packet::pset1<Packet<T>>(T(0));
      }
      packet::ptranspose(tile);
      for (std::int64_t i = 0; i < kStep; ++i) store(to + (column + i) * width + row, tile.packet[i]);
    }
    for (; column < columns; ++column) {
      for (std::int64_t i = row; i < row + kStep; ++i) {
        to[column * width + i] = i < rows ? from[i * stride + column] : T(0);
      }
    }
  }
}

/// The mask for keys [first, first + count).
template <class T, int N>
void fill_bias(const AttentionBlock& block, std::int64_t first, std::int64_t count, const Work<T, N>& work) {
  constexpr std::int64_t kWidth = Work<T, N>::kWidth;
  const T* const mask = static_cast<const T*>(block.mask) + first * block.mask_key_stride;
  if (block.mask_query_stride != 0 && block.mask_key_stride == 1) {
    transpose_in<T>(mask, block.mask_query_stride, block.queries, count, work.bias, kWidth);
    return;
  }
  for (std::int64_t key = 0; key < count; ++key) {
    T* const line = work.bias + key * kWidth;
    const Packet<T> shared = packet::pset1<Packet<T>>(mask[key * block.mask_key_stride]);
    for (int n = 0; n < N; ++n) store(line + n * kLanes<T>, shared);
    if (block.mask_query_stride == 0) continue;
    for (std::int64_t i = 0; i < block.queries; ++i) {
      line[i] = mask[i * block.mask_query_stride + key * block.mask_key_stride];
    }
  }
}

/// How many of the block's queries, from the first on, must not see each of R keys from `key` on.
template <class T, int R>
void count_blind(const AttentionBlock& block, std::int64_t key, T* to) {
  for (int r = 0; r < R; ++r) {
    const std::int64_t blind = key + r - block.causal_offset;
    to[r] = static_cast<T>(blind < 0 ? 0 : (blind < block.queries ? blind : block.queries));
  }
}

/// Scores of R keys from `first` + `row` on, and the largest of them.
template <class T, int N, int R>
void score_rows(const AttentionBlock& block, std::int64_t first, std::int64_t row, bool is_hiding,
                Work<T, N>& work) {
  const T* const keys = static_cast<const T*>(block.key.data) + (first + row) * block.key.stride;
  constexpr std::int64_t kWidth = Work<T, N>::kWidth;
  Packet<T> sums[R][N];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) sums[r][n] = packet::pset1<Packet<T>>(T(0));
  }
  const T* query = work.query;
  for (std::int64_t i = 0; i < block.depth; ++i, query += kWidth) {
    Packet<T> line[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) line[n] = packet::pload<Packet<T>>(query + n * kLanes<T>);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const Packet<T> key = packet::pset1<Packet<T>>(keys[r * block.key.stride + i]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sums[r][n] = packet::pmadd(key, line[n], sums[r][n]);
    }
  }
  const Packet<T> scale = packet::pset1<Packet<T>>(static_cast<T>(block.scale));
  const Packet<T> lowest = packet::pset1<Packet<T>>(-kInfinity<T>);
  const bool has_mask = block.mask != nullptr;
  T blind[R] = {};
  if (is_hiding) count_blind<T, R>(block, first + row, blind);
#pragma GCC unroll 4
  for (int n = 0; n < N; ++n) {
    Packet<T> largest = work.largest[n];
    const Packet<T> queries = packet::plset<Packet<T>>(static_cast<T>(n * kLanes<T>));
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const std::int64_t at = (row + r) * kWidth + n * kLanes<T>;
      Packet<T> score = packet::pmul(sums[r][n], scale);
      if (has_mask) score = packet::padd(score, packet::pload<Packet<T>>(work.bias + at));
      if (is_hiding) {
        // What a query must not see is hidden whatever is in the key and in the mask, NaN and infinity too.
        score = packet::pselect(packet::pcmp_lt(queries, packet::pset1<Packet<T>>(blind[r])), lowest, score);
      }
      largest = packet::pmax(largest, score);
      store(work.scores + at, score);
    }
    work.largest[n] = largest;
  }
}

/// out[i] = out[i] * factor + sum over the keys of probability * value[i], for R of the depth.
template <class T, int N, int R>
void add_values(const AttentionBlock& block, const T* values, std::int64_t count, std::int64_t row,
                const Work<T, N>& work) {
  constexpr std::int64_t kWidth = Work<T, N>::kWidth;
  T* const out = work.out + row * kWidth;
  Packet<T> sums[R][N];
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      sums[r][n] = packet::pmul(packet::pload<Packet<T>>(out + r * kWidth + n * kLanes<T>), work.factor[n]);
    }
  }
  const T* probability = work.scores;
  const T* value = values + row;
  for (std::int64_t key = 0; key < count; ++key, probability += kWidth, value += block.value.stride) {
    Packet<T> line[N];
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) line[n] = packet::pload<Packet<T>>(probability + n * kLanes<T>);
#pragma GCC unroll 32
    for (int r = 0; r < R; ++r) {
      const Packet<T> one = packet::pset1<Packet<T>>(value[r]);
#pragma GCC unroll 4
      for (int n = 0; n < N; ++n) sums[r][n] = packet::pmadd(one, line[n], sums[r][n]);
    }
  }
#pragma GCC unroll 32
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) store(out + r * kWidth + n * kLanes<T>, sums[r][n]);
  }
}

/// Turns scores into probabilities relative to the largest score so far.
template <class T, int N>
void exponentiate(std::int64_t count, const Packet<T>* before, Work<T, N>& work) {
  constexpr std::int64_t kWidth = Work<T, N>::kWidth;
  const Packet<T> zero = packet::pset1<Packet<T>>(T(0));
  const Packet<T> lowest = packet::pset1<Packet<T>>(-kInfinity<T>);
  Packet<T> shift[N];
  for (int n = 0; n < N; ++n) {
    // Where no key is seen yet, minus infinity less itself would not be a number.
    shift[n] = packet::pselect(packet::pcmp_eq(work.largest[n], lowest), zero, work.largest[n]);
    work.factor[n] = exponential<T>(packet::psub(before[n], shift[n]));
    work.sum[n] = packet::pmul(work.sum[n], work.factor[n]);
  }
  for (std::int64_t key = 0; key < count; ++key) {
    T* const line = work.scores + key * kWidth;
#pragma GCC unroll 4
    for (int n = 0; n < N; ++n) {
      const Packet<T> score = packet::pload<Packet<T>>(line + n * kLanes<T>);
      const Packet<T> power = exponential<T>(packet::psub(score, shift[n]));
      work.sum[n] = packet::padd(work.sum[n], power);
      store(line + n * kLanes<T>, power);
    }
  }
}

template <class T, int N>
void score_keys(const AttentionBlock& block, std::int64_t first, std::int64_t count, bool is_hiding,
                Work<T, N>& work) {
  std::int64_t row = 0;
  constexpr int kStep = kRows<N>;
  for (; row + kStep <= count; row += kStep) score_rows<T, N, kStep>(block, first, row, is_hiding, work);
  if constexpr (kStep > 4) {
    if (row + 4 <= count) score_rows<T, N, 4>(block, first, row, is_hiding, work), row += 4;
  }
  if (row + 2 <= count) score_rows<T, N, 2>(block, first, row, is_hiding, work), row += 2;
  for (; row < count; ++row) score_rows<T, N, 1>(block, first, row, is_hiding, work);
}

template <class T, int N>
void add_all_values(const AttentionBlock& block, std::int64_t first, std::int64_t count,
                    const Work<T, N>& work) {
  const T* values = static_cast<const T*>(block.value.data) + first * block.value.stride;
  std::int64_t row = 0;
  constexpr int kStep = kRows<N>;
  for (; row + kStep <= block.depth; row += kStep) add_values<T, N, kStep>(block, values, count, row, work);
  if constexpr (kStep > 4) {
    if (row + 4 <= block.depth) add_values<T, N, 4>(block, values, count, row, work), row += 4;
  }
  if (row + 2 <= block.depth) add_values<T, N, 2>(block, values, count, row, work), row += 2;
  for (; row < block.depth; ++row) add_values<T, N, 1>(block, values, count, row, work);
}

/// Divides by the sums and writes queries as rows again.
template <class T, int N>
void write_out(const AttentionBlock& block, Work<T, N>& work) {
  constexpr std::int64_t kStep = kLanes<T>;
  constexpr std::int64_t kWidth = Work<T, N>::kWidth;
  const Packet<T> zero = packet::pset1<Packet<T>>(T(0));
  const Packet<T> one = packet::pset1<Packet<T>>(T(1));
  auto* const out = static_cast<T*>(block.out);
  auto* const log_sum = static_cast<T*>(block.log_sum);
  for (int n = 0; n < N; ++n) {
    const auto empty = packet::pcmp_eq(work.sum[n], zero);
    const Packet<T> sum = packet::pselect(empty, one, work.sum[n]);
    const Packet<T> inverse = packet::pdiv(one, sum);
    const std::int64_t first = n * kStep;
    const std::int64_t rows = block.queries - first < kStep ? block.queries - first : kStep;
    alignas(64) T logs[kStep];
    store(logs, packet::pselect(empty, zero, packet::padd(work.largest[n], packet::plog(sum))));
    for (std::int64_t i = 0; i < rows; ++i) log_sum[(first + i) * block.log_sum_stride] = logs[i];
    std::int64_t column = 0;
    for (; column + kStep <= block.depth; column += kStep) {
      packet::PacketBlock<Packet<T>, kStep> tile;
      for (std::int64_t i = 0; i < kStep; ++i) {
        const T* const line = work.out + (column + i) * kWidth + first;
        tile.packet[i] = packet::pmul(packet::pload<Packet<T>>(line), inverse);
      }
      packet::ptranspose(tile);
      for (std::int64_t i = 0; i < rows; ++i) {
        packet::pstoreu<T>(out + (first + i) * block.out_stride + column, tile.packet[i]);
      }
    }
    for (; column < block.depth; ++column) {
      T* const line = work.out + column * kWidth + first;
      store(line, packet::pmul(packet::pload<Packet<T>>(line), inverse));
      for (std::int64_t i = 0; i < rows; ++i) out[(first + i) * block.out_stride + column] = line[i];
    }
  }
}

template <class T, int N>
void attend_vectors(const AttentionBlock& block) noexcept {
  Work<T, N> work(block);
  transpose_in<T>(static_cast<const T*>(block.query.data), block.query.stride, block.queries, block.depth,
                  work.query, Work<T, N>::kWidth);
  const Packet<T> zero = packet::pset1<Packet<T>>(T(0));
  for (std::int64_t i = 0; i < block.depth * Work<T, N>::kWidth; i += kLanes<T>) store(work.out + i, zero);
  std::int64_t seen = block.keys;
  if (block.causal_offset >= 0 && block.causal_offset + block.queries < seen) {
    seen = block.causal_offset + block.queries;
  }
  // Parts of equal size, and that a multiple of every number of rows that is taken at a time.
  const std::int64_t parts = (seen + kAttentionKeys - 1) / kAttentionKeys;
  const std::int64_t step = parts == 0 ? 1 : ((seen + parts - 1) / parts + 23) / 24 * 24;
  for (std::int64_t first = 0; first < seen; first += step) {
    const std::int64_t count = seen - first < step ? seen - first : step;
    const bool is_hiding = block.causal_offset >= 0 && first + count - 1 > block.causal_offset;
    if (block.mask != nullptr) fill_bias<T, N>(block, first, count, work);
    Packet<T> before[N];
    for (int n = 0; n < N; ++n) before[n] = work.largest[n];
    score_keys<T, N>(block, first, count, is_hiding, work);
    exponentiate<T, N>(count, before, work);
    add_all_values<T, N>(block, first, count, work);
  }
  write_out<T, N>(block, work);
}

}  // namespace
}  // namespace penstock::cpu

#include "cpu/attention_row.hpp"

namespace penstock::cpu {
namespace {

template <class T>
void attend(const AttentionBlock& block) noexcept {
  if (block.queries <= kFewQueries<T>) {
    for (std::int64_t row = 0; row < block.queries; ++row) attend_row<T>(block, row);
    return;
  }
  const std::int64_t vectors = (block.queries + kLanes<T> - 1) / kLanes<T>;
  switch (vectors) {
    case 1: return attend_vectors<T, 1>(block);
    case 2: return attend_vectors<T, 2>(block);
    case 3: return attend_vectors<T, 3>(block);
    default: return attend_vectors<T, 4>(block);
  }
}

}  // namespace
}  // namespace penstock::cpu
