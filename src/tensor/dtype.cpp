#include <penstock/dtype.hpp>

#include <array>

namespace penstock {
namespace {

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array kRows{
    DTypeRow{DType::UInt8, "uint8", 1},
    DTypeRow{DType::Int8, "int8", 1},
    DTypeRow{DType::Int16, "int16", 2},
    DTypeRow{DType::Int32, "int32", 4},
    DTypeRow{DType::Int64, "int64", 8},
    DTypeRow{DType::Float16, "float16", 2},
    DTypeRow{DType::Float32, "float32", 4},
    DTypeRow{DType::Float64, "float64", 8},
    DTypeRow{DType::Complex32, "complex32", 4},
    DTypeRow{DType::Complex64, "complex64", 8},
    DTypeRow{DType::Complex128, "complex128", 16},
    DTypeRow{DType::Bool, "bool", 1},
    DTypeRow{DType::BFloat16, "bfloat16", 2},
    DTypeRow{DType::Float8E5M2, "float8_e5m2", 1},
    DTypeRow{DType::Float8E4M3FN, "float8_e4m3fn", 1},
    DTypeRow{DType::Float8E5M2FNUZ, "float8_e5m2fnuz", 1},
    DTypeRow{DType::Float8E4M3FNUZ, "float8_e4m3fnuz", 1},
    DTypeRow{DType::UInt16, "uint16", 2},
    DTypeRow{DType::UInt32, "uint32", 4},
    DTypeRow{DType::UInt64, "uint64", 8},
    DTypeRow{DType::Float8E8M0FNU, "float8_e8m0fnu", 1},
};

const DTypeRow* find_row(DType dtype) noexcept {
  for (const DTypeRow& row : kRows) {
    if (row.dtype == dtype) return &row;
  }
  return nullptr;
}

}  // namespace

std::size_t element_bytes(DType dtype) noexcept {
  // The dtype of nearly every tensor, and this is asked for each of them.
  if (dtype == DType::Float32) return 4;
  const DTypeRow* row = find_row(dtype);
  return row != nullptr ? row->bytes : 0;
}

std::string_view dtype_name(DType dtype) noexcept {
  const DTypeRow* row = find_row(dtype);
  return row != nullptr ? row->name : "unknown";
}

std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const DTypeRow& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  if (name == "half") return DType::Float16;
  if (name == "float") return DType::Float32;
  if (name == "double") return DType::Float64;
  if (name == "int") return DType::Int32;
  if (name == "long") return DType::Int64;
  return std::nullopt;
}

}  // namespace penstock
