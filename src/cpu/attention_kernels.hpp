#pragma once

#include <cstddef>
#include <cstdint>

namespace penstock::cpu {

/// Rows of elements without gaps, one every `stride`.
struct AttentionRows {
  const void* data;
  std::int64_t stride;
};

/// A block of queries of one head with all keys and values that they see. All elements are of one type.
struct AttentionBlock {
  std::int64_t queries;  ///< 1 to the kernel's `lanes` times kAttentionVectors.
  std::int64_t keys;
  std::int64_t depth;  ///< Of queries, keys and values.
  AttentionRows query;
  AttentionRows key;
  AttentionRows value;
  const void* mask;  ///< Added to the scores; null: none.
  std::int64_t mask_query_stride;
  std::int64_t mask_key_stride;
  /// Queries of the head before this block where a query sees no later key; negative where it sees all.
  std::int64_t causal_offset;
  double scale;
  void* out;
  std::int64_t out_stride;
  void* log_sum;  ///< log(sum(exp(scores))) of each query, one every `log_sum_stride`.
  std::int64_t log_sum_stride;
  void* scratch;  ///< attention_scratch_elements, aligned to 64 bytes.
};

/// Vectors of queries that a block has at most.
inline constexpr std::int64_t kAttentionVectors = 4;
/// Keys whose scores are in memory at a time.
inline constexpr std::int64_t kAttentionKeys = 192;

/// Elements of scratch memory for blocks of `lanes` queries a vector.
constexpr std::size_t attention_scratch_elements(std::int64_t lanes, std::int64_t depth) {
  return static_cast<std::size_t>(lanes * kAttentionVectors * 2 * (depth + kAttentionKeys));
}

/// Kernels compiled for one instruction set, with an online softmax over blocks of keys. A query whose
/// scores are all minus infinity gives zeros, and zero for the logarithm, as PyTorch's does.
struct AttentionKernels {
  void (*float32)(const AttentionBlock&) noexcept;
  void (*float64)(const AttentionBlock&) noexcept;
  std::int64_t float32_lanes;  ///< Queries of one vector.
  std::int64_t float64_lanes;
};

extern const AttentionKernels kAttentionBaseline;
extern const AttentionKernels kAttentionAvx2;
extern const AttentionKernels kAttentionAvx512;

}  // namespace penstock::cpu
