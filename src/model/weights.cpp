#include "model/weights.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "package/pickled_weights.hpp"
#include "shim/results.hpp"
#include "tensor/layout.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <unordered_map>
#include <utility>

namespace penstock::model {
namespace {

/// What PyTorch aligns weights to; the bytes that it states of a weight are whole ones of these.
constexpr std::uint64_t kAlignment = 64;

std::uint64_t padded(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

StoragePtr storage_over(void* data, std::size_t bytes, std::shared_ptr<const void> owner) {
  return StoragePtr(tensor::hold_storage(data, bytes, Device{}, std::move(owner)));
}

/// The layout that a weight is to have, which the given tensor must fit.
WeightLayout fitting_layout(const WeightSlot& slot, const std::optional<WeightLayout>& layout,
                            const NamedWeight& given, const std::string& what) {
  const TensorView& view = given.view;
  const auto refuse = [&](const std::string& wanted) {
    base::fail(ErrorCode::InvalidArgument, "{}: weight \"{}\" is {}, {} was given", what, given.name, wanted,
               to_string(view));
  };
  const std::string sizes = layout ? tensor::sizes_text(layout->sizes) : std::string();
  if (view.device() != Device{}) {
    base::fail(ErrorCode::InvalidArgument, "{}: weight \"{}\" is on {}; it must be in host memory", what,
               given.name, to_string(view.device()));
  }
  if (element_bytes(slot.dtype) == 0 || view.dtype() != slot.dtype ||
      (layout && !std::ranges::equal(layout->sizes, view.sizes())))
    refuse(fmt::format("{}{}", dtype_name(slot.dtype), sizes));
  const auto reached = tensor::checked_extent(view.sizes(), view.strides());
  const std::uint64_t element = element_bytes(slot.dtype);
  if (!reached || (view.numel() != 0 && (view.data() == nullptr || static_cast<std::uint64_t>(*reached) >
                                                                       view.storage_bytes() / element))) {
    base::fail(ErrorCode::InvalidArgument, "{}: weight \"{}\" reaches past its {} bytes of memory", what,
               given.name, view.storage_bytes());
  }
  WeightLayout result;
  if (layout) {
    result = *layout;
  } else {
    // Nothing says how it lies: as row-major as a tensor that is exported mostly is.
    result.sizes.assign(view.sizes().begin(), view.sizes().end());
    result.strides.resize(view.rank());
    tensor::fill_contiguous_strides(result.sizes, result.strides);
    if (padded(static_cast<std::uint64_t>(view.numel()) * element) != padded(slot.bytes))
      refuse(fmt::format("{} of {} bytes", dtype_name(slot.dtype), slot.bytes));
  }
  return result;
}

/// Bytes that a weight reaches by its layout.
std::uint64_t bytes_of(const WeightLayout& layout, DType dtype, const std::string& name,
                       const std::string& what) {
  const auto extent = tensor::checked_extent(layout.sizes, layout.strides);
  const auto bytes =
      extent ? base::checked_mul<std::uint64_t>(static_cast<std::uint64_t>(*extent), element_bytes(dtype))
             : std::nullopt;
  constexpr std::uint64_t kMost = std::uint64_t{1} << 46;
  if (!bytes || *bytes > kMost) {
    base::fail(ErrorCode::Corrupt, "{}: weight \"{}\" has sizes {} and strides {} in the package", what, name,
               tensor::sizes_text(layout.sizes), tensor::sizes_text(layout.strides));
  }
  return *bytes;
}

bool lies_so(const TensorView& view, const WeightLayout& layout) {
  for (std::size_t i = 0; i < view.rank(); ++i) {
    if (view.sizes()[i] != 1 && view.strides()[i] != layout.strides[i]) return false;
  }
  return reinterpret_cast<std::uintptr_t>(view.data()) % kAlignment == 0;
}

}  // namespace

StoragePtr storage_over(package::PrivateBytes bytes) {
  StoragePtr storage = storage_over(bytes.bytes.data(), bytes.bytes.size(), std::move(bytes.owner));
  storage->of_file = bytes.of_file;
  return storage;
}

PackagedWeights open_weights(const package::Archive& archive, const package::ModelFiles& files,
                             const package::ElfImage& elf) {
  PackagedWeights found;
  WeightSource& source = found.source;
  source.copies_are_seen = elf.find("memcpy") != nullptr || elf.find("__memcpy_chk") != nullptr ||
                           elf.find("cudaMemcpy") != nullptr;
  if (files.info.weights_form == WeightsForm::BinaryBlob) {
    source.kind = WeightSource::Kind::Blob;
    source.bytes = files.info.weights_bytes;
    if (source.bytes != 0) source.weights = storage_over(archive.read_private(files.blob, 0, source.bytes));
    return found;
  }
  if (files.info.weights_form == WeightsForm::PickleWeights) {
    for (package::PackagedWeight& weight : package::read_pickled_weights(archive, files)) {
      const TensorView view(weight.bytes.bytes.data(), weight.dtype, weight.layout.sizes,
                            weight.layout.strides, weight.bytes.bytes.size());
      found.by_name.push_back(
          {.name = std::move(weight.name), .view = view, .owner = std::move(weight.bytes.owner)});
    }
    return found;
  }
  const auto embedded = package::find_embedded_weights(elf);
  if (files.info.weights_form != WeightsForm::Embedded || !embedded) return found;
  const bool appended = embedded->address == 0;
  if (!source.copies_are_seen && !appended) return found;
  source.kind = appended ? WeightSource::Kind::Appended : WeightSource::Kind::Embedded;
  source.address = embedded->address;
  source.bytes = embedded->bytes;
  source.magic = embedded->magic;
  source.weights = storage_over(archive.read_private(files.library, embedded->file_offset, embedded->bytes));
  if (!appended) {
    found.left_out = {embedded->file_offset, embedded->bytes};
  }
  return found;
}

tensor::TensorObjectPtr make_weight(const WeightSlot& slot, const std::optional<WeightLayout>& layout,
                                    const NamedWeight& given, const std::string& what) {
  const WeightLayout lies = fitting_layout(slot, layout, given, what);
  const TensorView& view = given.view;
  const std::uint64_t reached = bytes_of(lies, slot.dtype, given.name, what);
  const tensor::Layout as{.dtype = slot.dtype, .sizes = lies.sizes, .strides = lies.strides};
  // Code may touch all that the library states, whatever the text says of the sizes.
  const bool in_place = given.owner != nullptr && slot.is_parameter && padded(reached) >= slot.bytes &&
                        lies_so(view, lies) && view.numel() != 0;
  StoragePtr storage;
  if (in_place) {
    storage = storage_over(view.data(), reached, given.owner);
  } else {
    storage.reset(tensor::allocate_host_storage(std::max(reached, slot.bytes)));
    if (storage->bytes != 0) std::memset(storage->data, 0, storage->bytes);
    if (view.numel() != 0) {
      tensor::copy_strided(storage->data, lies.strides, view.data(), view.strides(), view.sizes(),
                           element_bytes(slot.dtype));
    }
  }
  storage->constant = slot.is_parameter;
  return tensor::TensorObjectPtr(tensor::make_tensor(storage.get(), as));
}

std::vector<const NamedWeight*> match_weights(std::span<const WeightSlot> slots,
                                              std::span<const NamedWeight> given, UpdateScope scope,
                                              const std::string& what) {
  std::unordered_map<std::string_view, const NamedWeight*> by_name;
  for (const NamedWeight& weight : given) {
    if (!by_name.emplace(weight.name, &weight).second) {
      base::fail(ErrorCode::InvalidArgument, "{}: weight \"{}\" is given twice", what, weight.name);
    }
  }
  std::vector<const NamedWeight*> matched;
  std::vector<std::string_view> missing;
  std::size_t used = 0;
  std::unordered_map<std::string_view, bool> known;
  for (const WeightSlot& slot : slots) {
    const auto found = by_name.find(slot.full_name);
    matched.push_back(found != by_name.end() ? found->second : nullptr);
    if (known.emplace(slot.full_name, true).second && found != by_name.end()) ++used;
    if (found == by_name.end() && slot.is_required && slot.bytes != 0) missing.push_back(slot.full_name);
  }
  if (used != by_name.size()) {
    std::vector<std::string_view> unknown;
    for (const NamedWeight& weight : given) {
      if (!known.contains(weight.name)) unknown.push_back(weight.name);
    }
    std::vector<std::string_view> names;
    for (const WeightSlot& slot : slots) names.push_back(slot.full_name);
    constexpr std::size_t kShown = 10;
    const std::string more = names.size() > kShown ? ", ..." : "";
    names.resize(std::min(names.size(), kShown));
    base::fail(ErrorCode::InvalidArgument,
               "{}: has no weight {} (PyTorch builds small ones into the code); its weights are {}{}", what,
               fmt::join(unknown, ", "), fmt::join(names, ", "), more);
  }
  if (scope == UpdateScope::Full && !missing.empty()) {
    base::fail(ErrorCode::InvalidArgument, "{}: {} weight{} not given: {}", what, missing.size(),
               missing.size() == 1 ? " is" : "s are", fmt::join(missing, ", "));
  }
  return matched;
}

}  // namespace penstock::model
