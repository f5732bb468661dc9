#pragma once

#include "tensor/tensor_object.hpp"

#include "base/fail.hpp"

#include <penstock/dtype.hpp>

#include <cstdint>
#include <span>

// What the functions of the C ABI are given, checked. Part of both libraries, so in a header.
namespace penstock::shim {

/// The dtype that a model library names by number. Errors: Unsupported names the number.
inline DType checked_dtype(std::int32_t number) {
  const auto dtype = static_cast<DType>(number);
  if (element_bytes(dtype) == 0) {
    base::fail(ErrorCode::Unsupported,
               "the model uses PyTorch's dtype number {}, which Penstock does not have", number);
  }
  return dtype;
}

/// Sizes or strides that a model library gives by pointer. Errors: InvalidArgument for a rank that
/// tensors cannot have.
inline std::span<const std::int64_t> checked_span(const std::int64_t* data, std::int64_t count) {
  if (count < 0 || count > static_cast<std::int64_t>(tensor::kRoomForDims)) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of {} dimensions; at most {} are possible", count,
               tensor::kRoomForDims);
  }
  return {data, static_cast<std::size_t>(count)};
}

/// A list of tensors that a model library gives by pointer. Errors: InvalidArgument for a length below 0.
template <class Item>
std::span<Item> checked_list(Item* items, std::int64_t count) {
  if (count < 0 || (count > 0 && items == nullptr)) {
    base::fail(ErrorCode::InvalidArgument, "a list of {} tensors", count);
  }
  return {items, static_cast<std::size_t>(count)};
}

}  // namespace penstock::shim
