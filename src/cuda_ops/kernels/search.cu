// Places in sorted sequences, bags of embeddings, and random numbers.

#include "element.cuh"

#include <math.h>

using namespace penstock::kernels;

namespace {

struct RealElement {
  static __device__ double load(Element dtype, const void* data, std::int64_t i) { return load_real(dtype, data, i); }
};
struct IntegerElement {
  static __device__ std::int64_t load(Element dtype, const void* data, std::int64_t i) {
    return load_integer(dtype, data, i);
  }
};

/// NaN is larger than any number: no element is at or above it.
template <class Access>
__device__ void search(const Search& search) {
  for_each_place(search.walk, [&](std::int64_t, const std::int64_t (&place)[4]) {
    const auto value = Access::load(search.value_dtype, search.values, place[0]);
    std::int64_t low = 0;
    std::int64_t high = search.length;
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      std::int64_t at = middle;
      if (search.sorter != nullptr) {
        at = search.sorter[place[3] + middle * search.sorter_step];
        at = at < 0 ? 0 : at >= search.length ? search.length - 1 : at;
      }
      const auto element = Access::load(search.sequence_dtype, search.sequence, place[2] + at * search.step);
      const bool is_before = search.is_right != 0 ? !(element > value) : !(element >= value);
      if (is_before) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    if (search.out_is_wide != 0) {
      static_cast<std::int64_t*>(search.out)[place[1]] = low;
    } else {
      static_cast<std::int32_t*>(search.out)[place[1]] = static_cast<std::int32_t>(low);
    }
  });
}

__device__ std::int64_t integer_at(const void* data, int is_wide, std::int64_t place) {
  return is_wide != 0 ? static_cast<const std::int64_t*>(data)[place] : static_cast<const std::int32_t*>(data)[place];
}

__device__ void put_integer(void* data, int is_wide, std::int64_t place, std::int64_t value) {
  if (is_wide != 0) {
    static_cast<std::int64_t*>(data)[place] = value;
  } else {
    static_cast<std::int32_t*>(data)[place] = static_cast<std::int32_t>(value);
  }
}

/// Where a bag begins, inside of the indices.
__device__ std::int64_t bag_begin(const EmbeddingBag& of, std::int64_t bag) {
  if (bag >= of.offset_count) return of.index_count;
  const std::int64_t offset = integer_at(of.offsets, of.offsets_are_wide, bag * of.offset_stride);
  return offset < 0 ? 0 : offset > of.index_count ? of.index_count : offset;
}

/// One element of a bag. An index that is out of bounds counts as absent: PyTorch stops the device there.
template <class T>
__device__ void embed(const EmbeddingBag& of, std::int64_t bag, std::int64_t feature) {
  const T* const weight = static_cast<const T*>(of.weight);
  const std::int64_t begin = bag_begin(of, bag);
  const std::int64_t end = bag_begin(of, bag + 1);
  constexpr int kMean = 1;
  constexpr int kMax = 2;
  decltype(wide(T{})) sum = 0;
  std::int64_t taken = 0;
  std::int64_t largest = -1;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t index = integer_at(of.indices, of.indices_are_wide, i * of.index_stride);
    if (index == of.padding_idx || index < 0 || index >= of.rows) continue;
    const auto value = wide(weight[index * of.row_stride + feature * of.feature_stride]);
    if (of.mode == kMax) {
      if (taken == 0 || value > sum) {
        sum = value;
        largest = index;
      }
    } else if (of.factors != nullptr) {
      sum += value * wide(static_cast<const T*>(of.factors)[i * of.factor_stride]);
    } else {
      sum += value;
    }
    ++taken;
  }
  if (of.mode == kMean && taken != 0) sum /= static_cast<decltype(sum)>(taken);
  static_cast<T*>(of.out)[bag * of.features + feature] = Narrow<T>::of(sum);
  if (of.mode == kMax) put_integer(of.max_indices, of.results_are_wide, bag * of.features + feature, largest);
  if (feature != 0) return;
  put_integer(of.bag_size, of.results_are_wide, bag, taken);
  for (std::int64_t i = begin; i < end; ++i) put_integer(of.offset2bag, of.results_are_wide, i, bag);
}

template <class T>
__device__ void embed_all(const EmbeddingBag& of) {
  for_each_index(of.bags * of.features, [&](std::int64_t i) { embed<T>(of, i / of.features, i % of.features); });
}

/// Four random words for one place of a sequence.
/// Source: Philox4x32-10, J. Salmon and others, "Parallel random numbers: as easy as 1, 2, 3", 2011.
struct Words {
  std::uint32_t word[4];
};

__device__ Words philox(std::uint64_t seed, std::uint64_t place, std::uint64_t offset) {
  std::uint32_t counter[4] = {static_cast<std::uint32_t>(place), static_cast<std::uint32_t>(place >> 32),
                              static_cast<std::uint32_t>(offset), static_cast<std::uint32_t>(offset >> 32)};
  std::uint32_t key[2] = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * counter[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * counter[2];
    const std::uint32_t first = static_cast<std::uint32_t>(b >> 32) ^ counter[1] ^ key[0];
    const std::uint32_t third = static_cast<std::uint32_t>(a >> 32) ^ counter[3] ^ key[1];
    counter[0] = first;
    counter[1] = static_cast<std::uint32_t>(b);
    counter[2] = third;
    counter[3] = static_cast<std::uint32_t>(a);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return {{counter[0], counter[1], counter[2], counter[3]}};
}

/// Bits of a number in [0, 1) that the dtype holds: with more, numbers near 1 would be rounded up to it.
__device__ int bits_of_fraction(Element dtype) {
  switch (dtype) {
    case Element::BFloat16: return 8;
    case Element::Float16: return 11;
    case Element::Float64: return 53;
    default: return 24;
  }
}

/// In [0, 1), from one half of the words or the other.
__device__ double fraction(const Words& words, int bits, int half) {
  const std::uint64_t both = (std::uint64_t{words.word[2 * half]} << 32) | words.word[2 * half + 1];
  return static_cast<double>(both >> (64 - bits)) / static_cast<double>(std::uint64_t{1} << bits);
}

}  // namespace

PENSTOCK_KERNEL(penstock_search_real, Search of) { search<RealElement>(of); }
PENSTOCK_KERNEL(penstock_search_integer, Search of) { search<IntegerElement>(of); }

PENSTOCK_KERNEL(penstock_embedding_bag_float32, EmbeddingBag of) { embed_all<float>(of); }
PENSTOCK_KERNEL(penstock_embedding_bag_float64, EmbeddingBag of) { embed_all<double>(of); }
PENSTOCK_KERNEL(penstock_embedding_bag_float16, EmbeddingBag of) { embed_all<Half>(of); }
PENSTOCK_KERNEL(penstock_embedding_bag_bfloat16, EmbeddingBag of) { embed_all<BFloat16>(of); }

PENSTOCK_KERNEL(penstock_random, Random random) {
  for_each_place(random.walk, [&](std::int64_t i, const std::int64_t (&place)[1]) {
    const Words words = philox(random.seed, static_cast<std::uint64_t>(i), random.offset);
    Number number{};
    switch (random.kind) {
      case RandomKind::Integer: {
        const std::uint64_t bits = (std::uint64_t{words.word[0]} << 32) | words.word[1];
        const std::uint64_t in_range = random.range == 0 ? bits : bits % random.range;
        number = number_of(static_cast<std::int64_t>(static_cast<std::uint64_t>(random.low) + in_range));
        break;
      }
      case RandomKind::Uniform: {
        const double part = fraction(words, bits_of_fraction(random.dtype), 0);
        number = number_of(random.from + part * (random.to - random.from));
        break;
      }
      case RandomKind::Normal: {
        // Box and Muller; the logarithm's argument is in (0, 1].
        const double radius = sqrt(-2.0 * log(1.0 - fraction(words, 53, 0)));
        const double angle = 6.283185307179586 * fraction(words, 53, 1);
        number = number_of(random.from + random.to * radius * cos(angle));
        break;
      }
    }
    store_number(random.dtype, random.out, place[0], number);
  });
}
