#pragma once

#include <penstock/device.hpp>
#include <penstock/dtype.hpp>
#include <penstock/export.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock {

/// Most dimensions that a tensor given to or taken from Penstock may have.
inline constexpr std::size_t kMaxRank = 16;

/// A borrowed tensor: address, element type, sizes and strides (both in elements), device, and how
/// many bytes from `data` on belong to it. Copying one copies no data.
/// Thread: one caller at a time. Lifetime: the memory is the caller's and outlives the view.
class PENSTOCK_API TensorView {
 public:
  /// No tensor: null data, float32, rank 1, size 0.
  TensorView() = default;

  /// A row-major tensor of `sizes` at `data`; `storage_bytes` is what the sizes need. Host-only.
  /// Errors: InvalidArgument for a negative size, a rank above `kMaxRank`, or a byte count that
  /// does not fit in 63 bits.
  TensorView(void* data, DType dtype, std::span<const std::int64_t> sizes, Device device = {});
  TensorView(void* data, DType dtype, std::initializer_list<std::int64_t> sizes, Device device = {});

  /// A strided tensor. `storage_bytes` counts from `data`; 0 means just what sizes and strides reach.
  /// Host-only. Errors: as above, and for strides of another length than `sizes` or below 0.
  TensorView(void* data, DType dtype, std::span<const std::int64_t> sizes,
             std::span<const std::int64_t> strides, std::size_t storage_bytes, Device device = {});

  /// Getters. Host-only. Errors: none. Sizes and strides live as long as this view.
  [[nodiscard]] void* data() const noexcept { return data_; }
  [[nodiscard]] DType dtype() const noexcept { return dtype_; }
  [[nodiscard]] Device device() const noexcept { return device_; }
  [[nodiscard]] std::size_t rank() const noexcept { return rank_; }
  [[nodiscard]] std::size_t storage_bytes() const noexcept { return storage_bytes_; }
  [[nodiscard]] std::span<const std::int64_t> sizes() const noexcept { return {sizes_.data(), rank_}; }
  [[nodiscard]] std::span<const std::int64_t> strides() const noexcept { return {strides_.data(), rank_}; }

  /// Number of elements. Host-only. Errors: none.
  [[nodiscard]] std::int64_t numel() const noexcept;

  /// True where elements lie in row-major order without gaps. Host-only. Errors: none.
  [[nodiscard]] bool is_contiguous() const noexcept;

  /// `data()` as elements of T. Host-only. Errors: InvalidArgument where the element size of T is
  /// not that of `dtype()`, or the tensor is not in host memory.
  template <class T>
  [[nodiscard]] T* data_as() const {
    return static_cast<T*>(checked_data(sizeof(T)));
  }

 private:
  friend struct TensorViewAccess;
  [[nodiscard]] void* checked_data(std::size_t bytes) const;

  void* data_ = nullptr;
  DType dtype_ = DType::Float32;
  Device device_;
  std::size_t rank_ = 1;
  std::size_t storage_bytes_ = 0;
  std::array<std::int64_t, kMaxRank> sizes_{};
  std::array<std::int64_t, kMaxRank> strides_{1};
};

/// An owned tensor. Copies share the memory, as in PyTorch; `clone` copies it. The memory stays
/// until the last copy is gone, also when the session that made it is not there any more.
/// Thread: the object has one caller at a time; the shared memory may be released from any thread.
class PENSTOCK_API Tensor {
 public:
  /// No tensor; only `defined`, assignment and destruction may be called.
  Tensor() = default;

  /// A row-major tensor in host memory, 64-byte aligned, not initialized. Host-only.
  /// Errors: InvalidArgument as for TensorView; OutOfMemory.
  static Tensor empty(DType dtype, std::span<const std::int64_t> sizes);
  static Tensor empty(DType dtype, std::initializer_list<std::int64_t> sizes);

  /// A row-major copy of a host tensor. Host-only. Errors: OutOfMemory; InvalidArgument where
  /// `view` is not in host memory.
  static Tensor copy_of(const TensorView& view);

  /// A copy that lies as `strides` (in elements, one a dimension) say, with zeros in gaps: for a model
  /// that was exported with inputs that are not row-major (Model::input_strides). Host-only.
  /// Errors: OutOfMemory; InvalidArgument where `view` is not in host memory, or strides are negative,
  /// of another number, or let elements share memory that are not equal: along a stride of 0 they may.
  static Tensor copy_of(const TensorView& view, std::span<const std::int64_t> strides);

  /// A tensor over memory that `owner` keeps alive. Host-only. Errors: none.
  static Tensor adopt(const TensorView& view, std::shared_ptr<void> owner) noexcept;

  /// Host-only. Errors: none. The view lives as long as the tensor and its copies.
  [[nodiscard]] bool defined() const noexcept { return owner_ != nullptr; }
  [[nodiscard]] const TensorView& view() const noexcept { return view_; }
  [[nodiscard]] DType dtype() const noexcept { return view_.dtype(); }
  [[nodiscard]] std::span<const std::int64_t> sizes() const noexcept { return view_.sizes(); }
  [[nodiscard]] std::span<const std::int64_t> strides() const noexcept { return view_.strides(); }
  [[nodiscard]] std::int64_t numel() const noexcept { return view_.numel(); }

  /// As TensorView::data_as.
  template <class T>
  [[nodiscard]] T* data_as() const {
    return view_.data_as<T>();
  }

  /// A row-major copy in memory of its own. Host-only. Errors: OutOfMemory.
  [[nodiscard]] Tensor clone() const { return copy_of(view_); }

 private:
  TensorView view_;
  std::shared_ptr<void> owner_;
};

/// One dimension that a model accepts: `min` and `max` are inclusive; equal for a fixed size.
struct DimSpec {
  std::int64_t min = 0;          ///< Smallest size.
  std::int64_t max = INT64_MAX;  ///< Largest size; INT64_MAX: no bound.
  /// The symbol that the dimension was exported with, such as "s77", or what it is made of one:
  /// "2*s77", "s77+1". Dimensions must agree on every symbol. Empty for a fixed size, and where it is
  /// not known. A `min` of 0 also stands for a minimum that is not known: see GeneratedChecks.
  std::string symbol;
};

/// One declared input of a model.
struct TensorSpec {
  std::string name;              ///< "arg0", "arg1", ...: accepted everywhere.
  std::string keyword;           ///< The name in the exported call, where it has one: "image", "opts.k".
  DType dtype = DType::Float32;  ///< No other is converted.
  Device device;                 ///< Where its memory must be.
  std::vector<DimSpec> dims;     ///< One a dimension; empty for a scalar.
  /// Strides in elements, one a dimension; -1 where they follow from sizes that are not fixed.
  std::vector<std::int64_t> strides;
};

/// "float32[1..64, 3, 224, 224]": how messages and `penstock inspect` write a spec. Host-only.
/// Thread: thread-safe. Errors: none.
PENSTOCK_API std::string to_string(const TensorSpec& spec);

/// "float32[8, 64]". Host-only. Thread: thread-safe. Errors: none.
PENSTOCK_API std::string to_string(const TensorView& view);

}  // namespace penstock
