// Included by attention_unit.hpp. One query at a time, for calls with few of them: the depth lies across
// the lanes of vectors, so that none is empty.

namespace penstock::cpu {
namespace {

/// Queries that are better taken one by one: with more, filling a quarter of a vector, sums across lanes
/// cost more than empty lanes do.
template <class T>
constexpr std::int64_t kFewQueries = kLanes<T> / 4;

/// Dot products of `query` with R keys, `depth` elements each.
template <class T, int R>
void dot_rows(const T* query, const T* keys, std::int64_t stride, std::int64_t depth, T* to) {
  Packet<T> sums[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) sums[r] = packet::pset1<Packet<T>>(T(0));
  std::int64_t i = 0;
  for (; i + kLanes<T> <= depth; i += kLanes<T>) {
    const Packet<T> part = packet::ploadu<Packet<T>>(query + i);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      sums[r] = packet::pmadd(packet::ploadu<Packet<T>>(keys + r * stride + i), part, sums[r]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    T sum = packet::predux(sums[r]);
    for (std::int64_t j = i; j < depth; ++j) sum += query[j] * keys[r * stride + j];
    to[r] = sum;
  }
}

/// out[...] = out * factor + sum of weight[key] * value[key][...], for C vectors of the depth.
template <class T, int C>
void add_rows(const T* weights, const T* values, std::int64_t stride, std::int64_t count, T factor, T* out) {
  Packet<T> sums[2][C];
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) {
    sums[0][c] =
        packet::pmul(packet::ploadu<Packet<T>>(out + c * kLanes<T>), packet::pset1<Packet<T>>(factor));
    sums[1][c] = packet::pset1<Packet<T>>(T(0));
  }
  std::int64_t key = 0;
  for (; key + 2 <= count; key += 2) {
#pragma GCC unroll 2
    for (int k = 0; k < 2; ++k) {
      const Packet<T> weight = packet::pset1<Packet<T>>(weights[key + k]);
      const T* const value = values + (key + k) * stride;
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) {
        sums[k][c] = packet::pmadd(packet::ploadu<Packet<T>>(value + c * kLanes<T>), weight, sums[k][c]);
      }
    }
  }
  for (; key < count; ++key) {
    const Packet<T> weight = packet::pset1<Packet<T>>(weights[key]);
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      sums[0][c] =
          packet::pmadd(packet::ploadu<Packet<T>>(values + key * stride + c * kLanes<T>), weight, sums[0][c]);
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) packet::pstoreu<T>(out + c * kLanes<T>, packet::padd(sums[0][c], sums[1][c]));
}

/// The same for the whole depth.
template <class T>
void add_all_rows(const AttentionBlock& block, const T* weights, std::int64_t first, std::int64_t count,
                  T factor, T* out) {
  const T* const values = static_cast<const T*>(block.value.data) + first * block.value.stride;
  const std::int64_t stride = block.value.stride;
  std::int64_t i = 0;
  for (; i + 4 * kLanes<T> <= block.depth; i += 4 * kLanes<T>) {
    add_rows<T, 4>(weights, values + i, stride, count, factor, out + i);
  }
  for (; i + kLanes<T> <= block.depth; i += kLanes<T>) {
    add_rows<T, 1>(weights, values + i, stride, count, factor, out + i);
  }
  for (; i < block.depth; ++i) {
    T sum = out[i] * factor;
    for (std::int64_t key = 0; key < count; ++key) sum += weights[key] * values[key * stride + i];
    out[i] = sum;
  }
}

/// Scores of keys [first, first + count) for query `row`.
template <class T>
void score_row(const AttentionBlock& block, std::int64_t row, std::int64_t first, std::int64_t count,
               T* scores) {
  const T* const query = static_cast<const T*>(block.query.data) + row * block.query.stride;
  const T* const keys = static_cast<const T*>(block.key.data) + first * block.key.stride;
  std::int64_t key = 0;
  for (; key + 4 <= count; key += 4) {
    dot_rows<T, 4>(query, keys + key * block.key.stride, block.key.stride, block.depth, scores + key);
  }
  for (; key < count; ++key) {
    dot_rows<T, 1>(query, keys + key * block.key.stride, block.key.stride, block.depth, scores + key);
  }
  const T scale = static_cast<T>(block.scale);
  const auto* mask = static_cast<const T*>(block.mask);
  if (mask != nullptr) mask += row * block.mask_query_stride + first * block.mask_key_stride;
  for (std::int64_t i = 0; i < count; ++i) {
    scores[i] = scores[i] * scale + (mask != nullptr ? mask[i * block.mask_key_stride] : T(0));
  }
}

/// Turns `count` scores into probabilities relative to `shift`; gives their sum. Vectors reach past the
/// last score, where minus infinity is written.
template <class T>
T exponentiate_row(T* scores, std::int64_t count, T shift) {
  std::int64_t padded = count;
  while (padded % kLanes<T> != 0) scores[padded++] = -kInfinity<T>;
  Packet<T> sum = packet::pset1<Packet<T>>(T(0));
  const Packet<T> shifts = packet::pset1<Packet<T>>(shift);
  for (std::int64_t i = 0; i < padded; i += kLanes<T>) {
    const Packet<T> power = exponential<T>(packet::psub(packet::pload<Packet<T>>(scores + i), shifts));
    sum = packet::padd(sum, power);
    store(scores + i, power);
  }
  return packet::predux(sum);
}

template <class T>
T exponential_of(T value) {
  alignas(64) T lanes[kLanes<T>];
  store(lanes, exponential<T>(packet::pset1<Packet<T>>(value)));
  return lanes[0];
}

template <class T>
T logarithm_of(T value) {
  alignas(64) T lanes[kLanes<T>];
  store(lanes, packet::plog(packet::pset1<Packet<T>>(value)));
  return lanes[0];
}

template <class T>
void attend_row(const AttentionBlock& block, std::int64_t row) {
  T* const scores = static_cast<T*>(block.scratch);
  T* const out = static_cast<T*>(block.out) + row * block.out_stride;
  for (std::int64_t i = 0; i < block.depth; ++i) out[i] = T(0);
  std::int64_t seen = block.keys;
  if (block.causal_offset >= 0 && block.causal_offset + row + 1 < seen) seen = block.causal_offset + row + 1;
  T largest = -kInfinity<T>;
  T sum = T(0);
  for (std::int64_t first = 0; first < seen; first += kAttentionKeys) {
    const std::int64_t count = seen - first < kAttentionKeys ? seen - first : kAttentionKeys;
    score_row(block, row, first, count, scores);
    const T before = largest;
    for (std::int64_t i = 0; i < count; ++i) largest = scores[i] > largest ? scores[i] : largest;
    const T shift = largest == -kInfinity<T> ? T(0) : largest;
    const T factor = exponential_of<T>(before - shift);
    sum = sum * factor + exponentiate_row(scores, count, shift);
    add_all_rows(block, scores, first, count, factor, out);
  }
  const bool is_empty = sum == T(0);
  const T inverse = is_empty ? T(1) : T(1) / sum;
  for (std::int64_t i = 0; i < block.depth; ++i) out[i] *= inverse;
  static_cast<T*>(block.log_sum)[row * block.log_sum_stride] =
      is_empty ? T(0) : largest + logarithm_of<T>(sum);
}

}  // namespace
}  // namespace penstock::cpu
