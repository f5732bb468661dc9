#pragma once

#include "shim/context.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/dtype.hpp>

#include <cstdint>
#include <span>

namespace penstock::shim {

/// The dtype that a model library names by number. Errors: Unsupported names the number.
DType checked_dtype(std::int32_t number);

/// Sizes or strides that a model library gives by pointer. Errors: InvalidArgument for a rank that
/// tensors cannot have.
std::span<const std::int64_t> checked_span(const std::int64_t* data, std::int64_t count);

/// A new tensor, not initialized, in the memory of the current run. Errors: OutOfMemory,
/// InvalidArgument for sizes and strides that no memory could hold.
tensor::TensorObjectPtr make_result(DType dtype, std::span<const std::int64_t> sizes,
                                    std::span<const std::int64_t> strides);

/// The same, row-major.
tensor::TensorObjectPtr make_result(DType dtype, std::span<const std::int64_t> sizes);

/// The same memory with other sizes, row-major: for a tensor that is row-major and as many elements.
tensor::TensorObjectPtr reshaped(const tensor::TensorObject& tensor, std::span<const std::int64_t> sizes);

/// Another handle of the same tensor.
tensor::TensorObjectPtr share(const tensor::TensorObject& tensor);

}  // namespace penstock::shim
