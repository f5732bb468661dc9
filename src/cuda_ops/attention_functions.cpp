#include "base/fail.hpp"
#include "cuda_ops/attention.hpp"
#include "cuda_ops/dense_strides.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operator.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"

#include <array>

using namespace penstock;

namespace {

using cuda_ops::Attention;
using tensor::TensorObjectPtr;

/// What PyTorch's function is told besides the tensors.
struct Options {
  AtenTensorHandle* mask;
  double dropout;
  std::int32_t is_causal;
  double* scale;
};

Attention attention_of(const char* op, AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value,
                       const Options& options) {
  if (options.dropout != 0) {
    base::fail(ErrorCode::Unsupported, "{} with a dropout of {}: export the model for inference", op,
               options.dropout);
  }
  Attention attention{.op = op,
                      .query = *query,
                      .key = *key,
                      .value = *value,
                      .mask = options.mask != nullptr ? *options.mask : nullptr,
                      .causal = options.is_causal != 0,
                      .scale = {}};
  if (options.scale != nullptr) attention.scale = *options.scale;
  cuda_ops::check_attention(attention);
  return attention;
}

/// Results go only to callers who want them; what is there for gradients is never filled.
void give(AtenTensorHandle* to, TensorObjectPtr made) {
  if (to != nullptr) *to = made.release();
}

void give_unfilled(AtenTensorHandle* to, DType dtype, std::span<const std::int64_t> sizes) {
  if (to != nullptr) *to = shim::make_cuda_result(dtype, sizes).release();
}

void give_nothing(AtenTensorHandle* to) {
  if (to != nullptr) *to = nullptr;
}

/// In the order of dimensions that the queries have in memory.
TensorObjectPtr make_like_query(const Attention& attention) {
  const auto& query = attention.query;
  const std::array sizes{query.size[0], query.size[1], query.size[2], attention.value.size[3]};
  std::array<std::int64_t, 4> strides{};
  cuda_ops::fill_dense_strides(sizes, query.strides(), strides);
  return shim::make_cuda_result(query.dtype, sizes, strides);
}

void refuse_debug_mask(const char* op, std::int32_t wanted) {
  if (wanted != 0) base::fail(ErrorCode::Unsupported, "{} with a debug mask", op);
}

AOTITorchError efficient_attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value,
                                   AtenTensorHandle* mask, std::int32_t compute_log_sum, double dropout,
                                   std::int32_t is_causal, double* scale, AtenTensorHandle* ret0,
                                   AtenTensorHandle* ret1, AtenTensorHandle* ret2, AtenTensorHandle* ret3) {
  return cuda_ops::guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    const Attention attention = attention_of("scaled_dot_product_efficient_attention", query, key, value,
                                             {mask, dropout, is_causal, scale});
    // Tokens before heads in memory.
    const std::int64_t heads = query->size[1];
    const std::int64_t length = query->size[2];
    const std::int64_t depth = value->size[3];
    const std::array sizes{query->size[0], heads, length, depth};
    const std::array strides{length * heads * depth, depth, heads * depth, std::int64_t{1}};
    auto out = shim::make_cuda_result(query->dtype, sizes, strides);
    constexpr std::int64_t kStep = 32;
    const std::int64_t sums = compute_log_sum != 0 ? (length + kStep - 1) / kStep * kStep : 0;
    auto log_sum = shim::make_cuda_result(DType::Float32, std::array{query->size[0], heads, sums});
    cuda_ops::attend(call, *out, log_sum.get(), attention);
    give(ret0, std::move(out));
    give(ret1, std::move(log_sum));
    give_unfilled(ret2, DType::Int64, {});
    give_unfilled(ret3, DType::Int64, {});
  });
}

AOTITorchError flash_attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value,
                               double dropout, std::int32_t is_causal, std::int32_t return_debug_mask,
                               double* scale, AtenTensorHandle* ret0, AtenTensorHandle* ret1,
                               AtenTensorHandle* ret2, AtenTensorHandle* ret3, std::int64_t* ret4,
                               std::int64_t* ret5, AtenTensorHandle* ret6, AtenTensorHandle* ret7,
                               AtenTensorHandle* ret8) {
  return cuda_ops::guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    constexpr const char* kOp = "scaled_dot_product_flash_attention";
    const Attention attention = attention_of(kOp, query, key, value, {nullptr, dropout, is_causal, scale});
    refuse_debug_mask(kOp, return_debug_mask);
    auto out = make_like_query(attention);
    auto log_sum =
        shim::make_cuda_result(DType::Float32, std::array{query->size[0], query->size[1], query->size[2]});
    cuda_ops::attend(call, *out, log_sum.get(), attention);
    give(ret0, std::move(out));
    give(ret1, std::move(log_sum));
    give_nothing(ret2);
    give_nothing(ret3);
    if (ret4 != nullptr) *ret4 = query->size[2];
    if (ret5 != nullptr) *ret5 = key->size[2];
    give_unfilled(ret6, DType::UInt64, std::array<std::int64_t, 1>{2});
    give_unfilled(ret7, DType::UInt64, {});
    give_unfilled(ret8, query->dtype, std::array<std::int64_t, 1>{0});
  });
}

AOTITorchError cudnn_attention(AtenTensorHandle query, AtenTensorHandle key, AtenTensorHandle value,
                               AtenTensorHandle* mask, std::int32_t compute_log_sum, double dropout,
                               std::int32_t is_causal, std::int32_t return_debug_mask, double* scale,
                               AtenTensorHandle* ret0, AtenTensorHandle* ret1, AtenTensorHandle* ret2,
                               AtenTensorHandle* ret3, std::int64_t* ret4, std::int64_t* ret5,
                               AtenTensorHandle* ret6, AtenTensorHandle* ret7, AtenTensorHandle* ret8) {
  return cuda_ops::guarded([&] {
    const shim::CudaCall& call = shim::cuda_call();
    constexpr const char* kOp = "scaled_dot_product_cudnn_attention";
    const Attention attention = attention_of(kOp, query, key, value, {mask, dropout, is_causal, scale});
    refuse_debug_mask(kOp, return_debug_mask);
    auto out = make_like_query(attention);
    // A column is as well a row: what is filled has three dimensions.
    const std::array sums{query->size[0], query->size[1], query->size[2], std::int64_t{1}};
    auto log_sum = shim::make_cuda_result(DType::Float32, sums);
    cuda_ops::attend(call, *out, compute_log_sum != 0 ? log_sum.get() : nullptr, attention);
    give(ret0, std::move(out));
    give(ret1, std::move(log_sum));
    give_nothing(ret2);
    give_nothing(ret3);
    if (ret4 != nullptr) *ret4 = query->size[2];
    if (ret5 != nullptr) *ret5 = key->size[2];
    give_unfilled(ret6, DType::Int64, {});
    give_unfilled(ret7, DType::Int64, {});
    give_nothing(ret8);
  });
}

}  // namespace

namespace penstock::cuda_ops {

std::span<const Operator> attention_functions() {
  static constexpr Needs kOfAttention{.images = {&kAttentionImage}, .cublaslt = true};
  static const std::array kTable{
      entry("aoti_torch_cuda__scaled_dot_product_efficient_attention", &efficient_attention, kOfAttention),
      entry("aoti_torch_cuda__scaled_dot_product_flash_attention", &flash_attention, kOfAttention),
      entry("aoti_torch_cuda__scaled_dot_product_cudnn_attention", &cudnn_attention, kOfAttention),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
