#include "base/fail.hpp"
#include "cpu/elementwise.hpp"
#include "cpu/promotion.hpp"

#include <algorithm>

namespace penstock::cpu {

using tensor::TensorObject;

DType result_type(const TensorObject& a, const TensorObject& b) {
  const bool a_counts = a.rank > 0 || b.rank == 0;
  const bool b_counts = b.rank > 0 || a.rank == 0;
  if (a_counts && b_counts) return promote(a.dtype, b.dtype);
  const DType tensor = a_counts ? a.dtype : b.dtype;
  const DType scalar = a_counts ? b.dtype : a.dtype;
  if (tensor == scalar) return tensor;
  const NumberKind kind = kind_of(tensor);
  if (kind == NumberKind::Floating && kind_of(scalar) == NumberKind::Complex) {
    if (tensor == DType::Float32) return DType::Complex64;
    if (tensor == DType::Float64) return DType::Complex128;
    base::fail(ErrorCode::Unsupported, "complex numbers of {} parts", dtype_name(tensor));
  }
  return kind != NumberKind::Bool && kind >= kind_of(scalar) ? tensor : promote(tensor, scalar);
}

DType result_type_with_number(const TensorObject& a) {
  if (element_bytes(a.dtype) != 0 && kind_of(a.dtype) >= NumberKind::Floating) return a.dtype;
  return DType::Float32;
}

ResultLayout elementwise_layout(const TensorObject& a, const TensorObject& b) {
  ResultLayout layout;
  layout.sizes = broadcast_sizes(a.sizes(), b.sizes());
  const bool are_alike =
      std::ranges::equal(a.sizes(), b.sizes()) && std::ranges::equal(a.strides(), b.strides());
  if (are_alike) return like_layout(a);
  layout.strides = elementwise_strides(
      layout.sizes, {broadcast_strides(a, layout.sizes), broadcast_strides(b, layout.sizes)});
  return layout;
}

DType real_dtype(DType dtype) {
  if (dtype == DType::Complex64) return DType::Float32;
  return dtype == DType::Complex128 ? DType::Float64 : dtype;
}

}  // namespace penstock::cpu
