#include "cpu/copy.hpp"
#include "cpu/elementwise.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include <array>

// Arithmetic that packages call: inductor writes its own code for all but complex numbers.
namespace penstock::shim {
namespace {

using tensor::TensorObjectPtr;

TensorObjectPtr make_like(DType dtype, const cpu::ResultLayout& layout) {
  return make_result(dtype, layout.sizes, layout.strides);
}

/// A number as a tensor of the dtype in which it counts.
TensorObjectPtr number(DType dtype, double value) {
  TensorObjectPtr made = make_result(dtype, {});
  cpu::fill(*made, value);
  return made;
}

AOTITorchError add(AtenTensorHandle self, AtenTensorHandle other, double alpha, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type(*self, *other), cpu::elementwise_layout(*self, *other));
    cpu::add(*made, *self, *other, alpha);
    *ret = made.release();
  });
}

AOTITorchError subtract(AtenTensorHandle self, AtenTensorHandle other, double alpha, AtenTensorHandle* ret) {
  return add(self, other, -alpha, ret);
}

AOTITorchError add_scalar(AtenTensorHandle self, double other, double alpha, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type_with_number(*self), cpu::elementwise_layout(*self));
    cpu::add(*made, *self, *number(made->dtype, other), alpha);
    *ret = made.release();
  });
}

AOTITorchError multiply(AtenTensorHandle self, AtenTensorHandle other, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type(*self, *other), cpu::elementwise_layout(*self, *other));
    cpu::multiply(*made, *self, *other);
    *ret = made.release();
  });
}

AOTITorchError multiply_scalar(AtenTensorHandle self, double other, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type_with_number(*self), cpu::elementwise_layout(*self));
    cpu::multiply(*made, *self, *number(made->dtype, other));
    *ret = made.release();
  });
}

/// The angles of complex numbers lie row-major, as PyTorch has them.
AOTITorchError angle(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    const DType dtype = cpu::real_dtype(self->dtype);
    TensorObjectPtr made = dtype != self->dtype ? make_result(dtype, self->sizes())
                                                : make_like(dtype, cpu::elementwise_layout(*self));
    cpu::angle(*made, *self);
    *ret = made.release();
  });
}

AOTITorchError absolute(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::real_dtype(self->dtype), cpu::elementwise_layout(*self));
    cpu::absolute(*made, *self);
    *ret = made.release();
  });
}

AOTITorchError polar(AtenTensorHandle magnitude, AtenTensorHandle angle, AtenTensorHandle* ret) {
  return guarded([&] {
    const DType dtype = magnitude->dtype == DType::Float64 ? DType::Complex128 : DType::Complex64;
    TensorObjectPtr made = make_like(dtype, cpu::elementwise_layout(*magnitude, *angle));
    cpu::polar(*made, *magnitude, *angle);
    *ret = made.release();
  });
}

}  // namespace

std::span<const TableEntry> elementwise_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_add_Tensor", &add),
      entry("aoti_torch_cpu_add_Scalar", &add_scalar),
      entry("aoti_torch_aten_subtract_Tensor", &subtract),
      entry("aoti_torch_cpu_mul_Tensor", &multiply),
      entry("aoti_torch_cpu_mul_Scalar", &multiply_scalar),
      entry("aoti_torch_cpu_abs", &absolute),
      entry("aoti_torch_cpu_angle", &angle),
      entry("aoti_torch_cpu_polar", &polar),
  };
  return kTable;
}

}  // namespace penstock::shim
