#pragma once

#include "cpu/op_state.hpp"
#include "tensor/storage.hpp"

#include <penstock/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace penstock::cpu {

/// A batch of matrices in memory; strides in elements, of any kind.
struct MatrixBatch {
  std::byte* data = nullptr;
  std::int64_t batch_stride = 0;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 0;
  tensor::Storage* constant = nullptr;  ///< The storage of a weight; null where bytes may change.
};

/// out[i] = beta * self[i] + alpha * (left[i] @ right[i]).
struct MatrixProduct {
  std::string_view name;  ///< Of the operator, for messages.
  DType dtype = DType::Float32;
  std::int64_t batch = 1;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  MatrixBatch left;
  MatrixBatch right;
  MatrixBatch out;
  MatrixBatch self;  ///< Strides of 0 where it is broadcast; null data where beta is 0.
  double alpha = 1;
  double beta = 0;
};

/// Errors: Unsupported for a dtype that PyTorch has no product for, or that needs what is not there.
void multiply_matrices(OpContext& context, MatrixProduct product);

/// A batch of matrices whose rows, or where `transposed` columns, lie without gaps.
struct DenseBatch {
  std::byte* data = nullptr;
  std::int64_t batch_stride = 0;  ///< 0 where all are the same.
  std::int64_t stride = 0;
  bool transposed = false;
  tensor::Storage* constant = nullptr;
};

/// As MatrixProduct, with a row-major `out` that already holds `self` where beta is not 0.
struct DenseProduct {
  std::string_view name;
  DType dtype = DType::Float32;
  std::int64_t batch = 1;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t depth = 0;
  DenseBatch left;
  DenseBatch right;
  DenseBatch out;
  const std::byte* bias = nullptr;  ///< [columns], instead of `self`: beta is 0 then.
  double alpha = 1;
  double beta = 0;

  /// As a double, since the product of the sizes may overflow.
  [[nodiscard]] double multiply_adds() const noexcept {
    return static_cast<double>(batch) * static_cast<double>(rows) * static_cast<double>(columns) *
           static_cast<double>(depth);
  }
};

/// Through oneDNN. False where it is not installed or has no such product for this machine.
/// Errors: OutOfMemory, Internal.
bool multiply_with_onednn(OpContext& context, const DenseProduct& product);

/// Through Eigen, on the calling thread. Float32, float64 and integers. Errors: OutOfMemory.
void multiply_with_eigen(const DenseProduct& product);

}  // namespace penstock::cpu
