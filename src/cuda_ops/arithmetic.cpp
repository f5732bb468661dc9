#include "cuda_ops/arithmetic.hpp"

#include "base/fail.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/operands.hpp"

#include <array>

namespace penstock::cuda_ops {
namespace {

using kernels::Arithmetic;
using tensor::TensorObject;

/// What is computed of which elements.
struct Calculated {
  const char* op;
  Arithmetic kind;
  const TensorObject& a;
  const TensorObject& b;
};

void check_number(const char* op, DType dtype) {
  if (!is_complex(dtype)) check_dtype(op, dtype, number_dtypes());
}

void launch(const shim::CudaCall& call, const TensorObject& out, const Calculated& of, double factor = 1) {
  static constexpr Kernel kArithmetic(kArithmeticImage, "penstock_arithmetic");
  check_device(of.op, of.a);
  check_device(of.op, of.b);
  if (of.a.dtype != of.b.dtype) {
    base::fail(ErrorCode::InvalidArgument, "{} of {} and {}", of.op, dtype_name(of.a.dtype),
               dtype_name(of.b.dtype));
  }
  if (out.numel == 0) return;
  const cpu::Dims a_strides = cpu::broadcast_strides(of.a, out.sizes());
  const cpu::Dims b_strides = cpu::broadcast_strides(of.b, out.sizes());
  const kernels::Calculation calculation{
      .out = out.data,
      .a = of.a.data,
      .b = of.b.data,
      .out_dtype = element_of(of.op, out.dtype),
      .dtype = element_of(of.op, of.a.dtype),
      .kind = of.kind,
      .factor = {.real = factor, .integer = static_cast<std::int64_t>(factor), .is_integer = 0},
      .walk = make_walk<3>(out.sizes(), {out.strides(), a_strides, b_strides})};
  kArithmetic.launch(call, grid_for(call, out.numel), calculation);
}

}  // namespace

void add(const shim::CudaCall& call, const TensorObject& out, const TensorObject& a, const TensorObject& b,
         double alpha) {
  if (out.dtype != DType::Bool) check_number("add", out.dtype);
  launch(call, out, {.op = "add", .kind = Arithmetic::Sum, .a = a, .b = b}, alpha);
}

void multiply(const shim::CudaCall& call, const TensorObject& out, const TensorObject& a,
              const TensorObject& b) {
  if (out.dtype != DType::Bool) check_number("mul", out.dtype);
  launch(call, out, {.op = "mul", .kind = Arithmetic::Product, .a = a, .b = b});
}

void absolute(const shim::CudaCall& call, const TensorObject& out, const TensorObject& self) {
  check_number("abs", self.dtype);
  launch(call, out, {.op = "abs", .kind = Arithmetic::Magnitude, .a = self, .b = self});
}

void angle(const shim::CudaCall& call, const TensorObject& out, const TensorObject& self) {
  if (!is_complex(self.dtype)) check_dtype("angle", self.dtype, float_dtypes());
  launch(call, out, {.op = "angle", .kind = Arithmetic::Angle, .a = self, .b = self});
}

void polar(const shim::CudaCall& call, const TensorObject& out, const TensorObject& magnitude,
           const TensorObject& angles) {
  static constexpr std::array kParts{DType::Float32, DType::Float64};
  check_dtype("polar", magnitude.dtype, kParts);
  launch(call, out, {.op = "polar", .kind = Arithmetic::Polar, .a = magnitude, .b = angles});
}

}  // namespace penstock::cuda_ops
