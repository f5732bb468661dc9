#include "cpu/copy.hpp"
#include "shim/cuda_forward.hpp"
#include "shim/cuda_tensor.hpp"
#include "shim/elementwise_operators.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include <array>
#include <utility>

namespace penstock::shim {
namespace {

using tensor::TensorObject;

struct OnCpu {
  template <class Work>
  static AOTITorchError guard(Work&& work) noexcept {
    return shim::guarded(std::forward<Work>(work));
  }
  static tensor::TensorObjectPtr result(DType dtype, std::span<const std::int64_t> sizes,
                                        std::span<const std::int64_t> strides) {
    return make_result(dtype, sizes, strides);
  }
  static void copy(const TensorObject& to, const TensorObject& from) { cpu::copy(to, from); }
  static void fill(const TensorObject& tensor, double value) { cpu::fill(tensor, value); }
  static void add(const TensorObject& out, const TensorObject& a, const TensorObject& b, double alpha) {
    cpu::add(out, a, b, alpha);
  }
  static void multiply(const TensorObject& out, const TensorObject& a, const TensorObject& b) {
    cpu::multiply(out, a, b);
  }
  static void absolute(const TensorObject& out, const TensorObject& self) { cpu::absolute(out, self); }
  static void angle(const TensorObject& out, const TensorObject& self) { cpu::angle(out, self); }
  static void polar(const TensorObject& out, const TensorObject& magnitude, const TensorObject& angles) {
    cpu::polar(out, magnitude, angles);
  }
};

using Operators = ElementwiseOperators<OnCpu>;

/// Of tensors on any device.
AOTITorchError subtract(AtenTensorHandle self, AtenTensorHandle other, double alpha, AtenTensorHandle* ret) {
  if (is_on_cuda(*self)) return call_on_cuda("aoti_torch_aten_subtract_Tensor", self, other, alpha, ret);
  return Operators::subtract(self, other, alpha, ret);
}

}  // namespace

std::span<const TableEntry> elementwise_functions() {
  static const std::array kTable{
      entry("aoti_torch_cpu_add_Tensor", &Operators::add),
      entry("aoti_torch_cpu_add_Scalar", &Operators::add_scalar),
      entry("aoti_torch_aten_subtract_Tensor", &subtract),
      entry("aoti_torch_cpu_mul_Tensor", &Operators::multiply),
      entry("aoti_torch_cpu_mul_Scalar", &Operators::multiply_scalar),
      entry("aoti_torch_cpu_abs", &Operators::absolute),
      entry("aoti_torch_cpu_angle", &Operators::angle),
      entry("aoti_torch_cpu_polar", &Operators::polar),
  };
  return kTable;
}

}  // namespace penstock::shim
