#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/table.hpp"
#include "tensor/layout.hpp"

#include "base/fail.hpp"

#include <array>
#include <vector>

using penstock::ErrorCode;
using penstock::base::fail;
using penstock::shim::guarded;

namespace {

/// PyTorch's Layout::Strided; the only one there is here.
constexpr std::int32_t kLayoutStrided = 0;

std::size_t checked_dim(AtenTensorHandle tensor, std::int64_t dim) {
  const std::int64_t wrapped = dim < 0 ? dim + tensor->rank : dim;
  if (wrapped < 0 || wrapped >= tensor->rank) {
    fail(ErrorCode::InvalidArgument, "dimension {} of a tensor of rank {}", dim, tensor->rank);
  }
  return static_cast<std::size_t>(wrapped);
}

}  // namespace

extern "C" {

AOTITorchError penstock_get_data_ptr(AtenTensorHandle tensor, void** ret) {
  auto* context = penstock::shim::current_context();
  if (context != nullptr && context->purpose == penstock::shim::CallContext::Purpose::Probe &&
      std::erase(context->addressable_once, tensor) == 0) {
    return guarded([] { penstock::shim::refuse_while_probing(); });
  }
  *ret = tensor->data;
  return 0;
}

AOTITorchError penstock_get_storage_size(AtenTensorHandle tensor, std::int64_t* ret) {
  *ret = tensor->storage != nullptr ? static_cast<std::int64_t>(tensor->storage->bytes) : 0;
  return 0;
}

AOTITorchError penstock_get_storage_numel(AtenTensorHandle tensor, std::int64_t* ret) {
  const std::size_t bytes = tensor->storage != nullptr ? tensor->storage->bytes : 0;
  *ret = static_cast<std::int64_t>(bytes / penstock::element_bytes(tensor->dtype));
  return 0;
}

AOTITorchError penstock_get_storage_offset(AtenTensorHandle tensor, std::int64_t* ret) {
  *ret = tensor->storage_offset;
  return 0;
}

AOTITorchError penstock_get_dim(AtenTensorHandle tensor, std::int64_t* ret) {
  auto* context = penstock::shim::current_context();
  if (context != nullptr && context->purpose == penstock::shim::CallContext::Purpose::Probe) {
    return guarded([&] {
      context->rank_queries.push_back(tensor);
      *ret = tensor->rank;
    });
  }
  *ret = tensor->rank;
  return 0;
}

AOTITorchError penstock_get_numel(AtenTensorHandle tensor, std::int64_t* ret) {
  *ret = tensor->numel;
  return 0;
}

AOTITorchError penstock_get_sizes(AtenTensorHandle tensor, std::int64_t** ret) {
  *ret = tensor->size.data();
  return 0;
}

AOTITorchError penstock_get_size(AtenTensorHandle tensor, std::int64_t dim, std::int64_t* ret) {
  return guarded([&] { *ret = tensor->size[checked_dim(tensor, dim)]; });
}

AOTITorchError penstock_get_strides(AtenTensorHandle tensor, std::int64_t** ret) {
  *ret = tensor->stride.data();
  return 0;
}

AOTITorchError penstock_get_stride(AtenTensorHandle tensor, std::int64_t dim, std::int64_t* ret) {
  return guarded([&] { *ret = tensor->stride[checked_dim(tensor, dim)]; });
}

AOTITorchError penstock_get_dtype(AtenTensorHandle tensor, std::int32_t* ret) {
  *ret = static_cast<std::int32_t>(tensor->dtype);
  return 0;
}

AOTITorchError penstock_get_device_type(AtenTensorHandle tensor, std::int32_t* ret) {
  *ret = tensor->storage != nullptr ? static_cast<std::int32_t>(tensor->storage->device.type) : 0;
  return 0;
}

AOTITorchError penstock_get_device_index(AtenTensorHandle tensor, std::int32_t* ret) {
  *ret = tensor->storage != nullptr ? tensor->storage->device.index : 0;
  return 0;
}

AOTITorchError penstock_get_layout(AtenTensorHandle, std::int32_t* ret) {
  *ret = kLayoutStrided;
  return 0;
}

AOTITorchError penstock_is_contiguous(AtenTensorHandle tensor, bool* ret) {
  *ret = penstock::tensor::is_contiguous(tensor->sizes(), tensor->strides());
  return 0;
}

AOTITorchError penstock_is_defined(AtenTensorHandle tensor, bool* ret) {
  *ret = tensor != nullptr && tensor->storage != nullptr;
  return 0;
}

}  // extern "C"

namespace penstock::shim {
namespace {

/// A function of the ABI that returns a constant: dtypes, layouts, device types, memory formats.
template <std::int32_t Value>
std::int32_t constant() {
  return Value;
}

std::size_t dtype_element_bytes(std::int32_t dtype) { return element_bytes(static_cast<DType>(dtype)); }

/// What `aoti_torch_abi_version` is asked for: the version in the top bytes, as torch packs it. We
/// speak the ABI of the headers that abi.hpp is checked against.
std::uint64_t abi_version() {
  constexpr std::uint64_t kMajor = 2;
  constexpr std::uint64_t kMinor = 15;
  return kMajor << 56 | kMinor << 48;
}

template <DType Value>
TableEntry dtype_entry(std::string_view name) {
  return entry(name, &constant<static_cast<std::int32_t>(Value)>);
}

}  // namespace

std::span<const TableEntry> metadata_functions() {
  static const std::array kTable{
      entry("aoti_torch_get_data_ptr", &penstock_get_data_ptr),
      entry("aoti_torch_get_storage_size", &penstock_get_storage_size),
      entry("aoti_torch_get_storage_numel", &penstock_get_storage_numel),
      entry("aoti_torch_get_storage_offset", &penstock_get_storage_offset),
      entry("aoti_torch_get_dim", &penstock_get_dim),
      entry("aoti_torch_get_numel", &penstock_get_numel),
      entry("aoti_torch_get_sizes", &penstock_get_sizes),
      entry("aoti_torch_get_size", &penstock_get_size),
      entry("aoti_torch_get_strides", &penstock_get_strides),
      entry("aoti_torch_get_stride", &penstock_get_stride),
      entry("aoti_torch_get_dtype", &penstock_get_dtype),
      entry("aoti_torch_get_device_type", &penstock_get_device_type),
      entry("aoti_torch_get_device_index", &penstock_get_device_index),
      entry("aoti_torch_get_layout", &penstock_get_layout),
      entry("aoti_torch_is_contiguous", &penstock_is_contiguous),
      entry("aoti_torch_is_defined", &penstock_is_defined),
      entry("aoti_torch_dtype_element_size", &dtype_element_bytes),
      entry("aoti_torch_abi_version", &abi_version),
      entry("aoti_torch_device_type_cpu", &constant<0>),
      entry("aoti_torch_device_type_cuda", &constant<1>),
      entry("aoti_torch_device_type_meta", &constant<14>),
      entry("aoti_torch_device_type_xpu", &constant<12>),
      entry("aoti_torch_device_type_mps", &constant<13>),
      entry("aoti_torch_device_type_privateuse1", &constant<20>),
      entry("aoti_torch_layout_strided", &constant<kLayoutStrided>),
      entry("aoti_torch_layout__mkldnn", &constant<3>),
      entry("aoti_torch_memory_format_contiguous_format", &constant<0>),
      entry("aoti_torch_memory_format_preserve_format", &constant<1>),
      entry("aoti_torch_memory_format_channels_last", &constant<2>),
      entry("aoti_torch_memory_format_channels_last_3d", &constant<3>),
      dtype_entry<DType::UInt8>("aoti_torch_dtype_uint8"),
      dtype_entry<DType::UInt16>("aoti_torch_dtype_uint16"),
      dtype_entry<DType::UInt32>("aoti_torch_dtype_uint32"),
      dtype_entry<DType::UInt64>("aoti_torch_dtype_uint64"),
      dtype_entry<DType::Int8>("aoti_torch_dtype_int8"),
      dtype_entry<DType::Int16>("aoti_torch_dtype_int16"),
      dtype_entry<DType::Int32>("aoti_torch_dtype_int32"),
      dtype_entry<DType::Int64>("aoti_torch_dtype_int64"),
      dtype_entry<DType::Bool>("aoti_torch_dtype_bool"),
      dtype_entry<DType::Float16>("aoti_torch_dtype_float16"),
      dtype_entry<DType::BFloat16>("aoti_torch_dtype_bfloat16"),
      dtype_entry<DType::Float32>("aoti_torch_dtype_float32"),
      dtype_entry<DType::Float64>("aoti_torch_dtype_float64"),
      dtype_entry<DType::Float8E5M2>("aoti_torch_dtype_float8_e5m2"),
      dtype_entry<DType::Float8E4M3FN>("aoti_torch_dtype_float8_e4m3fn"),
      dtype_entry<DType::Float8E5M2FNUZ>("aoti_torch_dtype_float8_e5m2fnuz"),
      dtype_entry<DType::Float8E4M3FNUZ>("aoti_torch_dtype_float8_e4m3fnuz"),
      dtype_entry<DType::Float8E8M0FNU>("aoti_torch_dtype_float8_e8m0fnu"),
      dtype_entry<DType::Complex32>("aoti_torch_dtype_complex32"),
      dtype_entry<DType::Complex64>("aoti_torch_dtype_complex64"),
      dtype_entry<DType::Complex128>("aoti_torch_dtype_complex128"),
  };
  return kTable;
}

}  // namespace penstock::shim
