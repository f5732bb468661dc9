#pragma once

#include "cuda_ops/cublaslt_abi.hpp"
#include "cuda_ops/matrix_layout.hpp"
#include "cuda_ops/plan_cache.hpp"
#include "shim/cuda_call.hpp"

#include <memory>

namespace penstock::cuda_ops {

class LaneState;

/// d = alpha * (a @ b) + beta * c + bias, for each matrix of a batch. All have a BLAS layout; a batch stride
/// of zero in a, b or c uses one matrix for all.
struct Product {
  DType dtype = DType::Float32;         ///< Of a and b.
  DType result_dtype = DType::Float32;  ///< Of c, d and bias: `dtype`, or float32 for 16-bit ones.
  MatrixBatch a;
  MatrixBatch b;
  MatrixBatch c;  ///< Not read with a beta of 0. May be d itself; else d does not overlap it.
  MatrixBatch d;
  const void* bias = nullptr;  ///< One element a column of d, contiguous, added to all rows; for d with rows.
  double alpha = 1;
  double beta = 0;
};

/// The numbers that decide which algorithm is the right one.
using ProductKey = PlanKey<26>;
ProductKey product_key(const shim::CudaCall& call, const Product& product);

/// Descriptors and algorithm of a product, without its addresses.
class ProductPlan {
 public:
  ProductPlan(const shim::CudaCall& call, LaneState& lane, const Product& product);
  ~ProductPlan();
  ProductPlan(const ProductPlan&) = delete;
  ProductPlan& operator=(const ProductPlan&) = delete;

  /// False where cuBLASLt has no algorithm.
  [[nodiscard]] bool usable() const noexcept { return usable_; }
  void run(const shim::CudaCall& call, cublaslt::Handle handle, const Product& product) const;

 private:
  void describe(const shim::CudaCall& call, LaneState& lane, const Product& product);
  void choose(const shim::CudaCall& call, cublaslt::Handle handle, const Product& product);
  void release() noexcept;

  cublaslt::MatmulDesc desc_ = nullptr;
  cublaslt::MatrixLayout a_ = nullptr;
  cublaslt::MatrixLayout b_ = nullptr;
  cublaslt::MatrixLayout c_ = nullptr;
  cublaslt::MatrixLayout d_ = nullptr;
  cublaslt::Algorithm algorithm_{};
  std::size_t workspace_bytes_ = 0;
  bool swapped_ = false;  ///< d is row-major: cuBLASLt is asked for its transpose.
  bool usable_ = false;
};
using ProductPlans = PlanCache<std::tuple_size_v<ProductKey>, ProductPlan>;

/// True where a GPU has products of this dtype.
bool has_products(DType dtype) noexcept;

/// Puts the product on the call's stream, with the plan kept for its shape. False, with nothing done, where
/// cuBLASLt has no algorithm for it. Stream-ordered.
/// Errors: NotFound where there is no cuBLASLt; Cuda names the function and the shape; OutOfMemory.
bool try_product(const shim::CudaCall& call, const Product& product);

/// The same; Unsupported where there is no algorithm.
void run_product(const shim::CudaCall& call, const Product& product);

}  // namespace penstock::cuda_ops
