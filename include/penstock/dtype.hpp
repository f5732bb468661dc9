#pragma once

#include <penstock/export.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock {

/// Element type of a tensor. The values are those of PyTorch's ScalarType, which is what a package
/// writes (source: torch/headeronly/core/ScalarType.h), so no translation table stands in between.
enum class DType : std::int32_t {
  UInt8 = 0,
  Int8 = 1,
  Int16 = 2,
  Int32 = 3,
  Int64 = 4,
  Float16 = 5,
  Float32 = 6,
  Float64 = 7,
  Complex32 = 8,
  Complex64 = 9,
  Complex128 = 10,
  Bool = 11,
  BFloat16 = 15,
  Float8E5M2 = 23,
  Float8E4M3FN = 24,
  Float8E5M2FNUZ = 25,
  Float8E4M3FNUZ = 26,
  UInt16 = 27,
  UInt32 = 28,
  UInt64 = 29,
  Float8E8M0FNU = 44,
};

/// Bytes of one element, or 0 where `dtype` is not a value of the enumeration. Host-only.
/// Thread: thread-safe. Errors: none.
PENSTOCK_API std::size_t element_bytes(DType dtype) noexcept;

/// PyTorch's name without its prefix: "float32", "bfloat16", "bool"; "unknown" for other values.
/// Host-only. Thread: thread-safe. Lifetime: static. Errors: none.
PENSTOCK_API std::string_view dtype_name(DType dtype) noexcept;

/// The inverse of `dtype_name`; also takes NumPy's "half", "float", "double", "long", "int".
/// Host-only. Thread: thread-safe. Errors: none; nothing when the name is not known.
PENSTOCK_API std::optional<DType> dtype_from_name(std::string_view name) noexcept;

}  // namespace penstock
