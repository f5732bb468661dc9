#include "base/fail.hpp"
#include "cuda_ops/library.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/product.hpp"
#include "cuda_ops/views.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "system/ranges.hpp"
#include "tensor/layout.hpp"

#include <array>

using namespace penstock;

namespace {

using cuda_ops::BlasLayout;
using cuda_ops::MatrixBatch;
using tensor::TensorObject;
using tensor::TensorObjectPtr;

/// out = beta * self + alpha * (mat1 @ mat2); a product without an addend has no `self`.
struct Operands {
  const char* op;
  TensorObject& out;
  const TensorObject* self;
  const TensorObject& mat1;
  const TensorObject& mat2;
  double beta;
  double alpha;
};

void check(const Operands& operands, std::int32_t rank) {
  const auto& [op, out, self, mat1, mat2, beta, alpha] = operands;
  const auto last = static_cast<std::size_t>(rank - 1);
  const bool fits = mat1.rank == rank && mat2.rank == rank && out.rank == rank &&
                    mat1.size[last] == mat2.size[last - 1] && out.size[last - 1] == mat1.size[last - 1] &&
                    out.size[last] == mat2.size[last] &&
                    (rank == 2 || (mat1.size[0] == mat2.size[0] && out.size[0] == mat1.size[0]));
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "{}: sizes {} and {} do not give {}", op,
               tensor::sizes_text(mat1.sizes()), tensor::sizes_text(mat2.sizes()),
               tensor::sizes_text(out.sizes()));
  }
  if (mat1.dtype != out.dtype || mat2.dtype != out.dtype || (self != nullptr && self->dtype != out.dtype)) {
    base::fail(ErrorCode::InvalidArgument, "{}: {} and {} tensors for a result of {}", op,
               dtype_name(mat1.dtype), dtype_name(mat2.dtype), dtype_name(out.dtype));
  }
  if (!cuda_ops::has_products(out.dtype)) {
    base::fail(ErrorCode::Unsupported, "{}: PyTorch has no products of {} matrices on a GPU", op,
               dtype_name(out.dtype));
  }
}

/// A tensor whose matrices BLAS can read, which may be a copy that `held` keeps.
MatrixBatch readable(const shim::CudaCall& call, const char* op, const TensorObject& tensor,
                     TensorObjectPtr& held) {
  const MatrixBatch matrices = cuda_ops::matrix_batch(op, tensor);
  if (blas_layout(matrices)) return matrices;
  held = cuda_ops::copied(call, tensor);
  return cuda_ops::matrix_batch(op, *held);
}

/// A product over nothing is one over a zero.
MatrixBatch zeros(const shim::CudaCall& call, DType dtype, std::int64_t rows, std::int64_t columns,
                  TensorObjectPtr& held) {
  held = shim::make_cuda_result(dtype, std::array<std::int64_t, 2>{rows, columns});
  call.operators->zero(call, *held);
  return cuda_ops::matrix_batch("zeros", *held);
}

/// Row of an addend that is the same for all rows of all results, as the bias of a linear layer; null: none.
const void* shared_row(const TensorObject& self, const MatrixBatch& addend,
                       const cuda_ops::Product& product) {
  const bool same = addend.row_stride == 0 && addend.batch_stride == 0;
  const bool contiguous = addend.columns == 1 || addend.column_stride == 1;
  const bool by_rows = blas_layout(product.d)->contiguous == BlasLayout::Contiguous::Rows;
  const bool real = self.dtype != DType::Complex64 && self.dtype != DType::Complex128;
  return same && contiguous && by_rows && real ? self.data : nullptr;
}

/// With the addend as the bias of cuBLASLt's epilogue. False, with nothing done, where that cannot be.
bool multiply_with_bias(const shim::CudaCall& call, const Operands& operands, const TensorObject& result,
                        cuda_ops::Product product) {
  if (operands.self == nullptr || operands.beta != 1) return false;
  const TensorObjectPtr self = cuda_ops::expand(operands.op, *operands.self, result.sizes());
  product.bias = shared_row(*self, cuda_ops::matrix_batch(operands.op, *self), product);
  return product.bias != nullptr && try_product(call, product);
}

/// Puts the addend where cuBLASLt takes it from: where it is, or in the result.
void add_self(const shim::CudaCall& call, const Operands& operands, const TensorObject& result,
              cuda_ops::Product& product) {
  if (operands.self == nullptr || operands.beta == 0) return;
  const TensorObjectPtr self = cuda_ops::expand(operands.op, *operands.self, result.sizes());
  product.c = cuda_ops::matrix_batch(operands.op, *self);
  product.beta = operands.beta;
  const bool repeats = product.c.batch > 1 && product.c.batch_stride == 0;
  if (!repeats && blas_layout(product.c, blas_layout(product.d)->contiguous)) return;
  call.operators->copy(call, result, *self);
  product.c = product.d;
}

void multiply(const Operands& operands, std::int32_t rank) {
  const system::Range range(operands.op);
  const shim::CudaCall& call = shim::cuda_call();
  check(operands, rank);
  TensorObject& out = operands.out;
  if (out.numel == 0) return;
  TensorObjectPtr held1;
  TensorObjectPtr held2;
  TensorObjectPtr held_out;
  cuda_ops::Product product;
  product.dtype = product.result_dtype = out.dtype;
  product.alpha = operands.alpha;
  const MatrixBatch result = cuda_ops::matrix_batch(operands.op, out);
  if (operands.mat1.numel == 0) {
    product.a = zeros(call, out.dtype, result.rows, 1, held1);
    product.b = zeros(call, out.dtype, 1, result.columns, held2);
  } else {
    product.a = readable(call, operands.op, operands.mat1, held1);
    product.b = readable(call, operands.op, operands.mat2, held2);
  }
  if (!blas_layout(result)) held_out = shim::make_cuda_result(out.dtype, out.sizes());
  const TensorObject& target = held_out != nullptr ? *held_out : out;
  product.d = cuda_ops::matrix_batch(operands.op, target);
  if (!multiply_with_bias(call, operands, target, product)) {
    add_self(call, operands, target, product);
    run_product(call, product);
  }
  if (held_out != nullptr) call.operators->copy(call, out, target);
}

AOTITorchError addmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat1,
                         AtenTensorHandle mat2, double beta, double alpha) {
  return cuda_ops::guarded([&] { multiply({"addmm", *out, self, *mat1, *mat2, beta, alpha}, 2); });
}

AOTITorchError mm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat2) {
  return cuda_ops::guarded([&] { multiply({"mm", *out, nullptr, *self, *mat2, 0, 1}, 2); });
}

AOTITorchError bmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle mat2) {
  return cuda_ops::guarded([&] { multiply({"bmm", *out, nullptr, *self, *mat2, 0, 1}, 3); });
}

AOTITorchError baddbmm_out(AtenTensorHandle out, AtenTensorHandle self, AtenTensorHandle batch1,
                           AtenTensorHandle batch2, double beta, double alpha) {
  return cuda_ops::guarded([&] { multiply({"baddbmm", *out, self, *batch1, *batch2, beta, alpha}, 3); });
}

}  // namespace

namespace penstock::cuda_ops {

std::span<const Operator> linear_algebra_functions() {
  static constexpr Needs kOfProducts{.cublaslt = true};
  static const std::array kTable{
      entry("aoti_torch_cuda_addmm_out", &addmm_out, kOfProducts),
      entry("aoti_torch_cuda_mm_out", &mm_out, kOfProducts),
      entry("aoti_torch_cuda_bmm_out", &bmm_out, kOfProducts),
      entry("aoti_torch_cuda_baddbmm_out", &baddbmm_out, kOfProducts),
  };
  return kTable;
}

}  // namespace penstock::cuda_ops
