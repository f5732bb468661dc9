#pragma once

#include "shim/cuda_call.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <optional>
#include <span>

namespace penstock::cuda_ops {

/// softmax(scale * query @ key^T + mask) @ value, for tensors [batch, heads, length, depth]. There may be
/// fewer heads of keys and values, each for as many heads of queries.
struct Attention {
  const char* op;
  const tensor::TensorObject& query;
  const tensor::TensorObject& key;
  const tensor::TensorObject& value;
  const tensor::TensorObject* mask = nullptr;  ///< Added; broadcast to [batch, heads, queries, keys].
  bool causal = false;                         ///< Query i sees keys 0 to i.
  std::optional<double> scale;                 ///< Absent: 1 / sqrt(depth).
};

/// Errors: InvalidArgument for sizes and dtypes that do not go together; Unsupported for a dtype other than
/// float32, float16 and bfloat16.
void check_attention(const Attention& attention);

/// Which heads are worked on in one product. Products one after the other: `batches` times `loops`, each over
/// `heads` heads of `merged` batches.
struct HeadPlan {
  std::int64_t batches = 1;
  std::int64_t loops = 1;
  std::int64_t heads = 1;
  std::int64_t merged = 1;
  std::int64_t head_step = 1;       ///< From one head of queries to the next in a product,
  std::int64_t key_step = 1;        ///< of keys,
  std::int64_t loop_head_step = 0;  ///< and from one product's first to the next one's.
  std::int64_t loop_key_step = 0;
};
HeadPlan plan_heads(const Attention& attention, const tensor::TensorObject& out);

/// Queries that are worked on at a time, so that their scores take bounded memory.
std::int64_t queries_at_a_time(std::int64_t scores_per_query, std::int64_t queries) noexcept;

/// Puts it on the call's stream. `out` is [batch, heads, queries, depth of values] with any strides whose
/// last is
/// 1. `log_sum`, where there is one, is float32 [batch, heads, n] in row-major order with n at least the
/// number of queries: what is behind them is infinity. A query that sees no key gets zeros. Stream-ordered.
void attend(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject* log_sum,
            const Attention& attention);

}  // namespace penstock::cuda_ops
