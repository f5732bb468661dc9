#include "cuda_ops/product.hpp"

#include "base/fail.hpp"
#include "cuda_ops/lane_plans.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/vendor_library.hpp"
#include "system/ranges.hpp"

#include <array>
#include <utility>

namespace penstock::cuda_ops {
namespace {

using Contiguous = BlasLayout::Contiguous;

// What PyTorch gives cuBLASLt on the GPUs of 2022 and later.
constexpr std::uint64_t kMostWorkspaceBytes = 32U << 20U;
constexpr std::size_t kWorkspaceAlignment = 256;

struct Types {
  cublaslt::DataType data;
  cublaslt::DataType scale;
  cublaslt::ComputeType compute;
};

Types types_of(DType dtype, const CudaNumerics& numerics) {
  switch (dtype) {
    case DType::Float64: return {cublaslt::kReal64, cublaslt::kReal64, cublaslt::kCompute64};
    case DType::Float16: return {cublaslt::kReal16, cublaslt::kReal32, cublaslt::kCompute32};
    case DType::BFloat16: return {cublaslt::kBrain16, cublaslt::kReal32, cublaslt::kCompute32};
    case DType::Complex64: return {cublaslt::kComplex32, cublaslt::kComplex32, cublaslt::kCompute32};
    case DType::Complex128: return {cublaslt::kComplex64, cublaslt::kComplex64, cublaslt::kCompute64};
    default:
      return {cublaslt::kReal32, cublaslt::kReal32,
              numerics.tf32_matmul ? cublaslt::kCompute32Tf32 : cublaslt::kCompute32};
  }
}

std::string text_of(const Product& product) {
  return fmt::format("{} of {} x {} and {} x {}{}", dtype_name(product.dtype), product.a.rows,
                     product.a.columns, product.b.rows, product.b.columns,
                     product.d.batch > 1 ? fmt::format(", {} times", product.d.batch) : "");
}

void check(cublaslt::Status status, const char* function, const Product& product) {
  if (status == cublaslt::kSuccess) return;
  base::fail(ErrorCode::Cuda, "cublasLt{}: {} ({}), in a product of {}", function,
             cublaslt_functions().GetStatusName(status), status, text_of(product));
}

/// cuBLASLt's matrices have contiguous columns: one with contiguous rows is the transpose of such a one.
struct Sides {
  const MatrixBatch* left;
  const MatrixBatch* right;
  cublaslt::Operation left_operation;
  cublaslt::Operation right_operation;
};

cublaslt::Operation operation(const MatrixBatch& matrix, bool transposed_result) {
  const bool by_rows = blas_layout(matrix)->contiguous == Contiguous::Rows;
  return by_rows == transposed_result ? cublaslt::kAsIs : cublaslt::kTransposed;
}

/// Of d, or of its transpose: (a @ b)^T = b^T @ a^T.
Sides sides_of(const Product& product, bool swapped) {
  const MatrixBatch* left = swapped ? &product.b : &product.a;
  const MatrixBatch* right = swapped ? &product.a : &product.b;
  return {left, right, operation(*left, swapped), operation(*right, swapped)};
}

BlasLayout result_layout(const MatrixBatch& matrix, bool swapped) {
  return blas_layout(matrix, swapped ? Contiguous::Rows : Contiguous::Columns).value();
}

bool is_swapped(const Product& product) { return blas_layout(product.d)->contiguous == Contiguous::Rows; }

cublaslt::MatrixLayout make_layout(const MatrixBatch& matrix, const BlasLayout& layout,
                                   cublaslt::DataType type, std::int64_t batch, const Product& product) {
  const cublaslt::Functions& lt = cublaslt_functions();
  const bool by_rows = layout.contiguous == Contiguous::Rows;
  const auto rows = static_cast<std::uint64_t>(by_rows ? matrix.columns : matrix.rows);
  const auto columns = static_cast<std::uint64_t>(by_rows ? matrix.rows : matrix.columns);
  cublaslt::MatrixLayout made = nullptr;
  check(lt.MatrixLayoutCreate(&made, type, rows, columns, layout.leading), "MatrixLayoutCreate", product);
  if (batch > 1) {
    const auto count = static_cast<std::int32_t>(batch);
    lt.MatrixLayoutSetAttribute(made, cublaslt::kBatchCount, &count, sizeof count);
    lt.MatrixLayoutSetAttribute(made, cublaslt::kStridedBatchOffset, &matrix.batch_stride,
                                sizeof matrix.batch_stride);
  }
  return made;
}

/// Alpha or beta in the type that cuBLASLt reads.
struct Factor {
  Factor(double value, cublaslt::DataType type) {
    if (type == cublaslt::kReal64 || type == cublaslt::kComplex64) {
      doubles[0] = value;
    } else {
      floats[0] = static_cast<float>(value);
    }
  }
  std::array<float, 2> floats{};
  std::array<double, 2> doubles{};
  [[nodiscard]] const void* data(cublaslt::DataType type) const {
    const bool wide = type == cublaslt::kReal64 || type == cublaslt::kComplex64;
    return wide ? static_cast<const void*>(doubles.data()) : floats.data();
  }
};

std::uint32_t pointer_alignment(const void* pointer) noexcept {
  return alignment_of({.data = static_cast<std::byte*>(const_cast<void*>(pointer))}, 1);
}

}  // namespace

bool has_products(DType dtype) noexcept {
  switch (dtype) {
    case DType::Float16:
    case DType::BFloat16:
    case DType::Float32:
    case DType::Float64:
    case DType::Complex64:
    case DType::Complex128: return true;
    default: return false;
  }
}

ProductKey product_key(const shim::CudaCall& call, const Product& product) {
  const std::size_t element = element_bytes(product.dtype);
  const std::size_t result_element = element_bytes(product.result_dtype);
  const MatrixBatch& c = product.beta == 0 ? product.d : product.c;
  const std::int64_t numerics =
      (call.numerics.tf32_matmul ? 1 : 0) | (call.numerics.reduced_precision_sums ? 2 : 0);
  const std::int64_t in_place = product.beta == 0 ? 0 : (c.data == product.d.data ? 1 : 2);
  return {static_cast<std::int64_t>(product.dtype),
          static_cast<std::int64_t>(product.result_dtype),
          numerics,
          call.sm_count,
          product.d.batch,
          product.d.rows,
          product.d.columns,
          product.a.columns,
          product.a.row_stride,
          product.a.column_stride,
          product.a.batch_stride,
          product.b.row_stride,
          product.b.column_stride,
          product.b.batch_stride,
          c.row_stride,
          c.column_stride,
          c.batch_stride,
          product.d.row_stride,
          product.d.column_stride,
          product.d.batch_stride,
          in_place,
          product.bias == nullptr ? 0 : pointer_alignment(product.bias),
          alignment_of(product.a, element),
          alignment_of(product.b, element),
          alignment_of(c, result_element),
          alignment_of(product.d, result_element)};
}

ProductPlan::ProductPlan(const shim::CudaCall& call, LaneState& lane, const Product& product)
    : swapped_(is_swapped(product)) {
  try {
    describe(call, lane, product);
    choose(call, lane.cublaslt(), product);
  } catch (...) {
    release();
    throw;
  }
}

ProductPlan::~ProductPlan() { release(); }

void ProductPlan::release() noexcept {
  const cublaslt::Functions& lt = cublaslt_functions();
  for (const cublaslt::MatrixLayout layout : {a_, b_, c_, d_}) {
    if (layout != nullptr) lt.MatrixLayoutDestroy(layout);
  }
  if (desc_ != nullptr) lt.MatmulDescDestroy(desc_);
}

void ProductPlan::describe(const shim::CudaCall& call, LaneState& lane, const Product& product) {
  const cublaslt::Functions& lt = cublaslt_functions();
  const Types types = types_of(product.dtype, call.numerics);
  const cublaslt::DataType result = types_of(product.result_dtype, call.numerics).data;
  check(lt.MatmulDescCreate(&desc_, types.compute, types.scale), "MatmulDescCreate", product);
  const auto set = [&](cublaslt::MatmulDescAttribute attribute, const auto& value) {
    check(lt.MatmulDescSetAttribute(desc_, attribute, &value, sizeof value), "MatmulDescSetAttribute",
          product);
  };
  const Sides sides = sides_of(product, swapped_);
  set(cublaslt::kTransposeA, sides.left_operation);
  set(cublaslt::kTransposeB, sides.right_operation);
  if (product.bias != nullptr) {
    set(cublaslt::kEpilogue, cublaslt::kEpilogueBias);
    set(cublaslt::kBiasPointer, product.bias);
  }
  if (call.sm_count != 0 && call.sm_count < lane.device_sm_count()) {
    set(cublaslt::kSmCountTarget, static_cast<std::int32_t>(call.sm_count));
  }
  const std::int64_t batch = product.d.batch;
  const MatrixBatch& c = product.beta == 0 ? product.d : product.c;
  a_ = make_layout(*sides.left, *blas_layout(*sides.left), types.data, batch, product);
  b_ = make_layout(*sides.right, *blas_layout(*sides.right), types.data, batch, product);
  c_ = make_layout(c, result_layout(c, swapped_), result, batch, product);
  d_ = make_layout(product.d, result_layout(product.d, swapped_), result, batch, product);
}

void ProductPlan::choose(const shim::CudaCall& call, cublaslt::Handle handle, const Product& product) {
  const cublaslt::Functions& lt = cublaslt_functions();
  cublaslt::Preference preference = nullptr;
  check(lt.MatmulPreferenceCreate(&preference), "MatmulPreferenceCreate", product);
  const auto set = [&](cublaslt::PreferenceAttribute attribute, const auto& value) {
    lt.MatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value);
  };
  const std::size_t element = element_bytes(product.dtype);
  const std::size_t result_element = element_bytes(product.result_dtype);
  const Sides sides = sides_of(product, swapped_);
  set(cublaslt::kMaxWorkspaceBytes, kMostWorkspaceBytes);
  set(cublaslt::kMinAlignmentA, alignment_of(*sides.left, element));
  set(cublaslt::kMinAlignmentB, alignment_of(*sides.right, element));
  set(cublaslt::kMinAlignmentC, alignment_of(product.beta == 0 ? product.d : product.c, result_element));
  set(cublaslt::kMinAlignmentD, alignment_of(product.d, result_element));
  if (!call.numerics.reduced_precision_sums) {
    set(cublaslt::kReductionSchemeMask, std::uint32_t{cublaslt::kReduceInComputeType});
  }
  cublaslt::HeuristicResult found{};
  int count = 0;
  const cublaslt::Status status =
      lt.MatmulAlgoGetHeuristic(handle, desc_, a_, b_, c_, d_, preference, 1, &found, &count);
  lt.MatmulPreferenceDestroy(preference);
  // A bias is tried: there is another way without it.
  if (status == cublaslt::kNotSupported || (status != cublaslt::kSuccess && product.bias != nullptr)) return;
  check(status, "MatmulAlgoGetHeuristic", product);
  usable_ = count > 0 && found.state == cublaslt::kSuccess;
  algorithm_ = found.algorithm;
  workspace_bytes_ = found.workspace_bytes;
}

void ProductPlan::run(const shim::CudaCall& call, cublaslt::Handle handle, const Product& product) const {
  const cublaslt::Functions& lt = cublaslt_functions();
  const cublaslt::DataType scale = types_of(product.dtype, call.numerics).scale;
  const Factor alpha(product.alpha, scale);
  const Factor beta(product.beta, scale);
  if (product.bias != nullptr) {
    check(lt.MatmulDescSetAttribute(desc_, cublaslt::kBiasPointer, &product.bias, sizeof product.bias),
          "MatmulDescSetAttribute", product);
  }
  Workspace workspace(call, workspace_bytes_, kWorkspaceAlignment);
  const MatrixBatch& c = product.beta == 0 ? product.d : product.c;
  const Sides sides = sides_of(product, swapped_);
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Library, "cublasLtMatmul", call.stream);
  }
  const system::Range range("cublasLtMatmul");
  scrub_in_capture(call);
  check(lt.Matmul(handle, desc_, alpha.data(scale), sides.left->data, a_, sides.right->data, b_,
                  beta.data(scale), c.data, c_, product.d.data, d_, &algorithm_, workspace.data(),
                  workspace_bytes_, call.stream),
        "Matmul", product);
}

bool try_product(const shim::CudaCall& call, const Product& product) {
  LaneState& lane = lane_of(call);
  const std::shared_ptr<ProductPlan>& plan = lane.plans().products.find_or_make(
      product_key(call, product), [&] { return std::make_unique<ProductPlan>(call, lane, product); });
  if (!plan->usable()) return false;
  if (call.used_by_graph != nullptr) call.used_by_graph->push_back(plan);
  plan->run(call, lane.cublaslt(), product);
  return true;
}

void run_product(const shim::CudaCall& call, const Product& product) {
  if (try_product(call, product)) return;
  base::fail(ErrorCode::Unsupported, "cuBLASLt has no algorithm for a product of {}", text_of(product));
}

}  // namespace penstock::cuda_ops
