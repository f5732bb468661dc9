#include "cpu/padding.hpp"
#include "cpu/pooling.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/pool.hpp"
#include "cuda_ops/search.hpp"
#include "shim/abi.hpp"
#include "shim/arguments.hpp"
#include "shim/context.hpp"

#include <array>

// Windows over images, padding, and bags of embeddings.
namespace penstock::cuda_ops {
namespace {

using shim::checked_span;
using shim::make_cuda_result;
using tensor::TensorObjectPtr;

using Sizes = const std::int64_t*;
using Count = std::int64_t;

template <std::size_t kSpatial>
AOTITorchError max_pool_with_indices(AtenTensorHandle self, Sizes kernel, Count kernel_len, Sizes stride,
                                     Count stride_len, Sizes padding, Count padding_len, Sizes dilation,
                                     Count dilation_len, std::int32_t ceil_mode, AtenTensorHandle* ret0,
                                     AtenTensorHandle* ret1) {
  return guarded([&] {
    const cpu::PoolWindow window{.spatial = kSpatial,
                                 .kernel = checked_span(kernel, kernel_len),
                                 .stride = checked_span(stride, stride_len),
                                 .padding = checked_span(padding, padding_len),
                                 .dilation = checked_span(dilation, dilation_len),
                                 .ceil_mode = ceil_mode != 0};
    const cpu::PoolLayout layout = cpu::max_pool_layout(*self, window);
    TensorObjectPtr out = make_cuda_result(self->dtype, layout.sizes, layout.strides);
    TensorObjectPtr indices = make_cuda_result(DType::Int64, layout.sizes, layout.strides);
    max_pool(shim::cuda_call(), *out, *indices, *self, window);
    *ret0 = out.release();
    *ret1 = indices.release();
  });
}

template <std::size_t kSpatial>
AOTITorchError avg_pool(AtenTensorHandle self, Sizes kernel, Count kernel_len, Sizes stride, Count stride_len,
                        Sizes padding, Count padding_len, std::int32_t ceil_mode,
                        std::int32_t count_include_pad, std::int64_t* divisor, AtenTensorHandle* ret0) {
  return guarded([&] {
    const cpu::PoolWindow window{.spatial = kSpatial,
                                 .kernel = checked_span(kernel, kernel_len),
                                 .stride = checked_span(stride, stride_len),
                                 .padding = checked_span(padding, padding_len),
                                 .dilation = {},
                                 .ceil_mode = ceil_mode != 0};
    cpu::AverageOptions options{.count_include_pad = count_include_pad != 0, .divisor = {}};
    if (divisor != nullptr) options.divisor = *divisor;
    const cpu::PoolLayout layout = cpu::average_pool_layout(*self, window, options);
    TensorObjectPtr out = make_cuda_result(self->dtype, layout.sizes, layout.strides);
    average_pool(shim::cuda_call(), *out, *self, window, options);
    *ret0 = out.release();
  });
}

template <std::size_t kSpatial>
AOTITorchError adaptive_avg_pool(AtenTensorHandle self, Sizes output_size, Count output_size_len,
                                 AtenTensorHandle* ret0) {
  return guarded([&] {
    const cpu::PoolLayout layout =
        cpu::adaptive_pool_layout(*self, checked_span(output_size, output_size_len), kSpatial);
    TensorObjectPtr out = make_cuda_result(self->dtype, layout.sizes, layout.strides);
    adaptive_average_pool(shim::cuda_call(), *out, *self, kSpatial);
    *ret0 = out.release();
  });
}

template <std::size_t kSpatial>
AOTITorchError adaptive_max_pool_with_indices(AtenTensorHandle self, Sizes output_size, Count output_size_len,
                                              AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  return guarded([&] {
    const cpu::PoolLayout layout =
        cpu::adaptive_pool_layout(*self, checked_span(output_size, output_size_len), kSpatial);
    TensorObjectPtr out = make_cuda_result(self->dtype, layout.sizes, layout.strides);
    TensorObjectPtr indices = make_cuda_result(DType::Int64, layout.sizes, layout.strides);
    adaptive_max_pool(shim::cuda_call(), *out, *indices, *self, kSpatial);
    *ret0 = out.release();
    *ret1 = indices.release();
  });
}

AOTITorchError pad_new(AtenTensorHandle self, Sizes amounts, Count amounts_len, const char* mode,
                       double* value, AtenTensorHandle* ret0) {
  return guarded([&] {
    const PadAmounts pads{.amounts = checked_span(amounts, amounts_len),
                          .mode = cpu::pad_mode(mode),
                          .value = value != nullptr ? *value : 0};
    const cpu::PadLayout layout = cpu::pad_layout(*self, pads.amounts, pads.mode);
    TensorObjectPtr out = make_cuda_result(self->dtype, layout.sizes, layout.strides);
    pad(shim::cuda_call(), *out, *self, pads);
    *ret0 = out.release();
  });
}

AOTITorchError embedding_bag_new(AtenTensorHandle weight, AtenTensorHandle indices, AtenTensorHandle offsets,
                                 std::int32_t /*scale_grad_by_freq*/, std::int64_t mode,
                                 std::int32_t /*sparse*/, AtenTensorHandle* per_sample_weights,
                                 std::int32_t include_last_offset, std::int64_t padding_idx,
                                 AtenTensorHandle* ret0, AtenTensorHandle* ret1, AtenTensorHandle* ret2,
                                 AtenTensorHandle* ret3) {
  return guarded([&] {
    cpu::EmbeddingBagResults results = embedding_bag(
        shim::cuda_call(), {.weight = *weight,
                            .indices = *indices,
                            .offsets = *offsets,
                            .mode = static_cast<cpu::BagMode>(mode),
                            .factors = per_sample_weights != nullptr ? *per_sample_weights : nullptr,
                            .include_last_offset = include_last_offset != 0,
                            .padding_idx = padding_idx});
    *ret0 = results.out.release();
    *ret1 = results.offset2bag.release();
    *ret2 = results.bag_size.release();
    *ret3 = results.max_indices.release();
  });
}

constexpr Needs kOfWindows{.images = {&kPoolImage}};
constexpr Needs kOfBags{.images = {&kSearchImage}};

}  // namespace

std::span<const Operator> pooling_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_max_pool2d_with_indices", &max_pool_with_indices<2>, kOfWindows),
      entry("aoti_torch_cuda_max_pool3d_with_indices", &max_pool_with_indices<3>, kOfWindows),
      entry("aoti_torch_cuda_avg_pool2d", &avg_pool<2>, kOfWindows),
      entry("aoti_torch_cuda_avg_pool3d", &avg_pool<3>, kOfWindows),
      entry("aoti_torch_cuda__adaptive_avg_pool2d", &adaptive_avg_pool<2>, kOfWindows),
      entry("aoti_torch_cuda__adaptive_avg_pool3d", &adaptive_avg_pool<3>, kOfWindows),
      entry("aoti_torch_cuda_adaptive_max_pool2d", &adaptive_max_pool_with_indices<2>, kOfWindows),
      entry("aoti_torch_cuda_adaptive_max_pool3d", &adaptive_max_pool_with_indices<3>, kOfWindows),
      entry("aoti_torch_cuda_pad", &pad_new, kOfWindows),
      entry("aoti_torch_cuda__embedding_bag", &embedding_bag_new, kOfBags),
      entry("aoti_torch_cuda__embedding_bag_forward_only", &embedding_bag_new, kOfBags),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
