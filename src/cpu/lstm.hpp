#pragma once

#include "cpu/op_state.hpp"
#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

namespace penstock::cpu {

/// One layer of an LSTM in one direction, its gates in the order input, forget, cell, output.
struct LstmLayer {
  const tensor::TensorObject& input;          ///< [steps, batch, features]
  const tensor::TensorObject& input_weight;   ///< [4 * hidden, features]
  const tensor::TensorObject& hidden_weight;  ///< [4 * hidden, hidden]
  const tensor::TensorObject* input_bias;     ///< [4 * hidden], as is the other; null: none.
  const tensor::TensorObject* hidden_bias;
  const tensor::TensorObject& hidden;  ///< [1, batch, hidden], as is `cell`.
  const tensor::TensorObject& cell;
  bool reverse = false;  ///< From the last step to the first.
};

/// Row-major results.
struct LstmResults {
  tensor::TensorObject& output;  ///< [steps, batch, hidden], in the order of the input's steps.
  tensor::TensorObject& hidden;  ///< [1, batch, hidden], as is `cell`: the state after the last step.
  tensor::TensorObject& cell;
};

/// Checks what goes together. Errors: InvalidArgument names what does not; Unsupported dtype.
void check_lstm(const LstmLayer& layer);

/// Runs the layer. Weights in constant storages are reordered once and kept with them; where oneDNN has no
/// LSTM of a 16-bit dtype on this CPU, they are widened in each run, which computes in float32.
/// `pool`: as for Temporary. Errors: as check_lstm; Unsupported where oneDNN is missing.
/// Source: torch.ops.aten.mkldnn_rnn_layer.
void lstm(OpContext& context, tensor::Allocator* pool, const LstmResults& results, const LstmLayer& layer);

}  // namespace penstock::cpu
