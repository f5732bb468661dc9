#pragma once

#include <cstdint>

// What the kernels of attention are launched with: see arguments.hpp.
namespace penstock::kernels {

/// Of a tensor [batch, heads, rows, columns].
struct AttentionStrides {
  std::int64_t batch;
  std::int64_t head;
  std::int64_t row;
  std::int64_t column;
};

/// A whole attention in one kernel; `kAttentionQueries` queries of one head a block.
struct AttentionShape {
  std::int64_t heads;
  std::int64_t heads_a_key;  ///< Heads of queries that share one of keys.
  std::int64_t queries;
  std::int64_t keys;
  std::int64_t depth;
  std::int64_t value_depth;
  AttentionStrides query;
  AttentionStrides key;
  AttentionStrides value;
  AttentionStrides mask;
  AttentionStrides out;
  AttentionStrides sum;
  float scale;
  int causal;
};
inline constexpr int kAttentionQueries = 16;
inline constexpr int kAttentionThreads = 128;

/// A softmax of the scores of an attention.
struct SoftmaxShape {
  std::int64_t rows;         ///< Of scores, of all heads.
  std::int64_t queries;      ///< Rows of one head,
  std::int64_t first_query;  ///< beginning with this one.
  std::int64_t keys;
  std::int64_t row_stride;
  std::int64_t heads;  ///< A head's number is `batch * heads + head`.
  std::int64_t mask_batch;
  std::int64_t mask_head;
  std::int64_t mask_query;
  std::int64_t mask_key;
  std::int64_t sum_batch;
  std::int64_t sum_head;
  int causal;
};

}  // namespace penstock::kernels
