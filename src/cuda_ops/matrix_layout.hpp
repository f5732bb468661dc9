#pragma once

#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <optional>

namespace penstock::cuda_ops {

/// Matrices of equal sizes and strides, one after the other. Strides in elements.
struct MatrixBatch {
  std::byte* data = nullptr;
  std::int64_t batch = 1;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t batch_stride = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
};

/// The last two dimensions of a tensor of two or three. Errors: InvalidArgument names the operator and sizes.
MatrixBatch matrix_batch(const char* op, const tensor::TensorObject& tensor);

/// How BLAS finds the elements of a matrix: with rows or columns that are contiguous.
struct BlasLayout {
  enum class Contiguous { Columns, Rows };
  Contiguous contiguous = Contiguous::Rows;
  std::int64_t leading = 1;  ///< From one row or column to the next, at least what it has.
  friend bool operator==(const BlasLayout&, const BlasLayout&) = default;
};

/// Nothing where neither rows nor columns are contiguous, or they overlap. Rows are preferred where both are.
std::optional<BlasLayout> blas_layout(const MatrixBatch& matrix) noexcept;

/// The same matrices seen as `wanted`; nothing where they cannot be.
std::optional<BlasLayout> blas_layout(const MatrixBatch& matrix, BlasLayout::Contiguous wanted) noexcept;

/// The largest power of two up to 256 that divides the address and, where there are several matrices, the
/// bytes from one to the next.
std::uint32_t alignment_of(const MatrixBatch& matrix, std::size_t element_bytes) noexcept;

}  // namespace penstock::cuda_ops
