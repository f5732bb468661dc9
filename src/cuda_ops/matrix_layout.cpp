#include "cuda_ops/matrix_layout.hpp"

#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cuda_ops {

using Contiguous = BlasLayout::Contiguous;

MatrixBatch matrix_batch(const char* op, const tensor::TensorObject& tensor) {
  if (tensor.rank != 2 && tensor.rank != 3) {
    base::fail(ErrorCode::InvalidArgument, "{}: a tensor of sizes {} where matrices are needed", op,
               tensor::sizes_text(tensor.sizes()));
  }
  const auto last = static_cast<std::size_t>(tensor.rank - 1);
  MatrixBatch matrices{.data = tensor.data,
                       .rows = tensor.size[last - 1],
                       .columns = tensor.size[last],
                       .row_stride = tensor.stride[last - 1],
                       .column_stride = tensor.stride[last]};
  if (tensor.rank == 3) {
    matrices.batch = tensor.size[0];
    matrices.batch_stride = tensor.size[0] == 1 ? 0 : tensor.stride[0];
  }
  return matrices;
}

std::optional<BlasLayout> blas_layout(const MatrixBatch& matrix, Contiguous wanted) noexcept {
  const bool by_rows = wanted == Contiguous::Rows;
  const std::int64_t length = by_rows ? matrix.columns : matrix.rows;
  const std::int64_t count = by_rows ? matrix.rows : matrix.columns;
  const std::int64_t step = by_rows ? matrix.column_stride : matrix.row_stride;
  const std::int64_t leading = by_rows ? matrix.row_stride : matrix.column_stride;
  if (length > 1 && step != 1) return std::nullopt;
  const std::int64_t least = std::max<std::int64_t>(length, 1);
  if (count <= 1) return BlasLayout{wanted, least};
  if (leading < least) return std::nullopt;
  return BlasLayout{wanted, leading};
}

std::optional<BlasLayout> blas_layout(const MatrixBatch& matrix) noexcept {
  // A column is as well a matrix with rows of one element, but what follows it in memory is its next element.
  const bool is_column = matrix.columns <= 1 && matrix.rows > 1 && matrix.row_stride == 1;
  const Contiguous first = is_column ? Contiguous::Columns : Contiguous::Rows;
  const Contiguous second = is_column ? Contiguous::Rows : Contiguous::Columns;
  const auto found = blas_layout(matrix, first);
  return found ? found : blas_layout(matrix, second);
}

std::uint32_t alignment_of(const MatrixBatch& matrix, std::size_t element_bytes) noexcept {
  auto bits = reinterpret_cast<std::uintptr_t>(matrix.data) | 256U;
  if (matrix.batch > 1) {
    bits |= static_cast<std::uintptr_t>(matrix.batch_stride) * static_cast<std::uintptr_t>(element_bytes);
  }
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

}  // namespace penstock::cuda_ops
