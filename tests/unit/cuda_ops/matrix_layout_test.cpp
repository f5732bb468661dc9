#include "cuda_ops/matrix_layout.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

namespace penstock::cuda_ops {
namespace {

using Contiguous = BlasLayout::Contiguous;

MatrixBatch matrix(std::int64_t rows, std::int64_t columns, std::int64_t row_stride,
                   std::int64_t column_stride) {
  return {.data = nullptr,
          .batch = 1,
          .rows = rows,
          .columns = columns,
          .batch_stride = 0,
          .row_stride = row_stride,
          .column_stride = column_stride};
}

TEST(BlasLayout, SeesRowsAndColumns) {
  EXPECT_EQ(blas_layout(matrix(3, 4, 4, 1)), (BlasLayout{Contiguous::Rows, 4}));
  EXPECT_EQ(blas_layout(matrix(3, 4, 9, 1)), (BlasLayout{Contiguous::Rows, 9}));
  EXPECT_EQ(blas_layout(matrix(3, 4, 1, 3)), (BlasLayout{Contiguous::Columns, 3}));
  EXPECT_EQ(blas_layout(matrix(3, 4, 1, 8)), (BlasLayout{Contiguous::Columns, 8}));
}

TEST(BlasLayout, RefusesGapsAndOverlaps) {
  EXPECT_EQ(blas_layout(matrix(3, 4, 8, 2)), std::nullopt);
  EXPECT_EQ(blas_layout(matrix(3, 4, 0, 1)), std::nullopt);
  EXPECT_EQ(blas_layout(matrix(3, 4, 3, 1)), std::nullopt);
  EXPECT_EQ(blas_layout(matrix(3, 4, 0, 0)), std::nullopt);
}

TEST(BlasLayout, TakesWhatStridesOfOneElementSayForNothing) {
  EXPECT_EQ(blas_layout(matrix(1, 4, 77, 1)), (BlasLayout{Contiguous::Rows, 4}));
  EXPECT_EQ(blas_layout(matrix(1, 4, 0, 5)), (BlasLayout{Contiguous::Columns, 5}));
  EXPECT_EQ(blas_layout(matrix(4, 1, 1, 77)), (BlasLayout{Contiguous::Columns, 4}));
  EXPECT_EQ(blas_layout(matrix(4, 1, 6, 0)), (BlasLayout{Contiguous::Rows, 6}));
  EXPECT_EQ(blas_layout(matrix(1, 1, 0, 0)), (BlasLayout{Contiguous::Rows, 1}));
}

TEST(BlasLayout, IsAskedForOneOfBoth) {
  EXPECT_EQ(blas_layout(matrix(4, 1, 1, 1), Contiguous::Rows), (BlasLayout{Contiguous::Rows, 1}));
  EXPECT_EQ(blas_layout(matrix(4, 2, 2, 1), Contiguous::Columns), std::nullopt);
}

TEST(MatrixAlignment, IsOfTheAddressAndOfTheWayToTheNextMatrix) {
  MatrixBatch one = matrix(2, 2, 2, 1);
  one.data = reinterpret_cast<std::byte*>(std::uintptr_t{0x1000});
  EXPECT_EQ(alignment_of(one, 4), 256U);
  one.data = reinterpret_cast<std::byte*>(std::uintptr_t{0x1010});
  EXPECT_EQ(alignment_of(one, 4), 16U);
  one.batch = 3;
  one.batch_stride = 2;
  EXPECT_EQ(alignment_of(one, 4), 8U);
}

TEST(MatrixBatch, TakesMatricesAndBatchesOnly) {
  const std::vector<std::int64_t> sizes{2, 3, 4};
  const std::vector<std::int64_t> strides{12, 4, 1};
  tensor::TensorObject tensor;
  tensor.rank = 3;
  std::copy(sizes.begin(), sizes.end(), tensor.size.begin());
  std::copy(strides.begin(), strides.end(), tensor.stride.begin());
  const MatrixBatch batch = matrix_batch("bmm", tensor);
  EXPECT_EQ(batch.batch, 2);
  EXPECT_EQ(batch.rows, 3);
  EXPECT_EQ(batch.columns, 4);
  EXPECT_EQ(batch.batch_stride, 12);
  tensor.rank = 1;
  EXPECT_THROW(matrix_batch("bmm", tensor), Error);
}

}  // namespace
}  // namespace penstock::cuda_ops
