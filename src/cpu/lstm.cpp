#include "cpu/lstm.hpp"

#include "base/fail.hpp"
#include "cpu/copy.hpp"
#include "cpu/gemm_kernels.hpp"
#include "cpu/op_state_impl.hpp"
#include "cpu/strided.hpp"
#include "cpu/temporary.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>

namespace penstock::cpu {
namespace {

using tensor::sizes_text;
using tensor::TensorObject;
using tensor::TensorObjectPtr;
using Sizes = std::initializer_list<std::int64_t>;

constexpr std::int64_t kGates = 4;

void check_tensor(std::string_view name, const TensorObject& tensor, const LstmLayer& layer, Sizes sizes) {
  if (tensor.storage == nullptr || tensor.storage->device.type != DeviceType::Cpu) {
    base::fail(ErrorCode::InvalidArgument, "lstm: {} is not in host memory", name);
  }
  if (tensor.dtype != layer.input.dtype) {
    base::fail(ErrorCode::InvalidArgument, "lstm: {} is {} where the input is {}", name,
               dtype_name(tensor.dtype), dtype_name(layer.input.dtype));
  }
  const auto actual = tensor.sizes();
  if (!std::equal(actual.begin(), actual.end(), sizes.begin(), sizes.end())) {
    base::fail(ErrorCode::InvalidArgument, "lstm: {} has sizes {}; {} are needed", name, sizes_text(actual),
               sizes_text({sizes.begin(), sizes.size()}));
  }
}

/// The tensor's elements in row-major order: where they are, or a copy in scratch memory.
OperationData contiguous(Scratch& scratch, ScratchUse use, const TensorObject& tensor) {
  if (tensor::is_contiguous(tensor.sizes(), tensor.strides())) {
    return {tensor.data, tensor.storage->constant ? tensor.storage : nullptr};
  }
  std::array<std::int64_t, 3> strides{};
  const std::span<std::int64_t> used(strides.data(), static_cast<std::size_t>(tensor.rank));
  tensor::fill_contiguous_strides(tensor.sizes(), used);
  const std::size_t element = element_bytes(tensor.dtype);
  std::byte* const copy = scratch.get(use, static_cast<std::size_t>(tensor.numel) * element);
  tensor::copy_strided(copy, used, tensor.data, tensor.strides(), tensor.sizes(), element);
  return {copy, nullptr};
}

void add_bias(const TensorObject& bias, std::span<float> to) {
  for (std::size_t i = 0; i < to.size(); ++i) {
    const std::byte* from = bias.data + static_cast<std::int64_t>(i) * bias.stride[0] *
                                            static_cast<std::int64_t>(element_bytes(bias.dtype));
    float value = 0;
    switch (bias.dtype) {
      case DType::BFloat16: gemm_kernels().widen_bfloat16(from, &value, 1); break;
      case DType::Float16: gemm_kernels().widen_float16(from, &value, 1); break;
      default: value = *reinterpret_cast<const float*>(from); break;
    }
    to[i] += value;
  }
}

struct Shape {
  dnnl_data_type_t type;
  std::int64_t steps, batch, features, hidden;
  bool reverse;
};

/// Whether oneDNN turned out to have no LSTM of a 16-bit dtype on this machine, so that it is asked once.
std::atomic<bool>& known_missing(DType dtype) {
  static std::array<std::atomic<bool>, 2> missing{};
  return missing[dtype == DType::BFloat16 ? 0 : 1];
}

/// Null where oneDNN has none of a 16-bit dtype on this machine.
std::unique_ptr<OnednnOperation> make_operation(const OnednnApi& api, const Shape& shape) {
  std::string what = fmt::format("lstm of {} steps of [{}, {}] with {} hidden", shape.steps, shape.batch,
                                 shape.features, shape.hidden);
  const auto plain = [&](dnnl_data_type_t type, std::initializer_list<std::int64_t> sizes) {
    std::array<std::int64_t, 5> strides{};
    tensor::fill_contiguous_strides({sizes.begin(), sizes.size()}, {strides.data(), sizes.size()});
    return make_strided_desc(api, type, {sizes.begin(), sizes.size()}, {strides.data(), sizes.size()}, what);
  };
  // [layers, directions, in, gates, out], of which PyTorch has the last two first.
  const auto weight = [&](std::int64_t inputs) {
    const std::array<std::int64_t, 5> sizes{1, 1, inputs, kGates, shape.hidden};
    const std::int64_t gate = shape.hidden * inputs;
    const std::array<std::int64_t, 5> strides{kGates * gate, kGates * gate, 1, gate, inputs};
    return std::pair(make_strided_desc(api, shape.type, sizes, strides, what),
                     make_any_desc(api, shape.type, sizes, what));
  };
  auto [input_weight, any_input_weight] = weight(shape.features);
  auto [hidden_weight, any_hidden_weight] = weight(shape.hidden);
  const auto state = [&] { return plain(shape.type, {1, 1, shape.batch, shape.hidden}); };
  std::vector<OperationTensor> tensors;
  // The weights come first: only the first four may be reordered.
  tensors.push_back({DNNL_ARG_WEIGHTS_LAYER, std::move(input_weight)});
  tensors.push_back({DNNL_ARG_WEIGHTS_ITER, std::move(hidden_weight)});
  tensors.push_back({DNNL_ARG_BIAS, plain(dnnl_f32, {1, 1, kGates, shape.hidden})});
  tensors.push_back({DNNL_ARG_SRC_LAYER, plain(shape.type, {shape.steps, shape.batch, shape.features})});
  tensors.push_back({DNNL_ARG_SRC_ITER, state()});
  tensors.push_back({DNNL_ARG_SRC_ITER_C, state()});
  tensors.push_back({DNNL_ARG_DST_ITER, state()});
  tensors.push_back({DNNL_ARG_DST_ITER_C, state()});
  tensors.push_back({DNNL_ARG_DST_LAYER, plain(shape.type, {shape.steps, shape.batch, shape.hidden})});
  const auto desc = [&](std::size_t i) { return tensors[i].given.get(); };
  const PrimitiveAttr attributes = make_attributes(api, what);
  dnnl_primitive_desc_t made = nullptr;
  const dnnl_status_t status = api.lstm_forward_primitive_desc_create(
      &made, api.engine, dnnl_forward_inference,
      shape.reverse ? dnnl_unidirectional_right2left : dnnl_unidirectional_left2right, desc(3), desc(4),
      desc(5), any_input_weight.get(), any_hidden_weight.get(), nullptr, nullptr, desc(2), desc(8), desc(6),
      desc(7), dnnl_rnn_flags_undef, attributes.get());
  if (status == dnnl_unimplemented && shape.type != dnnl_f32) return nullptr;
  check_onednn(status, "lstm_forward_primitive_desc_create", what);
  return std::make_unique<OnednnOperation>(PrimitiveDesc(made), std::move(tensors), std::move(what));
}

OperationKey make_key(const Shape& shape, int threads) {
  OperationKey key;
  for (const std::int64_t value :
       {std::int64_t{dnnl_rnn}, std::int64_t{shape.type}, shape.steps, shape.batch, shape.features,
        shape.hidden, std::int64_t{shape.reverse}, std::int64_t{threads}}) {
    key.add(value);
  }
  return key;
}

void copy_state(TensorObject& to, const TensorObject& from) {
  tensor::copy_strided(to.data, to.strides(), from.data, from.strides(), from.sizes(),
                       element_bytes(from.dtype));
}

/// A row-major tensor of float32 with the sizes of `like`, in the memory of the run.
TensorObjectPtr make_wide(tensor::Allocator* pool, const TensorObject& like) {
  const Temporary<float> elements(pool, like.numel);
  const ResultLayout layout = contiguous_layout(Dims(like.sizes().begin(), like.sizes().end()));
  return TensorObjectPtr(
      tensor::make_tensor(elements.storage(), {DType::Float32, layout.sizes, layout.strides, 0}));
}

TensorObjectPtr widen(tensor::Allocator* pool, const TensorObject* tensor) {
  if (tensor == nullptr) return nullptr;
  TensorObjectPtr wide = make_wide(pool, *tensor);
  copy(*wide, *tensor);
  return wide;
}

/// Runs a layer of a 16-bit dtype in float32: only its results are rounded.
void run_wide(OpContext& context, tensor::Allocator* pool, const LstmResults& results,
              const LstmLayer& layer) {
  const TensorObjectPtr input = widen(pool, &layer.input);
  const TensorObjectPtr input_weight = widen(pool, &layer.input_weight);
  const TensorObjectPtr hidden_weight = widen(pool, &layer.hidden_weight);
  const TensorObjectPtr input_bias = widen(pool, layer.input_bias);
  const TensorObjectPtr hidden_bias = widen(pool, layer.hidden_bias);
  const TensorObjectPtr hidden = widen(pool, &layer.hidden);
  const TensorObjectPtr cell = widen(pool, &layer.cell);
  const TensorObjectPtr output = make_wide(pool, results.output);
  const TensorObjectPtr hidden_after = make_wide(pool, results.hidden);
  const TensorObjectPtr cell_after = make_wide(pool, results.cell);
  lstm(context, pool, {*output, *hidden_after, *cell_after},
       {.input = *input,
        .input_weight = *input_weight,
        .hidden_weight = *hidden_weight,
        .input_bias = input_bias.get(),
        .hidden_bias = hidden_bias.get(),
        .hidden = *hidden,
        .cell = *cell,
        .reverse = layer.reverse});
  copy(results.output, *output);
  copy(results.hidden, *hidden_after);
  copy(results.cell, *cell_after);
}

}  // namespace

void check_lstm(const LstmLayer& layer) {
  onednn_float_type("lstm", layer.input.dtype);
  if (layer.input.rank != 3 || layer.hidden.rank != 3) {
    base::fail(ErrorCode::InvalidArgument, "lstm: input of sizes {}, hidden state of sizes {}",
               sizes_text(layer.input.sizes()), sizes_text(layer.hidden.sizes()));
  }
  const std::int64_t batch = layer.input.size[1];
  const std::int64_t hidden = layer.hidden.size[2];
  if (hidden > INT32_MAX) {
    base::fail(ErrorCode::InvalidArgument, "lstm: hidden state of sizes {}",
               sizes_text(layer.hidden.sizes()));
  }
  check_tensor("input", layer.input, layer, {layer.input.size[0], batch, layer.input.size[2]});
  check_tensor("input weight", layer.input_weight, layer, {kGates * hidden, layer.input.size[2]});
  check_tensor("hidden weight", layer.hidden_weight, layer, {kGates * hidden, hidden});
  if (layer.input_bias != nullptr) check_tensor("input bias", *layer.input_bias, layer, {kGates * hidden});
  if (layer.hidden_bias != nullptr) check_tensor("hidden bias", *layer.hidden_bias, layer, {kGates * hidden});
  check_tensor("hidden state", layer.hidden, layer, {1, batch, hidden});
  check_tensor("cell state", layer.cell, layer, {1, batch, hidden});
}

void lstm(OpContext& context, tensor::Allocator* pool, const LstmResults& results, const LstmLayer& layer) {
  check_lstm(layer);
  const Shape shape{onednn_float_type("lstm", layer.input.dtype),
                    layer.input.size[0],
                    layer.input.size[1],
                    layer.input.size[2],
                    layer.hidden.size[2],
                    layer.reverse};
  if (shape.batch == 0 || shape.hidden == 0) return;
  if (shape.steps == 0) {
    copy_state(results.hidden, layer.hidden);
    copy_state(results.cell, layer.cell);
    return;
  }
  const OnednnApi& api = require_onednn("lstm");
  const bool is_narrow = shape.type != dnnl_f32;
  if (is_narrow && known_missing(layer.input.dtype)) return run_wide(context, pool, results, layer);
  OpState::Impl& state = context.state.impl();
  const OnednnThreads threads(api, context.threads);
  const OperationKey key = make_key(shape, threads.count());
  OnednnOperation* operation = state.operations.find(key);
  if (operation == nullptr) {
    auto made = make_operation(api, shape);
    if (made == nullptr) {
      known_missing(layer.input.dtype) = true;
      return run_wide(context, pool, results, layer);
    }
    operation = &state.operations.insert(key, std::move(made));
  }

  Scratch& scratch = state.scratch;
  const auto biases = static_cast<std::size_t>(kGates * shape.hidden);
  auto* const bias = reinterpret_cast<float*>(scratch.get(ScratchUse::WideLeft, biases * sizeof(float)));
  std::fill_n(bias, biases, 0.0F);
  if (layer.input_bias != nullptr) add_bias(*layer.input_bias, {bias, biases});
  if (layer.hidden_bias != nullptr) add_bias(*layer.hidden_bias, {bias, biases});
  OperationData input = contiguous(scratch, ScratchUse::Left, layer.input);
  OperationData hidden = contiguous(scratch, ScratchUse::Right, layer.hidden);
  OperationData cell = contiguous(scratch, ScratchUse::Result, layer.cell);
  // What is not reordered is not kept either.
  input.constant = hidden.constant = cell.constant = nullptr;
  const std::array<OperationData, 9> data{
      contiguous(scratch, ScratchUse::WideRight, layer.input_weight),
      contiguous(scratch, ScratchUse::WideResult, layer.hidden_weight),
      OperationData{bias, nullptr},
      input,
      hidden,
      cell,
      OperationData{results.hidden.data, nullptr},
      OperationData{results.cell.data, nullptr},
      OperationData{results.output.data, nullptr},
  };
  operation->execute(scratch, data);
}

}  // namespace penstock::cpu
