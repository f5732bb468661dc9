#pragma once

#include "shim/arguments.hpp"
#include "shim/context.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/dtype.hpp>

#include <cstdint>
#include <span>

namespace penstock::shim {

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
