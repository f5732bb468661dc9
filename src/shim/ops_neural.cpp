#include "cpu/attention.hpp"
#include "cpu/embedding_bag.hpp"
#include "cpu/lstm.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"

#include <array>

using namespace penstock;
using penstock::shim::guarded;
using penstock::shim::make_result;
using penstock::shim::operator_context;
using penstock::shim::operator_memory;

namespace {

AOTITorchError attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value, double dropout,
                         std::int32_t is_causal, AtenTensorHandle* mask, double* scale,
                         AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    if (dropout != 0) {
      base::fail(ErrorCode::Unsupported, "scaled_dot_product_attention with a dropout of {}", dropout);
    }
    cpu::Attention attention{.query = *query,
                             .key = *key,
                             .value = *value,
                             .mask = mask != nullptr ? *mask : nullptr,
                             .causal = is_causal != 0,
                             .scale = {}};
    if (scale != nullptr) attention.scale = *scale;
    const cpu::AttentionOutput output = cpu::attention_output(attention);
    auto out = make_result(output.out.dtype, output.out.sizes, output.out.strides);
    auto log_sum = make_result(output.log_sum.dtype, output.log_sum.sizes, output.log_sum.strides);
    cpu::attend(context, *out, *log_sum, attention);
    *ret0 = out.release();
    *ret1 = log_sum.release();
  });
}

AOTITorchError rnn_layer(AtenTensorHandle input, AtenTensorHandle weight0, AtenTensorHandle weight1,
                         AtenTensorHandle weight2, AtenTensorHandle weight3, AtenTensorHandle hidden,
                         AtenTensorHandle cell, std::int32_t reverse, const std::int64_t* /*batch_sizes*/,
                         std::int64_t batch_sizes_len, std::int64_t mode, std::int64_t /*hidden_size*/,
                         std::int64_t num_layers, std::int32_t has_biases, std::int32_t bidirectional,
                         std::int32_t batch_first, std::int32_t train, AtenTensorHandle* ret0,
                         AtenTensorHandle* ret1, AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    constexpr std::int64_t kLstm = 2;
    // PyTorch's compiler makes one call a layer and direction, of the whole batch, steps first.
    if (mode != kLstm || num_layers != 1 || bidirectional != 0 || batch_first != 0 || train != 0 ||
        batch_sizes_len != 0) {
      base::fail(
          ErrorCode::Unsupported,
          "mkldnn_rnn_layer of mode {} with {} layers, bidirectional {}, batch_first {}, train {} and {} "
          "batch sizes",
          mode, num_layers, bidirectional, batch_first, train, batch_sizes_len);
    }
    const cpu::LstmLayer layer{.input = *input,
                               .input_weight = *weight0,
                               .hidden_weight = *weight1,
                               .input_bias = has_biases != 0 ? weight2 : nullptr,
                               .hidden_bias = has_biases != 0 ? weight3 : nullptr,
                               .hidden = *hidden,
                               .cell = *cell,
                               .reverse = reverse != 0};
    cpu::check_lstm(layer);
    const std::array<std::int64_t, 3> sizes{input->size[0], input->size[1], hidden->size[2]};
    auto output = make_result(input->dtype, sizes);
    auto hidden_after = make_result(hidden->dtype, hidden->sizes());
    auto cell_after = make_result(cell->dtype, cell->sizes());
    auto workspace = make_result(DType::UInt8, std::array<std::int64_t, 1>{0});
    cpu::lstm(context, operator_memory(), {*output, *hidden_after, *cell_after}, layer);
    *ret0 = output.release();
    *ret1 = hidden_after.release();
    *ret2 = cell_after.release();
    *ret3 = workspace.release();
  });
}

/// Results that are there for gradients only are smaller where PyTorch does not fill them.
template <bool kForwardOnly>
AOTITorchError embedding_bag(AtenTensorHandle weight, AtenTensorHandle indices, AtenTensorHandle offsets,
                             std::int32_t /*scale_grad_by_freq*/, std::int64_t mode, std::int32_t /*sparse*/,
                             AtenTensorHandle* per_sample_weights, std::int32_t include_last_offset,
                             std::int64_t padding_idx, AtenTensorHandle* ret0, AtenTensorHandle* ret1,
                             AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  return guarded([&] {
    shim::refuse_while_probing();
    const cpu::EmbeddingBag bag{.weight = *weight,
                                .indices = *indices,
                                .offsets = *offsets,
                                .mode = static_cast<cpu::BagMode>(mode),
                                .factors = per_sample_weights != nullptr ? *per_sample_weights : nullptr,
                                .include_last_offset = include_last_offset != 0,
                                .padding_idx = padding_idx};
    cpu::EmbeddingBagSizes sizes = cpu::embedding_bag_sizes(bag);
    if (kForwardOnly && mode == 0 && padding_idx < 0) {
      sizes.bag_size = sizes.max_indices = {offsets->numel};
    }
    const bool is_wide = indices->dtype == DType::Int64 || offsets->dtype == DType::Int64;
    const DType integer = is_wide ? DType::Int64 : DType::Int32;
    cpu::EmbeddingBagResults results{
        make_result(weight->dtype, sizes.out), make_result(integer, sizes.offset2bag),
        make_result(integer, sizes.bag_size), make_result(integer, sizes.max_indices)};
    cpu::embedding_bag(results, bag);
    *ret0 = results.out.release();
    *ret1 = results.offset2bag.release();
    *ret2 = results.bag_size.release();
    *ret3 = results.max_indices.release();
  });
}

}  // namespace

namespace penstock::shim {

std::span<const TableEntry> neural_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu", &attention),
      entry("aoti_torch_cpu_mkldnn_rnn_layer", &rnn_layer),
      entry("aoti_torch_cpu__embedding_bag", &embedding_bag<false>),
      entry("aoti_torch_cpu__embedding_bag_forward_only", &embedding_bag<true>),
  };
  return kTable;
}

}  // namespace penstock::shim
