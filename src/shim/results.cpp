#include "shim/results.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <array>

namespace penstock::shim {
DType checked_dtype(std::int32_t number) {
  const auto dtype = static_cast<DType>(number);
  if (element_bytes(dtype) == 0) {
    base::fail(ErrorCode::Unsupported,
               "the model uses PyTorch's dtype number {}, which Penstock does not have", number);
  }
  return dtype;
}

std::span<const std::int64_t> checked_span(const std::int64_t* data, std::int64_t count) {
  if (count < 0 || count > static_cast<std::int64_t>(tensor::kRoomForDims)) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of {} dimensions; at most {} are possible", count,
               tensor::kRoomForDims);
  }
  return {data, static_cast<std::size_t>(count)};
}

tensor::TensorObjectPtr make_result(DType dtype, std::span<const std::int64_t> sizes,
                                    std::span<const std::int64_t> strides) {
  refuse_while_probing();
  const auto elements = tensor::checked_extent(sizes, strides);
  const auto bytes =
      elements ? base::checked_mul<std::uint64_t>(static_cast<std::uint64_t>(*elements), element_bytes(dtype))
               : std::nullopt;
  if (!bytes) {
    base::fail(ErrorCode::InvalidArgument, "the model asks for a tensor of sizes {} and strides {}",
               tensor::sizes_text(sizes), tensor::sizes_text(strides));
  }
  const CallContext* context = current_context();
  const tensor::StorageReference made(context != nullptr && context->pool != nullptr
                                          ? context->pool->allocate(*bytes)
                                          : tensor::allocate_host_storage(*bytes));
  return tensor::TensorObjectPtr(
      tensor::make_tensor(made.get(), {.dtype = dtype, .sizes = sizes, .strides = strides}));
}

tensor::TensorObjectPtr make_result(DType dtype, std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> used(strides.data(), sizes.size());
  tensor::fill_contiguous_strides(sizes, used);
  return make_result(dtype, sizes, used);
}

tensor::TensorObjectPtr share(const tensor::TensorObject& tensor) {
  return tensor::TensorObjectPtr(
      tensor::make_tensor(tensor.storage, {.dtype = tensor.dtype,
                                           .sizes = tensor.sizes(),
                                           .strides = tensor.strides(),
                                           .storage_offset = tensor.storage_offset}));
}

}  // namespace penstock::shim
