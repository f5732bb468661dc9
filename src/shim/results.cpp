#include "shim/results.hpp"

#include "shim/cuda_call.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>

namespace penstock::shim {
namespace {

/// Null: plain host memory.
tensor::Storage* allocate(tensor::Allocator* pool, std::size_t bytes) {
  return pool == nullptr ? tensor::allocate_host_storage(bytes) : pool->allocate(bytes);
}

/// What the bytes of a result would be if sizes that are 0 or 1 were 2; nothing where that overflows.
std::optional<std::uint64_t> bytes_for_two(DType dtype, std::span<const std::int64_t> sizes,
                                           std::span<const std::int64_t> strides) {
  std::array<std::int64_t, tensor::kRoomForDims> raised;
  std::ranges::transform(sizes, raised.begin(),
                         [](std::int64_t size) { return std::max<std::int64_t>(size, 2); });
  const auto elements = tensor::checked_extent({raised.data(), sizes.size()}, strides);
  if (!elements) return std::nullopt;
  return base::checked_mul<std::uint64_t>(static_cast<std::uint64_t>(*elements), element_bytes(dtype));
}

tensor::Storage* allocate_with_margin(tensor::Allocator* pool, const ResultMargin& margins, std::size_t bytes,
                                      std::size_t for_two) {
  constexpr std::size_t kAlignment = 64;
  // With so many of its sizes twice what they are, a result would be longer by this at either end.
  const auto scaled = base::checked_mul<std::uint64_t>(bytes, (std::uint64_t{1} << margins.doublings) - 1);
  // Nothing tells how long a result of no elements would be.
  const std::uint64_t unknown = bytes == 0 ? margins.of_nothing_bytes : 0;
  const std::uint64_t longer = for_two > bytes ? for_two - bytes : 0;
  const std::uint64_t wanted = scaled ? std::max({*scaled, longer, unknown}) : UINT64_MAX;
  const auto rounded = base::checked_add<std::uint64_t>(wanted, kAlignment - 1);
  const auto margin = rounded ? *rounded / kAlignment * kAlignment : 0;
  const auto both = base::checked_mul<std::uint64_t>(margin, 2);
  const auto whole = both ? base::checked_add<std::uint64_t>(*both, bytes) : std::nullopt;
  if (!rounded || !whole)
    base::fail(ErrorCode::OutOfMemory, "cannot allocate {} bytes and room around them", bytes);
  return tensor::narrow_storage(allocate(pool, *whole), margin, bytes);
}

std::size_t result_bytes(DType dtype, std::span<const std::int64_t> sizes,
                         std::span<const std::int64_t> strides) {
  const auto elements = tensor::checked_extent(sizes, strides);
  const auto bytes =
      elements ? base::checked_mul<std::uint64_t>(static_cast<std::uint64_t>(*elements), element_bytes(dtype))
               : std::nullopt;
  if (!bytes) {
    base::fail(ErrorCode::InvalidArgument, "the model asks for a tensor of sizes {} and strides {}",
               tensor::sizes_text(sizes), tensor::sizes_text(strides));
  }
  return *bytes;
}

tensor::TensorObjectPtr make_in(tensor::Allocator* pool, const ResultMargin& margin, DType dtype,
                                std::span<const std::int64_t> sizes, std::span<const std::int64_t> strides) {
  const std::size_t bytes = result_bytes(dtype, sizes, strides);
  const tensor::StorageReference made(
      margin.none() ? allocate(pool, bytes)
                    : allocate_with_margin(pool, margin, bytes,
                                           bytes_for_two(dtype, sizes, strides).value_or(UINT64_MAX)));
  return tensor::TensorObjectPtr(
      tensor::make_tensor(made.get(), {.dtype = dtype, .sizes = sizes, .strides = strides}));
}

}  // namespace

tensor::TensorObjectPtr make_result(DType dtype, std::span<const std::int64_t> sizes,
                                    std::span<const std::int64_t> strides) {
  refuse_while_probing();
  const CallContext* const context = current_context();
  if (context == nullptr) return make_in(nullptr, {}, dtype, sizes, strides);
  return make_in(context->pool, context->margin, dtype, sizes, strides);
}

tensor::TensorObjectPtr make_result(DType dtype, std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> used(strides.data(), sizes.size());
  tensor::fill_contiguous_strides(sizes, used);
  return make_result(dtype, sizes, used);
}

tensor::TensorObjectPtr make_cuda_result(DType dtype, std::span<const std::int64_t> sizes,
                                         std::span<const std::int64_t> strides) {
  const CudaCall& call = cuda_call();
  return make_in(call.pool, current_context()->margin, dtype, sizes, strides);
}

tensor::TensorObjectPtr make_cuda_result(DType dtype, std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> used(strides.data(), sizes.size());
  tensor::fill_contiguous_strides(sizes, used);
  return make_cuda_result(dtype, sizes, used);
}

tensor::TensorObjectPtr reshaped(const tensor::TensorObject& tensor, std::span<const std::int64_t> sizes) {
  std::array<std::int64_t, tensor::kRoomForDims> strides;
  const std::span<std::int64_t> used(strides.data(), sizes.size());
  tensor::fill_contiguous_strides(sizes, used);
  return tensor::TensorObjectPtr(tensor::make_tensor(
      tensor.storage,
      {.dtype = tensor.dtype, .sizes = sizes, .strides = used, .storage_offset = tensor.storage_offset}));
}

tensor::TensorObjectPtr share(const tensor::TensorObject& tensor) {
  return tensor::TensorObjectPtr(
      tensor::make_tensor(tensor.storage, {.dtype = tensor.dtype,
                                           .sizes = tensor.sizes(),
                                           .strides = tensor.strides(),
                                           .storage_offset = tensor.storage_offset}));
}

}  // namespace penstock::shim
