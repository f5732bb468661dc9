#include "cpu/convolution.hpp"
#include "cpu/linear_algebra.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include <array>

using namespace penstock;
using penstock::shim::checked_span;
using penstock::shim::guarded;
using penstock::shim::operator_context;

extern "C" {

AOTITorchError penstock_cpu_addmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat1,
                                      AtenTensorHandle mat2, double beta, double alpha) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    cpu::addmm(context, *out, *self, *mat1, *mat2, {.beta = beta, .alpha = alpha});
  });
}

AOTITorchError penstock_cpu_mm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat2) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    cpu::mm(context, *out, *self, *mat2);
  });
}

AOTITorchError penstock_cpu_bmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat2) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    cpu::bmm(context, *out, *self, *mat2);
  });
}

AOTITorchError penstock_cpu_baddbmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle batch1,
                                        AtenTensorHandle batch2, double beta, double alpha) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    cpu::baddbmm(context, *out, *self, *batch1, *batch2, {.beta = beta, .alpha = alpha});
  });
}

AOTITorchError penstock_cpu_convolution(AtenTensorHandle input, AtenTensorHandle weight,
                                        AtenTensorHandle* bias, const std::int64_t* stride,
                                        std::int64_t stride_len, const std::int64_t* padding,
                                        std::int64_t padding_len, const std::int64_t* dilation,
                                        std::int64_t dilation_len, std::int32_t transposed,
                                        const std::int64_t* output_padding, std::int64_t output_padding_len,
                                        std::int64_t groups, AtenTensorHandle* ret) {
  return guarded([&] {
    cpu::OpContext context = operator_context();
    const cpu::ConvolutionGeometry geometry{
        .stride = checked_span(stride, stride_len),
        .padding = checked_span(padding, padding_len),
        .dilation = checked_span(dilation, dilation_len),
        .transposed = transposed != 0,
        .output_padding = checked_span(output_padding, output_padding_len),
        .groups = groups,
    };
    // An optional tensor is a pointer to a handle; null where it is absent.
    const tensor::TensorObject* addend = bias != nullptr ? *bias : nullptr;
    const cpu::ConvolutionOutput output = cpu::convolution_output(*input, *weight, addend, geometry);
    tensor::TensorObjectPtr made = shim::make_result(input->dtype, output.sizes, output.strides);
    cpu::convolution(context, *made, *input, *weight, addend, geometry);
    *ret = made.release();
  });
}

}  // extern "C"

namespace penstock::shim {

std::span<const TableEntry> linear_algebra_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_addmm_out", &penstock_cpu_addmm_out),
      entry("aoti_torch_cpu_mm_out", &penstock_cpu_mm_out),
      entry("aoti_torch_cpu_bmm_out", &penstock_cpu_bmm_out),
      entry("aoti_torch_cpu_baddbmm_out", &penstock_cpu_baddbmm_out),
      entry("aoti_torch_cpu_convolution", &penstock_cpu_convolution),
  };
  return kTable;
}

}  // namespace penstock::shim
