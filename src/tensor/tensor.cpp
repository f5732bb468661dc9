#include <penstock/tensor.hpp>

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/layout.hpp"
#include "tensor/storage.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

namespace penstock {
namespace {

void check_rank(std::span<const std::int64_t> sizes) {
  if (sizes.size() > kMaxRank) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of {} dimensions: at most {} are possible", sizes.size(),
               kMaxRank);
  }
}

/// Bytes that `elements` of `dtype` take, which must fit in 63 bits.
std::size_t checked_bytes(std::optional<std::int64_t> elements, DType dtype,
                          std::span<const std::int64_t> sizes) {
  const std::size_t bytes = element_bytes(dtype);
  if (bytes == 0) {
    base::fail(ErrorCode::InvalidArgument, "a tensor of an unknown dtype ({})",
               static_cast<std::int32_t>(dtype));
  }
  for (const std::int64_t size : sizes) {
    if (size < 0) {
      base::fail(ErrorCode::InvalidArgument, "a tensor with a negative size: {}", tensor::sizes_text(sizes));
    }
  }
  const auto total = elements ? base::checked_mul(*elements, static_cast<std::int64_t>(bytes)) : std::nullopt;
  if (!total) {
    base::fail(ErrorCode::InvalidArgument, "a {} tensor of sizes {}: its size overflows 63 bits",
               dtype_name(dtype), tensor::sizes_text(sizes));
  }
  return static_cast<std::size_t>(*total);
}

void check_host(const TensorView& view, std::string_view what) {
  if (view.device().type != DeviceType::Cpu) {
    base::fail(ErrorCode::InvalidArgument, "{} needs a tensor in host memory; {} is on {}", what,
               to_string(view), to_string(view.device()));
  }
}

std::string dim_text(const DimSpec& dim) {
  if (dim.min == dim.max) return fmt::format("{}", dim.min);
  if (dim.max == std::numeric_limits<std::int64_t>::max()) return fmt::format("{}..", dim.min);
  return fmt::format("{}..{}", dim.min, dim.max);
}

}  // namespace

TensorView::TensorView(void* data, DType dtype, std::span<const std::int64_t> sizes, Device device)
    : data_(data), dtype_(dtype), device_(device), rank_(sizes.size()) {
  check_rank(sizes);
  storage_bytes_ = checked_bytes(tensor::checked_numel(sizes), dtype, sizes);
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
  tensor::fill_contiguous_strides(sizes, {strides_.data(), rank_});
}

TensorView::TensorView(void* data, DType dtype, std::initializer_list<std::int64_t> sizes, Device device)
    : TensorView(data, dtype, std::span<const std::int64_t>(sizes.begin(), sizes.size()), device) {}

TensorView::TensorView(void* data, DType dtype, std::span<const std::int64_t> sizes,
                       std::span<const std::int64_t> strides, std::size_t storage_bytes, Device device)
    : data_(data), dtype_(dtype), device_(device), rank_(sizes.size()), storage_bytes_(storage_bytes) {
  check_rank(sizes);
  if (strides.size() != sizes.size()) {
    base::fail(ErrorCode::InvalidArgument, "a tensor with {} sizes and {} strides", sizes.size(),
               strides.size());
  }
  for (const std::int64_t stride : strides) {
    if (stride < 0) {
      base::fail(ErrorCode::InvalidArgument, "a tensor with a negative stride: {}",
                 tensor::sizes_text(strides));
    }
  }
  const std::size_t reach = checked_bytes(tensor::checked_extent(sizes, strides), dtype, sizes);
  if (storage_bytes_ == 0) storage_bytes_ = reach;
  if (storage_bytes_ < reach) {
    base::fail(ErrorCode::InvalidArgument,
               "a {} tensor of sizes {} and strides {} needs {} bytes; its storage has {}", dtype_name(dtype),
               tensor::sizes_text(sizes), tensor::sizes_text(strides), reach, storage_bytes);
  }
  std::copy(sizes.begin(), sizes.end(), sizes_.begin());
  std::copy(strides.begin(), strides.end(), strides_.begin());
}

std::int64_t TensorView::numel() const noexcept {
  // The sizes around a 0 may be as large as they like.
  if (std::ranges::find(sizes(), 0) != sizes().end()) return 0;
  std::int64_t count = 1;
  for (const std::int64_t size : sizes()) count *= size;
  return count;
}

bool TensorView::is_contiguous() const noexcept { return tensor::is_contiguous(sizes(), strides()); }

void* TensorView::checked_data(std::size_t bytes) const {
  check_host(*this, "data_as");
  if (bytes != element_bytes(dtype_)) {
    base::fail(ErrorCode::InvalidArgument, "data_as with elements of {} bytes; {} has elements of {}", bytes,
               to_string(*this), element_bytes(dtype_));
  }
  return data_;
}

/// That a copy with strides of 0 holds what `view` does.
static void require_equal_elements(const TensorView& view, const TensorView& copy,
                                   std::span<const std::int64_t> apart) {
  if (std::ranges::equal(apart, view.sizes())) return;
  const Tensor given = Tensor::copy_of(view);
  const Tensor made = Tensor::copy_of(copy);
  if (std::memcmp(given.view().data(), made.view().data(), given.view().storage_bytes()) == 0) return;
  base::fail(ErrorCode::InvalidArgument,
             "a copy of {} with strides {}: elements along a stride of 0 have to be equal", to_string(view),
             tensor::sizes_text(copy.strides()));
}

Tensor Tensor::empty(DType dtype, std::span<const std::int64_t> sizes) {
  // The byte count is checked before anything is asked for.
  const TensorView shape(nullptr, dtype, sizes);
  const std::shared_ptr<tensor::Storage> storage(tensor::allocate_host_storage(shape.storage_bytes()),
                                                 [](tensor::Storage* held) { held->drop(); });
  Tensor result;
  result.view_ = TensorView(storage->data, dtype, sizes);
  result.owner_ = storage;
  return result;
}

Tensor Tensor::empty(DType dtype, std::initializer_list<std::int64_t> sizes) {
  return empty(dtype, std::span<const std::int64_t>(sizes.begin(), sizes.size()));
}

Tensor Tensor::copy_of(const TensorView& view) {
  check_host(view, "a copy");
  Tensor result = empty(view.dtype(), view.sizes());
  tensor::copy_strided(result.view_.data(), result.strides(), view.data(), view.strides(), view.sizes(),
                       element_bytes(view.dtype()));
  return result;
}

Tensor Tensor::copy_of(const TensorView& view, std::span<const std::int64_t> strides) {
  check_host(view, "a copy");
  const TensorView wanted(nullptr, view.dtype(), view.sizes(), strides, 0);
  // Elements along a stride of 0 are one element, as those of an expanded tensor are.
  std::vector<std::int64_t> apart(view.sizes().begin(), view.sizes().end());
  for (std::size_t dim = 0; dim < apart.size(); ++dim) {
    if (strides[dim] == 0 && apart[dim] > 1) apart[dim] = 1;
  }
  if (tensor::may_overlap_itself(apart, strides)) {
    base::fail(ErrorCode::InvalidArgument, "a copy of {} with strides {}: elements would share memory",
               to_string(view), tensor::sizes_text(strides));
  }
  Tensor memory = empty(DType::UInt8, {static_cast<std::int64_t>(wanted.storage_bytes())});
  void* const data = memory.view_.data();
  if (wanted.storage_bytes() != 0) std::memset(data, 0, wanted.storage_bytes());
  tensor::copy_strided(data, strides, view.data(), view.strides(), apart, element_bytes(view.dtype()));
  require_equal_elements(view, TensorView(data, view.dtype(), view.sizes(), strides, 0), apart);
  return adopt(TensorView(data, view.dtype(), view.sizes(), strides, wanted.storage_bytes()),
               std::move(memory.owner_));
}

Tensor Tensor::adopt(const TensorView& view, std::shared_ptr<void> owner) noexcept {
  Tensor result;
  result.view_ = view;
  result.owner_ = std::move(owner);
  return result;
}

std::string to_string(const TensorSpec& spec) {
  std::string text(dtype_name(spec.dtype));
  text += '[';
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    if (i != 0) text += ", ";
    text += dim_text(spec.dims[i]);
  }
  return text + ']';
}

std::string to_string(const TensorView& view) {
  return fmt::format("{}{}", dtype_name(view.dtype()), tensor::sizes_text(view.sizes()));
}

}  // namespace penstock
