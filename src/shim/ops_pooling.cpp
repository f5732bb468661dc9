#include "cpu/padding.hpp"
#include "cpu/pooling.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include <array>

using namespace penstock;
using penstock::shim::checked_span;
using penstock::shim::guarded;
using penstock::shim::make_result;
using penstock::shim::operator_context;

namespace {

using Sizes = const std::int64_t*;
using Count = std::int64_t;

template <std::size_t kSpatial>
AOTITorchError max_pool(AtenTensorHandle self, Sizes kernel, Count kernel_len, Sizes stride, Count stride_len,
                        Sizes padding, Count padding_len, Sizes dilation, Count dilation_len,
                        std::int32_t ceil_mode, AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    const cpu::PoolWindow window{.spatial = kSpatial,
                                 .kernel = checked_span(kernel, kernel_len),
                                 .stride = checked_span(stride, stride_len),
                                 .padding = checked_span(padding, padding_len),
                                 .dilation = checked_span(dilation, dilation_len),
                                 .ceil_mode = ceil_mode != 0};
    const cpu::PoolLayout layout = cpu::max_pool_layout(*self, window);
    auto out = make_result(self->dtype, layout.sizes, layout.strides);
    auto indices = make_result(DType::Int64, layout.sizes, layout.strides);
    cpu::max_pool(context, *out, *indices, *self, window);
    *ret0 = out.release();
    *ret1 = indices.release();
  });
}

template <std::size_t kSpatial>
AOTITorchError avg_pool(AtenTensorHandle self, Sizes kernel, Count kernel_len, Sizes stride, Count stride_len,
                        Sizes padding, Count padding_len, std::int32_t ceil_mode,
                        std::int32_t count_include_pad, std::int64_t* divisor, AtenTensorHandle* ret0) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    const cpu::PoolWindow window{.spatial = kSpatial,
                                 .kernel = checked_span(kernel, kernel_len),
                                 .stride = checked_span(stride, stride_len),
                                 .padding = checked_span(padding, padding_len),
                                 .dilation = {},
                                 .ceil_mode = ceil_mode != 0};
    cpu::AverageOptions options{.count_include_pad = count_include_pad != 0, .divisor = {}};
    if (divisor != nullptr) options.divisor = *divisor;
    const cpu::PoolLayout layout = cpu::average_pool_layout(*self, window, options);
    auto out = make_result(self->dtype, layout.sizes, layout.strides);
    cpu::average_pool(context, *out, *self, window, options);
    *ret0 = out.release();
  });
}

template <std::size_t kSpatial>
AOTITorchError adaptive_avg_pool(AtenTensorHandle self, Sizes output_size, Count output_size_len,
                                 AtenTensorHandle* ret0) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    const cpu::PoolLayout layout =
        cpu::adaptive_pool_layout(*self, checked_span(output_size, output_size_len), kSpatial);
    auto out = make_result(self->dtype, layout.sizes, layout.strides);
    cpu::adaptive_average_pool(context, *out, *self, kSpatial);
    *ret0 = out.release();
  });
}

template <std::size_t kSpatial>
AOTITorchError adaptive_max_pool(AtenTensorHandle self, Sizes output_size, Count output_size_len,
                                 AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    const cpu::PoolLayout layout =
        cpu::adaptive_pool_layout(*self, checked_span(output_size, output_size_len), kSpatial);
    auto out = make_result(self->dtype, layout.sizes, layout.strides);
    auto indices = make_result(DType::Int64, layout.sizes, layout.strides);
    cpu::adaptive_max_pool(context, *out, *indices, *self, kSpatial);
    *ret0 = out.release();
    *ret1 = indices.release();
  });
}

AtenTensorHandle unpooled(const tensor::TensorObject& self, const tensor::TensorObject& indices,
                          const cpu::Unpool& unpool) {
  const cpu::PoolLayout layout = cpu::max_unpool_layout(self, indices, unpool);
  auto out = make_result(self.dtype, layout.sizes, layout.strides);
  cpu::max_unpool(*out, self, indices, unpool);
  return out.release();
}

AOTITorchError max_unpool2d(AtenTensorHandle self, AtenTensorHandle indices, Sizes output_size,
                            Count output_size_len, AtenTensorHandle* ret0) {
  return guarded([&] {
    *ret0 = unpooled(*self, *indices,
                     {.spatial = 2,
                      .output_size = checked_span(output_size, output_size_len),
                      .stride = {},
                      .padding = {}});
  });
}

AOTITorchError max_unpool3d(AtenTensorHandle self, AtenTensorHandle indices, Sizes output_size,
                            Count output_size_len, Sizes stride, Count stride_len, Sizes padding,
                            Count padding_len, AtenTensorHandle* ret0) {
  return guarded([&] {
    *ret0 = unpooled(*self, *indices,
                     {.spatial = 3,
                      .output_size = checked_span(output_size, output_size_len),
                      .stride = checked_span(stride, stride_len),
                      .padding = checked_span(padding, padding_len)});
  });
}

AOTITorchError pad(AtenTensorHandle self, Sizes amounts, Count amounts_len, const char* mode, double* value,
                   AtenTensorHandle* ret0) {
  return guarded([&] {
    shim::refuse_while_probing();
    const cpu::PadMode pad_mode = cpu::pad_mode(mode);
    const auto used = checked_span(amounts, amounts_len);
    const cpu::PadLayout layout = cpu::pad_layout(*self, used, pad_mode);
    auto out = make_result(self->dtype, layout.sizes, layout.strides);
    cpu::pad(*out, *self, used, pad_mode, value != nullptr ? *value : 0);
    *ret0 = out.release();
  });
}

}  // namespace

namespace penstock::shim {

std::span<const TableEntry> pooling_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_max_pool2d_with_indices", &max_pool<2>),
      entry("aoti_torch_cpu_max_pool3d_with_indices", &max_pool<3>),
      entry("aoti_torch_cpu_avg_pool2d", &avg_pool<2>),
      entry("aoti_torch_cpu_avg_pool3d", &avg_pool<3>),
      entry("aoti_torch_cpu__adaptive_avg_pool2d", &adaptive_avg_pool<2>),
      entry("aoti_torch_cpu__adaptive_avg_pool3d", &adaptive_avg_pool<3>),
      entry("aoti_torch_cpu_adaptive_max_pool2d", &adaptive_max_pool<2>),
      entry("aoti_torch_cpu_adaptive_max_pool3d", &adaptive_max_pool<3>),
      entry("aoti_torch_cpu_max_unpool2d", &max_unpool2d),
      entry("aoti_torch_cpu_max_unpool3d", &max_unpool3d),
      entry("aoti_torch_cpu_pad", &pad),
  };
  return kTable;
}

}  // namespace penstock::shim
