#include "cpu/promotion.hpp"

#include "base/fail.hpp"

namespace penstock::cpu {

NumberKind kind_of(DType dtype) {
  switch (dtype) {
    case DType::Bool: return NumberKind::Bool;
    case DType::UInt8:
    case DType::Int8:
    case DType::Int16:
    case DType::Int32:
    case DType::Int64: return NumberKind::Integer;
    case DType::Float16:
    case DType::BFloat16:
    case DType::Float32:
    case DType::Float64: return NumberKind::Floating;
    case DType::Complex64:
    case DType::Complex128: return NumberKind::Complex;
    default: base::fail(ErrorCode::Unsupported, "Promotion for {} is not supported", dtype_name(dtype));
  }
}

DType promote(DType a, DType b) {
  if (a == b) return a;
  const NumberKind kind = kind_of(a);
  const NumberKind other = kind_of(b);
  if (kind < other) return promote(b, a);
  if (kind == NumberKind::Complex) {
    return other == NumberKind::Complex || b == DType::Float64 ? DType::Complex128 : a;
  }
  if (kind > other) return a;
  if (element_bytes(a) != element_bytes(b)) return element_bytes(a) > element_bytes(b) ? a : b;
  // Two of a size: neither holds the other.
  return kind == NumberKind::Floating ? DType::Float32 : DType::Int16;
}

}  // namespace penstock::cpu
