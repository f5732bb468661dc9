#include "cpu/linear_algebra.hpp"

#include "base/fail.hpp"
#include "cpu/matrix_product.hpp"
#include "tensor/layout.hpp"

#include <string_view>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// A tensor of an operator, with its name there.
struct NamedTensor {
  std::string_view name;
  const TensorObject& tensor;
};

[[noreturn]] void refuse_sizes(std::string_view name, const TensorObject& out, const TensorObject& left,
                               const TensorObject& right) {
  base::fail(ErrorCode::InvalidArgument, "{}: {} @ {} does not give {}", name,
             tensor::sizes_text(left.sizes()), tensor::sizes_text(right.sizes()),
             tensor::sizes_text(out.sizes()));
}

void check_operand(std::string_view name, const TensorObject& out, NamedTensor operand) {
  const TensorObject& tensor = operand.tensor;
  if (tensor.storage == nullptr) {
    base::fail(ErrorCode::InvalidArgument, "{}: {} is undefined", name, operand.name);
  }
  if (tensor.storage->device.type != DeviceType::Cpu) {
    base::fail(ErrorCode::InvalidArgument, "{}: {} is on {}, not in host memory", name, operand.name,
               to_string(tensor.storage->device));
  }
  if (tensor.dtype != out.dtype) {
    base::fail(ErrorCode::InvalidArgument, "{}: {} is {} where out is {}", name, operand.name,
               dtype_name(tensor.dtype), dtype_name(out.dtype));
  }
}

/// The last two dimensions as matrices, one before them as their batch.
MatrixBatch matrices_of(const TensorObject& tensor) {
  const auto stride = [&tensor](std::int32_t from_end) {
    return tensor.rank >= from_end ? tensor.stride[static_cast<std::size_t>(tensor.rank - from_end)] : 0;
  };
  return {tensor.data, stride(3), stride(2), stride(1), tensor.storage->constant ? tensor.storage : nullptr};
}

/// `self` as it is broadcast to the sizes of `out`. Errors: InvalidArgument where it cannot be.
MatrixBatch broadcast_self(std::string_view name, const TensorObject& out, const TensorObject& self) {
  check_operand(name, out, {"self", self});
  MatrixBatch matrices;
  matrices.data = self.data;
  std::int64_t* const strides[] = {&matrices.column_stride, &matrices.row_stride, &matrices.batch_stride};
  bool fits = self.rank <= out.rank;
  for (std::int32_t i = 0; fits && i < self.rank; ++i) {
    const std::int64_t size = self.size[static_cast<std::size_t>(self.rank - 1 - i)];
    if (size == 1) continue;
    fits = size == out.size[static_cast<std::size_t>(out.rank - 1 - i)];
    *strides[i] = self.stride[static_cast<std::size_t>(self.rank - 1 - i)];
  }
  if (!fits) {
    base::fail(ErrorCode::InvalidArgument, "{}: self of sizes {} cannot be broadcast to {}", name,
               tensor::sizes_text(self.sizes()), tensor::sizes_text(out.sizes()));
  }
  return matrices;
}

/// Operands of one product; `self` is null where there is no addend.
struct Operands {
  std::string_view name;
  std::int32_t rank;
  TensorObject& out;
  const TensorObject* self;
  NamedTensor left;
  NamedTensor right;
};

void multiply(OpContext& context, const Operands& operands, Factors factors) {
  TensorObject& out = operands.out;
  const TensorObject& left = operands.left.tensor;
  const TensorObject& right = operands.right.tensor;
  check_operand(operands.name, out, {"out", out});
  check_operand(operands.name, out, operands.left);
  check_operand(operands.name, out, operands.right);
  const std::int32_t rank = operands.rank;
  if (out.rank != rank || left.rank != rank || right.rank != rank) {
    refuse_sizes(operands.name, out, left, right);
  }
  const auto row = static_cast<std::size_t>(rank - 2);
  const std::size_t column = row + 1;
  const bool same_batch = rank == 2 || (left.size[0] == right.size[0] && left.size[0] == out.size[0]);
  if (!same_batch || left.size[column] != right.size[row] || left.size[row] != out.size[row] ||
      right.size[column] != out.size[column]) {
    refuse_sizes(operands.name, out, left, right);
  }
  MatrixProduct product;
  product.name = operands.name;
  product.dtype = out.dtype;
  product.batch = rank == 2 ? 1 : out.size[0];
  product.rows = left.size[row];
  product.depth = left.size[column];
  product.columns = right.size[column];
  product.left = matrices_of(left);
  product.right = matrices_of(right);
  product.out = matrices_of(out);
  product.alpha = factors.alpha;
  product.beta = factors.beta;
  if (operands.self != nullptr && factors.beta != 0) {
    product.self = broadcast_self(operands.name, out, *operands.self);
  }
  multiply_matrices(context, product);
}

}  // namespace

void addmm(OpContext& context, TensorObject& out, const TensorObject& self, const TensorObject& mat1,
           const TensorObject& mat2, Factors factors) {
  multiply(context, {"addmm", 2, out, &self, {"mat1", mat1}, {"mat2", mat2}}, factors);
}

void mm(OpContext& context, TensorObject& out, const TensorObject& mat1, const TensorObject& mat2) {
  multiply(context, {"mm", 2, out, nullptr, {"mat1", mat1}, {"mat2", mat2}}, {0, 1});
}

void bmm(OpContext& context, TensorObject& out, const TensorObject& batch1, const TensorObject& batch2) {
  multiply(context, {"bmm", 3, out, nullptr, {"batch1", batch1}, {"batch2", batch2}}, {0, 1});
}

void baddbmm(OpContext& context, TensorObject& out, const TensorObject& self, const TensorObject& batch1,
             const TensorObject& batch2, Factors factors) {
  multiply(context, {"baddbmm", 3, out, &self, {"batch1", batch1}, {"batch2", batch2}}, factors);
}

}  // namespace penstock::cpu
