#pragma once

#include "cpu/elementwise.hpp"
#include "shim/abi.hpp"
#include "shim/arguments.hpp"
#include "shim/context.hpp"

namespace penstock::shim {

/// Arithmetic that packages call, for any device: inductor writes its own code for all but complex numbers. A
/// `Machine` is made once a call, and has what differs: `guard`, which is `guarded` for it, `result`, which
/// makes a tensor, `copy`, `fill`, and the computations, by the names and with the arguments of
/// cpu/elementwise.hpp.
template <class Machine>
class ElementwiseOperators {
 public:
  static AOTITorchError add(AtenTensorHandle self, AtenTensorHandle other, double alpha,
                            AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      TensorObjectPtr made =
          call.make(cpu::result_type(*self, *other), cpu::elementwise_layout(*self, *other));
      call.add(*made, *self, *other, alpha);
      *ret = made.release();
    });
  }

  static AOTITorchError subtract(AtenTensorHandle self, AtenTensorHandle other, double alpha,
                                 AtenTensorHandle* ret) {
    return add(self, other, -alpha, ret);
  }

  static AOTITorchError add_scalar(AtenTensorHandle self, double other, double alpha, AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      TensorObjectPtr made = call.make(cpu::result_type_with_number(*self), cpu::elementwise_layout(*self));
      call.add(*made, *self, *call.number(made->dtype, other), alpha);
      *ret = made.release();
    });
  }

  static AOTITorchError multiply(AtenTensorHandle self, AtenTensorHandle other, AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      TensorObjectPtr made =
          call.make(cpu::result_type(*self, *other), cpu::elementwise_layout(*self, *other));
      call.multiply(*made, *self, *other);
      *ret = made.release();
    });
  }

  static AOTITorchError multiply_scalar(AtenTensorHandle self, double other, AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      TensorObjectPtr made = call.make(cpu::result_type_with_number(*self), cpu::elementwise_layout(*self));
      call.multiply(*made, *self, *call.number(made->dtype, other));
      *ret = made.release();
    });
  }

  /// The angles of complex numbers lie row-major, as PyTorch has them; those of integers are float32.
  static AOTITorchError angle(AtenTensorHandle self, AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      const DType number = cpu::result_type_with_number(*self);
      const DType dtype = cpu::real_dtype(number);
      TensorObjectPtr made = call.make(
          dtype, dtype != number ? cpu::contiguous_layout({self->sizes().begin(), self->sizes().end()})
                                 : cpu::elementwise_layout(*self));
      TensorObjectPtr copy;
      call.machine.angle(*made, call.in_dtype(*self, number, copy));
      *ret = made.release();
    });
  }

  static AOTITorchError absolute(AtenTensorHandle self, AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      TensorObjectPtr made = call.make(cpu::real_dtype(self->dtype), cpu::elementwise_layout(*self));
      call.machine.absolute(*made, *self);
      *ret = made.release();
    });
  }

  static AOTITorchError polar(AtenTensorHandle magnitude, AtenTensorHandle angle, AtenTensorHandle* ret) {
    return Machine::guard([&] {
      Call call;
      const DType dtype = magnitude->dtype == DType::Float64 ? DType::Complex128 : DType::Complex64;
      TensorObjectPtr made = call.make(dtype, cpu::elementwise_layout(*magnitude, *angle));
      call.machine.polar(*made, *magnitude, *angle);
      *ret = made.release();
    });
  }

 private:
  using TensorObject = tensor::TensorObject;
  using TensorObjectPtr = tensor::TensorObjectPtr;

  struct Call {
    Machine machine;

    TensorObjectPtr make(DType dtype, const cpu::ResultLayout& layout) {
      return machine.result(dtype, layout.sizes, layout.strides);
    }

    /// A tensor in another dtype: itself, or a copy that is kept in `holder`.
    const TensorObject& in_dtype(const TensorObject& tensor, DType dtype, TensorObjectPtr& holder) {
      if (tensor.dtype == dtype) return tensor;
      holder = make(dtype, cpu::contiguous_layout({tensor.sizes().begin(), tensor.sizes().end()}));
      machine.copy(*holder, tensor);
      return *holder;
    }

    /// A number as a tensor of the dtype in which it counts.
    TensorObjectPtr number(DType dtype, double value) {
      TensorObjectPtr made = machine.result(dtype, {}, {});
      machine.fill(*made, value);
      return made;
    }

    void add(TensorObject& out, const TensorObject& a, const TensorObject& b, double alpha) {
      TensorObjectPtr left;
      TensorObjectPtr right;
      machine.add(out, in_dtype(a, out.dtype, left), in_dtype(b, out.dtype, right), alpha);
    }

    void multiply(TensorObject& out, const TensorObject& a, const TensorObject& b) {
      TensorObjectPtr left;
      TensorObjectPtr right;
      machine.multiply(out, in_dtype(a, out.dtype, left), in_dtype(b, out.dtype, right));
    }
  };
};

}  // namespace penstock::shim
