#include "cuda_ops/arithmetic.hpp"
#include "cuda_ops/copy.hpp"
#include "cuda_ops/images.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operands.hpp"
#include "cuda_ops/operator.hpp"
#include "shim/elementwise_operators.hpp"

#include <array>
#include <utility>

namespace penstock::cuda_ops {
namespace {

using tensor::TensorObject;

class OnCuda {
 public:
  template <class Work>
  static AOTITorchError guard(Work&& work) noexcept {
    return cuda_ops::guarded(std::forward<Work>(work));
  }
  static tensor::TensorObjectPtr result(DType dtype, std::span<const std::int64_t> sizes,
                                        std::span<const std::int64_t> strides) {
    return shim::make_cuda_result(dtype, sizes, strides);
  }
  void copy(const TensorObject& to, const TensorObject& from) { cuda_ops::copy(call_, to, from); }
  void fill(const TensorObject& tensor, double value) { cuda_ops::fill(call_, tensor, fill_value(value)); }
  void add(const TensorObject& out, const TensorObject& a, const TensorObject& b, double alpha) {
    cuda_ops::add(call_, out, a, b, alpha);
  }
  void multiply(const TensorObject& out, const TensorObject& a, const TensorObject& b) {
    cuda_ops::multiply(call_, out, a, b);
  }
  void absolute(const TensorObject& out, const TensorObject& self) { cuda_ops::absolute(call_, out, self); }
  void angle(const TensorObject& out, const TensorObject& self) { cuda_ops::angle(call_, out, self); }
  void polar(const TensorObject& out, const TensorObject& magnitude, const TensorObject& angles) {
    cuda_ops::polar(call_, out, magnitude, angles);
  }

 private:
  const shim::CudaCall& call_ = shim::cuda_call();
};

using Operators = shim::ElementwiseOperators<OnCuda>;

constexpr Needs kOfArithmetic{.images = {&kArithmeticImage}};

}  // namespace

std::span<const Operator> elementwise_functions() {
  static const std::array kTable{
      entry("aoti_torch_cuda_add_Tensor", &Operators::add, kOfArithmetic),
      entry("aoti_torch_cuda_add_Scalar", &Operators::add_scalar, kOfArithmetic),
      entry("aoti_torch_aten_subtract_Tensor", &Operators::subtract, kOfArithmetic),
      entry("aoti_torch_cuda_mul_Tensor", &Operators::multiply, kOfArithmetic),
      entry("aoti_torch_cuda_mul_Scalar", &Operators::multiply_scalar, kOfArithmetic),
      entry("aoti_torch_cuda_abs", &Operators::absolute, kOfArithmetic),
      entry("aoti_torch_cuda_angle", &Operators::angle, kOfArithmetic),
      entry("aoti_torch_cuda_polar", &Operators::polar, kOfArithmetic),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
