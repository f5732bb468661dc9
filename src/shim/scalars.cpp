#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/cuda_tensor.hpp"
#include "shim/results.hpp"
#include "shim/table.hpp"

#include "base/fail.hpp"
#include "cpu/copy.hpp"

#include <array>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <optional>

namespace penstock::shim {
namespace {

/// The bytes of an element of any dtype.
using Element = std::array<std::byte, 16>;

/// Bits of the largest magnitude of an integer; nothing for other dtypes.
std::optional<int> integer_bits(DType dtype) {
  const int bits = static_cast<int>(element_bytes(dtype)) * 8;
  switch (dtype) {
    case DType::UInt8:
    case DType::UInt16:
    case DType::UInt32:
    case DType::UInt64: return bits;
    case DType::Int8:
    case DType::Int16:
    case DType::Int32:
    case DType::Int64: return bits - 1;
    default: return std::nullopt;
  }
}

/// The same number as another dtype: the predicate of a `torch.cond`, a bool, is asked for as an integer.
Element converted(const Element& element, DType from, DType to) {
  Element source = element;
  Element made{};
  const auto scalar = [](Element& bytes, DType dtype) {
    const tensor::StorageReference storage(
        tensor::borrow_storage(bytes.data(), bytes.size(), {DeviceType::Cpu, 0}));
    return tensor::TensorObjectPtr(
        tensor::make_tensor(storage.get(), {.dtype = dtype, .sizes = {}, .strides = {}}));
  };
  const tensor::TensorObjectPtr given = scalar(source, from);
  if (const auto bits = integer_bits(to)) {
    double value = 0;
    Element wide{};
    cpu::copy(*scalar(wide, DType::Float64), *given);
    std::memcpy(&value, wide.data(), sizeof value);
    const double limit = std::ldexp(1.0, *bits);
    if (!(value >= -limit && value < limit))
      base::fail(ErrorCode::InvalidArgument, "{} does not fit an {}", value, dtype_name(to));
  }
  cpu::copy(*scalar(made, to), *given);
  return made;
}

/// 16-bit and 8-bit floats travel through the ABI as their bits.
template <class Bits, DType Value>
struct Scalar {
  static AOTITorchError item(AtenTensorHandle tensor, Bits* ret) {
    return guarded([&] {
      refuse_while_probing();
      if (tensor->numel != 1) {
        base::fail(ErrorCode::InvalidArgument, "the value of a {} tensor of {} elements as one {}",
                   dtype_name(tensor->dtype), tensor->numel, dtype_name(Value));
      }
      Element element{};
      if (is_on_cuda(*tensor)) {
        read_element(element.data(), *tensor, "item");
      } else {
        std::memcpy(element.data(), tensor->data, element_bytes(tensor->dtype));
      }
      if (tensor->dtype != Value) element = converted(element, tensor->dtype, Value);
      std::memcpy(ret, element.data(), sizeof(Bits));
    });
  }

  static AOTITorchError to_tensor(Bits value, AtenTensorHandle* ret) {
    return guarded([&] {
      tensor::TensorObjectPtr made = make_result(Value, {});
      std::memcpy(made->data, &value, sizeof(Bits));
      *ret = made.release();
    });
  }
};

using Half = Scalar<std::uint16_t, DType::Float16>;
using BFloat = Scalar<std::uint16_t, DType::BFloat16>;

}  // namespace

std::span<const TableEntry> scalar_functions() {
  static const std::array kTable{
      entry("aoti_torch_item_float16", &Half::item),
      entry("aoti_torch_item_bfloat16", &BFloat::item),
      entry("aoti_torch_item_float32", &Scalar<float, DType::Float32>::item),
      entry("aoti_torch_item_float64", &Scalar<double, DType::Float64>::item),
      entry("aoti_torch_item_uint8", &Scalar<std::uint8_t, DType::UInt8>::item),
      entry("aoti_torch_item_uint16", &Scalar<std::uint16_t, DType::UInt16>::item),
      entry("aoti_torch_item_uint32", &Scalar<std::uint32_t, DType::UInt32>::item),
      entry("aoti_torch_item_uint64", &Scalar<std::uint64_t, DType::UInt64>::item),
      entry("aoti_torch_item_int8", &Scalar<std::int8_t, DType::Int8>::item),
      entry("aoti_torch_item_int16", &Scalar<std::int16_t, DType::Int16>::item),
      entry("aoti_torch_item_int32", &Scalar<std::int32_t, DType::Int32>::item),
      entry("aoti_torch_item_int64", &Scalar<std::int64_t, DType::Int64>::item),
      entry("aoti_torch_item_bool", &Scalar<bool, DType::Bool>::item),
      entry("aoti_torch_item_complex64", &Scalar<std::complex<float>, DType::Complex64>::item),
      entry("aoti_torch_scalar_to_tensor_float32", &Scalar<float, DType::Float32>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_float64", &Scalar<double, DType::Float64>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_uint8", &Scalar<std::uint8_t, DType::UInt8>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_uint16", &Scalar<std::uint16_t, DType::UInt16>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_uint32", &Scalar<std::uint32_t, DType::UInt32>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_uint64", &Scalar<std::uint64_t, DType::UInt64>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_int8", &Scalar<std::int8_t, DType::Int8>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_int16", &Scalar<std::int16_t, DType::Int16>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_int32", &Scalar<std::int32_t, DType::Int32>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_int64", &Scalar<std::int64_t, DType::Int64>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_bool", &Scalar<bool, DType::Bool>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_complex64",
            &Scalar<std::complex<float>, DType::Complex64>::to_tensor),
      entry("aoti_torch_scalar_to_tensor_complex128",
            &Scalar<std::complex<double>, DType::Complex128>::to_tensor),
  };
  return kTable;
}

}  // namespace penstock::shim
