#pragma once

#include "cpu/dims.hpp"
#include "cpu/op_state.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <optional>

namespace penstock::cpu {

/// Tensors [batch, heads, length, depth] of an attention, and how they are put together. Key and value may
/// have fewer heads, which then as many neighboring heads of the query share.
struct Attention {
  const tensor::TensorObject& query;
  const tensor::TensorObject& key;
  const tensor::TensorObject& value;
  /// Added to the scores, of the query's dtype or float32; null: none.
  const tensor::TensorObject* mask = nullptr;
  bool causal = false;                         ///< A query sees no key after its own place.
  std::optional<double> scale = std::nullopt;  ///< None: 1 / sqrt(depth).
};

/// Size and strides of one result.
struct AttentionLayout {
  DType dtype;
  Dims sizes;
  Dims strides;
};

struct AttentionOutput {
  AttentionLayout out;
  AttentionLayout log_sum;
};

/// What PyTorch's results look like: the output as the query lies, without gaps, and the logarithm of the
/// sums [batch, heads, length] made as [batch, length, heads], in the type of the sums. Errors:
/// InvalidArgument says which sizes or dtypes do not go together; Unsupported dtype. Source:
/// torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.
AttentionOutput attention_output(const Attention& attention);

/// softmax(scale * query @ key^T + mask) @ value into `out`, and log(sum(exp(...))) into `log_sum`, both
/// made as `attention_output` says. Never holds more scores than a block of queries and keys has.
void attend(OpContext& context, tensor::TensorObject& out, tensor::TensorObject& log_sum,
            const Attention& attention);

}  // namespace penstock::cpu
