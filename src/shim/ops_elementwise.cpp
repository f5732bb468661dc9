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

using tensor::TensorObject;
using tensor::TensorObjectPtr;

TensorObjectPtr make_like(DType dtype, const cpu::ResultLayout& layout) {
  return make_result(dtype, layout.sizes, layout.strides);
}

/// A tensor in another dtype: itself, or a copy that is kept in `holder`.
const TensorObject& in_dtype(const TensorObject& tensor, DType dtype, TensorObjectPtr& holder) {
  if (tensor.dtype == dtype) return tensor;
  holder = make_result(dtype, tensor.sizes());
  cpu::copy(*holder, tensor);
  return *holder;
}

/// The operands of a result.
struct Operands {
  Operands(const TensorObject& out, const TensorObject& a, const TensorObject& b)
      : left(in_dtype(a, out.dtype, left_copy)), right(in_dtype(b, out.dtype, right_copy)) {}

  TensorObjectPtr left_copy;
  TensorObjectPtr right_copy;
  const TensorObject& left;
  const TensorObject& right;
};

/// A number as a tensor of the dtype in which it counts.
TensorObjectPtr number(DType dtype, double value) {
  TensorObjectPtr made = make_result(dtype, {});
  cpu::fill(*made, value);
  return made;
}

AOTITorchError add(AtenTensorHandle self, AtenTensorHandle other, double alpha, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type(*self, *other), cpu::elementwise_layout(*self, *other));
    const Operands operands(*made, *self, *other);
    cpu::add(*made, operands.left, operands.right, alpha);
    *ret = made.release();
  });
}

AOTITorchError subtract(AtenTensorHandle self, AtenTensorHandle other, double alpha, AtenTensorHandle* ret) {
  return add(self, other, -alpha, ret);
}

AOTITorchError add_scalar(AtenTensorHandle self, double other, double alpha, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type_with_number(*self), cpu::elementwise_layout(*self));
    const TensorObjectPtr addend = number(made->dtype, other);
    const Operands operands(*made, *self, *addend);
    cpu::add(*made, operands.left, operands.right, alpha);
    *ret = made.release();
  });
}

AOTITorchError multiply(AtenTensorHandle self, AtenTensorHandle other, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type(*self, *other), cpu::elementwise_layout(*self, *other));
    const Operands operands(*made, *self, *other);
    cpu::multiply(*made, operands.left, operands.right);
    *ret = made.release();
  });
}

AOTITorchError multiply_scalar(AtenTensorHandle self, double other, AtenTensorHandle* ret) {
  return guarded([&] {
    TensorObjectPtr made = make_like(cpu::result_type_with_number(*self), cpu::elementwise_layout(*self));
    const TensorObjectPtr factor = number(made->dtype, other);
    const Operands operands(*made, *self, *factor);
    cpu::multiply(*made, operands.left, operands.right);
    *ret = made.release();
  });
}

/// The angles of complex numbers lie row-major, as PyTorch has them; those of integers are float32.
AOTITorchError angle(AtenTensorHandle self, AtenTensorHandle* ret) {
  return guarded([&] {
    const DType number = cpu::result_type_with_number(*self);
    const DType dtype = cpu::real_dtype(number);
    TensorObjectPtr made = dtype != number ? make_result(dtype, self->sizes())
                                           : make_like(dtype, cpu::elementwise_layout(*self));
    TensorObjectPtr copy;
    cpu::angle(*made, in_dtype(*self, number, copy));
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
