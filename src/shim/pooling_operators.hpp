#pragma once

#include "cpu/padding.hpp"
#include "cpu/pooling.hpp"
#include "shim/abi.hpp"
#include "shim/arguments.hpp"
#include "shim/context.hpp"

namespace penstock::shim {

/// The functions over windows of images, for any device. A `Machine` is made once a call, and has what
/// differs: `guard`, which is `guarded` for it, `result`, which makes a tensor, and the computations, by the
/// names and with the arguments of cpu/pooling.hpp and cpu/padding.hpp.
template <class Machine>
struct PoolingOperators {
  using Sizes = const std::int64_t*;
  using Count = std::int64_t;

  template <std::size_t kSpatial>
  static AOTITorchError max_pool(AtenTensorHandle self, Sizes kernel, Count kernel_len, Sizes stride,
                                 Count stride_len, Sizes padding, Count padding_len, Sizes dilation,
                                 Count dilation_len, std::int32_t ceil_mode, AtenTensorHandle* ret0,
                                 AtenTensorHandle* ret1) {
    return Machine::guard([&] {
      Machine machine;
      const cpu::PoolWindow window{.spatial = kSpatial,
                                   .kernel = checked_span(kernel, kernel_len),
                                   .stride = checked_span(stride, stride_len),
                                   .padding = checked_span(padding, padding_len),
                                   .dilation = checked_span(dilation, dilation_len),
                                   .ceil_mode = ceil_mode != 0};
      const cpu::PoolLayout layout = cpu::max_pool_layout(*self, window);
      auto out = machine.result(self->dtype, layout.sizes, layout.strides);
      auto indices = machine.result(DType::Int64, layout.sizes, layout.strides);
      machine.max_pool(*out, *indices, *self, window);
      *ret0 = out.release();
      *ret1 = indices.release();
    });
  }

  template <std::size_t kSpatial>
  static AOTITorchError average_pool(AtenTensorHandle self, Sizes kernel, Count kernel_len, Sizes stride,
                                     Count stride_len, Sizes padding, Count padding_len,
                                     std::int32_t ceil_mode, std::int32_t count_include_pad,
                                     std::int64_t* divisor, AtenTensorHandle* ret0) {
    return Machine::guard([&] {
      Machine machine;
      const cpu::PoolWindow window{.spatial = kSpatial,
                                   .kernel = checked_span(kernel, kernel_len),
                                   .stride = checked_span(stride, stride_len),
                                   .padding = checked_span(padding, padding_len),
                                   .dilation = {},
                                   .ceil_mode = ceil_mode != 0};
      cpu::AverageOptions options{.count_include_pad = count_include_pad != 0, .divisor = {}};
      if (divisor != nullptr) options.divisor = *divisor;
      const cpu::PoolLayout layout = cpu::average_pool_layout(*self, window, options);
      auto out = machine.result(self->dtype, layout.sizes, layout.strides);
      machine.average_pool(*out, *self, window, options);
      *ret0 = out.release();
    });
  }

  template <std::size_t kSpatial>
  static AOTITorchError adaptive_average_pool(AtenTensorHandle self, Sizes output_size, Count output_size_len,
                                              AtenTensorHandle* ret0) {
    return Machine::guard([&] {
      Machine machine;
      const cpu::PoolLayout layout =
          cpu::adaptive_pool_layout(*self, checked_span(output_size, output_size_len), kSpatial);
      auto out = machine.result(self->dtype, layout.sizes, layout.strides);
      machine.adaptive_average_pool(*out, *self, kSpatial);
      *ret0 = out.release();
    });
  }

  template <std::size_t kSpatial>
  static AOTITorchError adaptive_max_pool(AtenTensorHandle self, Sizes output_size, Count output_size_len,
                                          AtenTensorHandle* ret0, AtenTensorHandle* ret1) {
    return Machine::guard([&] {
      Machine machine;
      const cpu::PoolLayout layout =
          cpu::adaptive_pool_layout(*self, checked_span(output_size, output_size_len), kSpatial);
      auto out = machine.result(self->dtype, layout.sizes, layout.strides);
      auto indices = machine.result(DType::Int64, layout.sizes, layout.strides);
      machine.adaptive_max_pool(*out, *indices, *self, kSpatial);
      *ret0 = out.release();
      *ret1 = indices.release();
    });
  }

  static AOTITorchError max_unpool2d(AtenTensorHandle self, AtenTensorHandle indices, Sizes output_size,
                                     Count output_size_len, AtenTensorHandle* ret0) {
    return Machine::guard([&] {
      *ret0 = unpooled(*self, *indices,
                       {.spatial = 2,
                        .output_size = checked_span(output_size, output_size_len),
                        .stride = {},
                        .padding = {}});
    });
  }

  static AOTITorchError max_unpool3d(AtenTensorHandle self, AtenTensorHandle indices, Sizes output_size,
                                     Count output_size_len, Sizes stride, Count stride_len, Sizes padding,
                                     Count padding_len, AtenTensorHandle* ret0) {
    return Machine::guard([&] {
      *ret0 = unpooled(*self, *indices,
                       {.spatial = 3,
                        .output_size = checked_span(output_size, output_size_len),
                        .stride = checked_span(stride, stride_len),
                        .padding = checked_span(padding, padding_len)});
    });
  }

  static AOTITorchError pad(AtenTensorHandle self, Sizes amounts, Count amounts_len, const char* mode,
                            double* value, AtenTensorHandle* ret0) {
    return Machine::guard([&] {
      Machine machine;
      const cpu::PadMode pad_mode = cpu::pad_mode(mode);
      const auto used = checked_span(amounts, amounts_len);
      const cpu::PadLayout layout = cpu::pad_layout(*self, used, pad_mode);
      auto out = machine.result(self->dtype, layout.sizes, layout.strides);
      machine.pad(*out, *self, used, pad_mode, value != nullptr ? *value : 0);
      *ret0 = out.release();
    });
  }

 private:
  static AtenTensorHandle unpooled(const tensor::TensorObject& self, const tensor::TensorObject& indices,
                                   const cpu::Unpool& unpool) {
    Machine machine;
    const cpu::PoolLayout layout = cpu::max_unpool_layout(self, indices, unpool);
    auto out = machine.result(self.dtype, layout.sizes, layout.strides);
    machine.max_unpool(*out, self, indices, unpool);
    return out.release();
  }
};

}  // namespace penstock::shim
