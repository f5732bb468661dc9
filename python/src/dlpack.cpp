#include "dlpack.hpp"

#include <penstock/error.hpp>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

namespace penstock::python {
namespace {

namespace nb = nanobind;

struct TypeRow {
  dlpack::TypeCode code;
  std::uint8_t bits;
  DType dtype;
};

constexpr std::array kTypes{
    TypeRow{dlpack::kFloat, 32, DType::Float32},
    TypeRow{dlpack::kFloat, 64, DType::Float64},
    TypeRow{dlpack::kFloat, 16, DType::Float16},
    TypeRow{dlpack::kBFloat, 16, DType::BFloat16},
    TypeRow{dlpack::kInt, 64, DType::Int64},
    TypeRow{dlpack::kInt, 32, DType::Int32},
    TypeRow{dlpack::kInt, 16, DType::Int16},
    TypeRow{dlpack::kInt, 8, DType::Int8},
    TypeRow{dlpack::kUInt, 8, DType::UInt8},
    TypeRow{dlpack::kUInt, 16, DType::UInt16},
    TypeRow{dlpack::kUInt, 32, DType::UInt32},
    TypeRow{dlpack::kUInt, 64, DType::UInt64},
    TypeRow{dlpack::kBool, 8, DType::Bool},
    TypeRow{dlpack::kComplex, 32, DType::Complex32},
    TypeRow{dlpack::kComplex, 64, DType::Complex64},
    TypeRow{dlpack::kComplex, 128, DType::Complex128},
    TypeRow{dlpack::kFloat8E4M3FN, 8, DType::Float8E4M3FN},
    TypeRow{dlpack::kFloat8E4M3FNUZ, 8, DType::Float8E4M3FNUZ},
    TypeRow{dlpack::kFloat8E5M2, 8, DType::Float8E5M2},
    TypeRow{dlpack::kFloat8E5M2FNUZ, 8, DType::Float8E5M2FNUZ},
    TypeRow{dlpack::kFloat8E8M0FNU, 8, DType::Float8E8M0FNU},
};

DType dtype_of(dlpack::DataType type) {
  const auto row = std::ranges::find_if(
      kTypes, [&](const TypeRow& one) { return one.code == type.code && one.bits == type.bits; });
  if (row == kTypes.end() || type.lanes != 1) {
    throw Error(ErrorCode::Unsupported, "elements of DLPack's type " + std::to_string(type.code) + " with " +
                                            std::to_string(type.bits) + " bits in " +
                                            std::to_string(type.lanes) + " lanes are not supported");
  }
  return row->dtype;
}

Device device_from(dlpack::Device device) {
  switch (device.type) {
    case dlpack::kCpu:
    case dlpack::kCudaHost: return Device{};
    case dlpack::kCuda:
    case dlpack::kCudaManaged: return Device{DeviceType::Cuda, device.index};
    default:
      throw Error(ErrorCode::Unsupported,
                  "memory of DLPack's device type " + std::to_string(device.type) +
                      " is not supported; give a tensor on the CPU or on a CUDA device");
  }
}

/// A tensor that was made for others: sizes, strides and owner beside it.
template <class Managed>
struct Given {
  Managed managed{};
  std::array<std::int64_t, kMaxRank> sizes{};
  std::array<std::int64_t, kMaxRank> strides{};
  std::shared_ptr<const void> owner;
};

template <class Managed>
Managed* make_given(const TensorView& view, std::shared_ptr<const void> owner) {
  auto made = std::make_unique<Given<Managed>>();
  std::ranges::copy(view.sizes(), made->sizes.begin());
  std::ranges::copy(view.strides(), made->strides.begin());
  made->owner = std::move(owner);
  dlpack::Tensor& tensor = made->managed.tensor;
  tensor.data = view.data();
  tensor.device = device_of(view.device());
  tensor.rank = static_cast<std::int32_t>(view.rank());
  tensor.dtype = type_of(view.dtype());
  tensor.sizes = made->sizes.data();
  tensor.strides = made->strides.data();
  made->managed.owner = made.get();
  made->managed.deleter = [](Managed* self) { delete static_cast<Given<Managed>*>(self->owner); };
  return &made.release()->managed;
}

template <class Managed>
constexpr const char* kCapsuleName = "dltensor";
template <>
constexpr const char* kCapsuleName<dlpack::VersionedTensor> = "dltensor_versioned";

/// Who takes a capsule renames it; one that still has its name at its end was taken by nobody.
template <class Managed>
nb::capsule in_capsule(Managed* managed) {
  PyObject* const made = PyCapsule_New(managed, kCapsuleName<Managed>, [](PyObject* capsule) {
    if (PyCapsule_IsValid(capsule, kCapsuleName<Managed>) == 0) return;
    auto* const held = static_cast<Managed*>(PyCapsule_GetPointer(capsule, kCapsuleName<Managed>));
    held->deleter(held);
  });
  if (made == nullptr) {
    managed->deleter(managed);
    nb::raise_python_error();
  }
  return nb::steal<nb::capsule>(made);
}

}  // namespace

dlpack::Device device_of(Device device) noexcept {
  return {device.type == DeviceType::Cuda ? dlpack::kCuda : dlpack::kCpu, device.index};
}

dlpack::DataType type_of(DType dtype) noexcept {
  const auto row = std::ranges::find_if(kTypes, [&](const TypeRow& one) { return one.dtype == dtype; });
  return {row->code, row->bits, 1};
}

TensorView view_of(const dlpack::Tensor& tensor) {
  if (tensor.rank < 0 || tensor.rank > static_cast<std::int32_t>(kMaxRank)) {
    throw Error(ErrorCode::InvalidArgument, "a tensor of " + std::to_string(tensor.rank) +
                                                " dimensions; at most " + std::to_string(kMaxRank) +
                                                " are possible");
  }
  const auto rank = static_cast<std::size_t>(tensor.rank);
  const std::span<const std::int64_t> sizes(tensor.sizes, rank);
  void* const data = static_cast<std::byte*>(tensor.data) + tensor.byte_offset;
  const DType dtype = dtype_of(tensor.dtype);
  const Device device = device_from(tensor.device);
  if (tensor.strides == nullptr) return {data, dtype, sizes, device};
  return {data, dtype, sizes, std::span<const std::int64_t>(tensor.strides, rank), 0, device};
}

dlpack::VersionedTensor* make_versioned(const TensorView& view, std::shared_ptr<const void> owner) {
  auto* const made = make_given<dlpack::VersionedTensor>(view, std::move(owner));
  made->version = {dlpack::kMajorVersion, 0};
  return made;
}

nb::capsule make_capsule(const TensorView& view, std::shared_ptr<const void> owner, bool versioned) {
  if (versioned) return in_capsule(make_versioned(view, std::move(owner)));
  return in_capsule(make_given<dlpack::ManagedTensor>(view, std::move(owner)));
}

TakenTensor::TakenTensor(nb::handle capsule) {
  if (PyCapsule_IsValid(capsule.ptr(), kCapsuleName<dlpack::VersionedTensor>) != 0) {
    auto* const found = static_cast<dlpack::VersionedTensor*>(
        PyCapsule_GetPointer(capsule.ptr(), kCapsuleName<dlpack::VersionedTensor>));
    if (found->version.major != dlpack::kMajorVersion) {
      throw Error(ErrorCode::Unsupported, "a tensor of DLPack version " +
                                              std::to_string(found->version.major) + ", which is not known");
    }
    if ((found->flags & dlpack::kReadOnly) != 0)
      throw Error(ErrorCode::InvalidArgument, "its memory is read-only; give a copy");
    PyCapsule_SetName(capsule.ptr(), "used_dltensor_versioned");
    versioned_ = found;
    tensor_ = &found->tensor;
  } else if (PyCapsule_IsValid(capsule.ptr(), "dltensor") != 0) {
    unversioned_ = static_cast<dlpack::ManagedTensor*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
    PyCapsule_SetName(capsule.ptr(), "used_dltensor");
    tensor_ = &unversioned_->tensor;
  } else {
    throw Error(ErrorCode::InvalidArgument, "its __dlpack__ gave no capsule of DLPack");
  }
}

TakenTensor::TakenTensor(TakenTensor&& other) noexcept
    : tensor_(std::exchange(other.tensor_, nullptr)),
      unversioned_(std::exchange(other.unversioned_, nullptr)),
      versioned_(std::exchange(other.versioned_, nullptr)) {}

TakenTensor::~TakenTensor() {
  if (versioned_ != nullptr && versioned_->deleter != nullptr) versioned_->deleter(versioned_);
  if (unversioned_ != nullptr && unversioned_->deleter != nullptr) unversioned_->deleter(unversioned_);
}

}  // namespace penstock::python
