#include "cpu/matrix_product.hpp"

#include "base/fail.hpp"
#include "cpu/gemm_kernels.hpp"
#include "cpu/op_state_impl.hpp"
#include "tensor/address.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::cpu {
namespace {

using Dims = std::array<std::int64_t, 3>;

// Products of fewer multiply-adds stay with Eigen: a small model then never loads oneDNN. 16-bit ones
// pay for a conversion there, so that they gain sooner. The numbers behind these are in
// docs/design/0005-linear-algebra.md.
constexpr double kOnednnFrom = 1 << 20;
constexpr double kOnednnFromNarrow = 1 << 16;
/// Vectors, whose products wait for memory, gain from oneDNN only through its threads.
constexpr double kOnednnFromVector = 1 << 22;
constexpr int kThreadsForVector = 4;

bool is_narrow(DType dtype) { return dtype == DType::BFloat16 || dtype == DType::Float16; }

bool is_multiplied(DType dtype) {
  switch (dtype) {
    case DType::Float32:
    case DType::Float64:
    case DType::BFloat16:
    case DType::Float16:
    case DType::UInt8:
    case DType::Int8:
    case DType::Int16:
    case DType::Int32:
    case DType::Int64: return true;
    default: return false;
  }
}

Dims strides_of(const MatrixBatch& matrices) {
  return {matrices.batch_stride, matrices.row_stride, matrices.column_stride};
}

void copy_matrices(const MatrixBatch& to, const MatrixBatch& from, const Dims& sizes, std::size_t element) {
  const Dims to_strides = strides_of(to);
  const Dims from_strides = strides_of(from);
  tensor::copy_strided(to.data, to_strides, from.data, from_strides, sizes, element);
}

/// True where two batches may share a byte.
bool overlap(const MatrixBatch& a, const Dims& a_sizes, const MatrixBatch& b, const Dims& b_sizes,
             std::size_t element) {
  const auto end = [element](const MatrixBatch& matrices, const Dims& sizes) {
    const Dims strides = strides_of(matrices);
    std::int64_t last = 0;
    for (std::size_t i = 0; i < sizes.size(); ++i) last += (sizes[i] - 1) * strides[i];
    return matrices.data + (static_cast<std::size_t>(last) + 1) * element;
  };
  const auto is_empty = [](const Dims& sizes) { return std::ranges::find(sizes, 0) != sizes.end(); };
  if (is_empty(a_sizes) || is_empty(b_sizes)) return false;
  return a.data < end(b, b_sizes) && b.data < end(a, a_sizes);
}

/// True where a matrix of `outer` lines of `inner` elements, one every `stride`, and the matrices of its
/// batch lie apart in a way that every library can describe.
bool lies_apart(std::int64_t batch, std::int64_t batch_stride, std::int64_t outer, std::int64_t stride,
                std::int64_t inner) {
  if (outer > 1 && stride < inner) return false;
  if (batch == 1 || batch_stride == 0) return true;
  if (batch_stride >= outer * stride) return true;
  return batch_stride >= inner && stride >= batch * batch_stride;
}

/// `matrices` as they lie, where rows or columns are without gaps; nothing else.
bool describe_dense(const MatrixBatch& matrices, std::int64_t batch, std::int64_t rows, std::int64_t columns,
                    DenseBatch& dense) {
  dense.data = matrices.data;
  dense.constant = matrices.constant;
  dense.batch_stride = batch == 1 ? 0 : matrices.batch_stride;
  if (matrices.column_stride == 1 || columns == 1) {
    dense.transposed = false;
    dense.stride = rows == 1 ? columns : matrices.row_stride;
    if (lies_apart(batch, dense.batch_stride, rows, dense.stride, columns)) return true;
  }
  if (matrices.row_stride == 1 || rows == 1) {
    dense.transposed = true;
    dense.stride = columns == 1 ? rows : matrices.column_stride;
    if (lies_apart(batch, dense.batch_stride, columns, dense.stride, rows)) return true;
  }
  return false;
}

MatrixBatch contiguous_batch(std::byte* data, std::int64_t rows, std::int64_t columns) {
  return {data, rows * columns, columns, 1, nullptr};
}

/// `matrices` without gaps: as they lie where possible, else a copy in scratch memory.
DenseBatch make_dense(Scratch& scratch, ScratchUse use, const MatrixBatch& matrices, Dims sizes,
                      std::size_t element) {
  DenseBatch dense;
  if (describe_dense(matrices, sizes[0], sizes[1], sizes[2], dense)) return dense;
  if (matrices.batch_stride == 0) sizes[0] = 1;
  const auto count = static_cast<std::size_t>(sizes[0] * sizes[1] * sizes[2]);
  const MatrixBatch copy = contiguous_batch(scratch.get(use, count * element), sizes[1], sizes[2]);
  copy_matrices(copy, matrices, sizes, element);
  return {copy.data, sizes[0] == 1 ? 0 : copy.batch_stride, copy.row_stride, false, nullptr};
}

/// The same product of the transposed matrices, so that a column-major `out` becomes row-major.
void transpose(MatrixProduct& product) {
  std::swap(product.left, product.right);
  std::swap(product.rows, product.columns);
  for (MatrixBatch* matrices : {&product.left, &product.right, &product.out, &product.self}) {
    std::swap(matrices->row_stride, matrices->column_stride);
  }
}

/// 16-bit matrices as float32 in scratch memory, row for row.
DenseBatch widen(Scratch& scratch, ScratchUse use, const DenseBatch& narrow, Dims sizes, DType dtype) {
  const auto convert =
      dtype == DType::BFloat16 ? gemm_kernels().widen_bfloat16 : gemm_kernels().widen_float16;
  if (narrow.transposed) std::swap(sizes[1], sizes[2]);
  const std::int64_t batch = narrow.batch_stride == 0 ? 1 : sizes[0];
  const auto count = static_cast<std::size_t>(batch * sizes[1] * sizes[2]);
  std::byte* const wide = scratch.get(use, count * sizeof(float));
  auto* to = reinterpret_cast<float*>(wide);
  for (std::int64_t i = 0; i < batch; ++i) {
    for (std::int64_t row = 0; row < sizes[1]; ++row, to += sizes[2]) {
      convert(tensor::address_at(narrow.data, (i * narrow.batch_stride + row * narrow.stride) * 2), to,
              sizes[2]);
    }
  }
  return {wide, batch == 1 ? 0 : sizes[1] * sizes[2], sizes[2], narrow.transposed, nullptr};
}

void multiply_dense(OpContext& context, const DenseProduct& product);

/// Through float32, rounded once: for small products, and where oneDNN has none of that dtype.
void multiply_widened(OpContext& context, DenseProduct product) {
  Scratch& scratch = context.state.impl().scratch;
  const DType dtype = product.dtype;
  const DenseBatch out = product.out;
  const Dims out_sizes{product.batch, product.rows, product.columns};
  product.dtype = DType::Float32;
  product.left =
      widen(scratch, ScratchUse::WideLeft, product.left, {product.batch, product.rows, product.depth}, dtype);
  product.right = widen(scratch, ScratchUse::WideRight, product.right,
                        {product.batch, product.depth, product.columns}, dtype);
  const auto count = static_cast<std::size_t>(product.batch * product.rows * product.columns);
  if (product.beta != 0) {
    product.out = widen(scratch, ScratchUse::WideResult, out, out_sizes, dtype);
  } else {
    product.out = {scratch.get(ScratchUse::WideResult, count * sizeof(float)),
                   product.batch == 1 ? 0 : product.rows * product.columns, product.columns, false, nullptr};
  }
  multiply_dense(context, product);
  const auto convert =
      dtype == DType::BFloat16 ? gemm_kernels().narrow_bfloat16 : gemm_kernels().narrow_float16;
  const auto* from = reinterpret_cast<const float*>(product.out.data);
  for (std::int64_t i = 0; i < product.batch; ++i) {
    for (std::int64_t row = 0; row < product.rows; ++row, from += product.columns) {
      convert(from, tensor::address_at(out.data, (i * out.batch_stride + row * out.stride) * 2),
              product.columns);
    }
  }
}

/// Whether oneDNN is worth loading for a product, if it is there.
bool is_for_onednn(const DenseProduct& product, int threads) {
  const double work = product.multiply_adds();
  if (is_narrow(product.dtype)) return work >= kOnednnFromNarrow;
  if (product.dtype != DType::Float32) return false;
  if (product.rows == 1 || product.columns == 1) {
    return threads >= kThreadsForVector && work >= kOnednnFromVector;
  }
  return work >= kOnednnFrom;
}

void multiply_dense(OpContext& context, const DenseProduct& product) {
  if (is_for_onednn(product, context.threads) && multiply_with_onednn(context, product)) return;
  if (is_narrow(product.dtype)) {
    multiply_widened(context, product);
  } else {
    multiply_with_eigen(product);
  }
}

/// True where `self` is one row for all rows of all matrices, which oneDNN adds by itself.
bool is_bias(const MatrixProduct& product) {
  return product.alpha == 1 && product.beta == 1 && product.self.batch_stride == 0 &&
         product.self.row_stride == 0 && (product.self.column_stride == 1 || product.columns == 1);
}

/// Where the product is written: `out` as it lies, or scratch memory where it has gaps that libraries
/// cannot describe, or shares bytes with what is read. True in the first case.
bool place_result(Scratch& scratch, MatrixProduct& product, bool is_in_place, DenseBatch& out) {
  const std::size_t element = element_bytes(product.dtype);
  const Dims sizes{product.batch, product.rows, product.columns};
  if (describe_dense(product.out, product.batch, product.rows, product.columns, out) &&
      !overlap(product.out, sizes, product.left, {product.batch, product.rows, product.depth}, element) &&
      !overlap(product.out, sizes, product.right, {product.batch, product.depth, product.columns}, element) &&
      (product.beta == 0 || is_in_place || !overlap(product.out, sizes, product.self, sizes, element))) {
    return true;
  }
  const auto count = static_cast<std::size_t>(product.batch * product.rows * product.columns);
  product.out =
      contiguous_batch(scratch.get(ScratchUse::Result, count * element), product.rows, product.columns);
  describe_dense(product.out, product.batch, product.rows, product.columns, out);
  return false;
}

}  // namespace

void multiply_matrices(OpContext& context, MatrixProduct product) {
  if (!is_multiplied(product.dtype)) {
    base::fail(ErrorCode::Unsupported, "{} of {} tensors", product.name, dtype_name(product.dtype));
  }
  if (product.batch == 0 || product.rows == 0 || product.columns == 0) return;
  const std::size_t element = element_bytes(product.dtype);
  Scratch& scratch = context.state.impl().scratch;
  const MatrixBatch target = product.out;
  const Dims target_sizes{product.batch, product.rows, product.columns};
  const bool is_self =
      product.beta != 0 && product.self.data == target.data && strides_of(product.self) == strides_of(target);

  DenseBatch out;
  const bool fits = place_result(scratch, product, is_self, out);
  if (out.transposed) {
    transpose(product);
    out.transposed = false;
  }
  const std::int64_t batch = product.batch;
  DenseProduct dense{
      product.name,
      product.dtype,
      batch,
      product.rows,
      product.columns,
      product.depth,
      make_dense(scratch, ScratchUse::Left, product.left, {batch, product.rows, product.depth}, element),
      make_dense(scratch, ScratchUse::Right, product.right, {batch, product.depth, product.columns}, element),
      out,
      nullptr,
      product.alpha,
      product.beta};
  const bool needs_self = product.beta != 0 && !(fits && is_self);
  if (needs_self && is_bias(product) && is_for_onednn(dense, context.threads)) {
    dense.bias = product.self.data;
    dense.beta = 0;
  }
  if (dense.bias == nullptr || !multiply_with_onednn(context, dense)) {
    dense.bias = nullptr;
    dense.beta = product.beta;
    if (needs_self) {
      copy_matrices(product.out, product.self, {batch, product.rows, product.columns}, element);
    }
    multiply_dense(context, dense);
  }
  if (!fits) copy_matrices(target, product.out, target_sizes, element);
}

}  // namespace penstock::cpu
