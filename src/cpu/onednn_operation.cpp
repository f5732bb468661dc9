#include "cpu/onednn_operation.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <bit>

namespace penstock::cpu {
namespace {

/// Weights of one storage in the layouts that operations want.
class ReorderedWeights final : public tensor::DerivedData {
 public:
  struct Copy {
    MemoryDesc given;
    MemoryDesc wanted;
    AlignedBuffer bytes;
  };
  std::unordered_multimap<const void*, Copy> copies;
};

/// Layouts kept of one weight. A model that is run with ever other shapes could want ever other
/// layouts; beyond these its weight is reordered in each run.
constexpr std::size_t kMostLayouts = 4;

ReorderedWeights& reordered_weights(tensor::Storage& storage) {
  for (const auto& data : storage.derived) {
    if (auto* weights = dynamic_cast<ReorderedWeights*>(data.get())) return *weights;
  }
  auto made = std::make_unique<ReorderedWeights>();
  ReorderedWeights& weights = *made;
  storage.derived.push_back(std::move(made));
  return weights;
}

MemoryDesc clone(const OnednnApi& api, const_dnnl_memory_desc_t desc, std::string_view what) {
  dnnl_memory_desc_t made = nullptr;
  check_onednn(api.memory_desc_clone(&made, desc), "memory_desc_clone", what);
  return MemoryDesc(made);
}

Memory make_memory(const OnednnApi& api, const_dnnl_memory_desc_t desc, std::string_view what) {
  dnnl_memory_t made = nullptr;
  check_onednn(api.memory_create(&made, desc, api.engine, DNNL_MEMORY_NONE), "memory_create", what);
  return Memory(made);
}

}  // namespace

void OperationKey::add(double value) noexcept { add(std::bit_cast<std::int64_t>(value)); }

std::size_t OperationKey::hash() const noexcept {
  std::uint64_t hash = 0x9E3779B97F4A7C15U;
  for (std::size_t i = 0; i < count_; ++i) {
    hash = (hash ^ static_cast<std::uint64_t>(values_[i])) * 0xFF51AFD7ED558CCDU;
    hash ^= hash >> 32U;
  }
  return hash;
}

bool operator==(const OperationKey& a, const OperationKey& b) noexcept {
  return std::equal(a.values_.begin(), a.values_.begin() + static_cast<std::ptrdiff_t>(a.count_),
                    b.values_.begin(), b.values_.begin() + static_cast<std::ptrdiff_t>(b.count_));
}

PrimitiveAttr make_attributes(const OnednnApi& api, std::string_view what) {
  dnnl_primitive_attr_t made = nullptr;
  check_onednn(api.primitive_attr_create(&made), "primitive_attr_create", what);
  PrimitiveAttr attributes(made);
  check_onednn(api.primitive_attr_set_scratchpad_mode(made, dnnl_scratchpad_mode_user),
               "primitive_attr_set_scratchpad_mode", what);
  return attributes;
}

MemoryDesc make_strided_desc(const OnednnApi& api, dnnl_data_type_t type, std::span<const std::int64_t> sizes,
                             std::span<const std::int64_t> strides, std::string_view what) {
  dnnl_memory_desc_t made = nullptr;
  check_onednn(api.memory_desc_create_with_strides(&made, static_cast<int>(sizes.size()), sizes.data(), type,
                                                   strides.data()),
               "memory_desc_create_with_strides", what);
  return MemoryDesc(made);
}

MemoryDesc make_any_desc(const OnednnApi& api, dnnl_data_type_t type, std::span<const std::int64_t> sizes,
                         std::string_view what) {
  dnnl_memory_desc_t made = nullptr;
  check_onednn(api.memory_desc_create_with_tag(&made, static_cast<int>(sizes.size()), sizes.data(), type,
                                               dnnl_format_tag_any),
               "memory_desc_create_with_tag", what);
  return MemoryDesc(made);
}

OnednnOperation::OnednnOperation(PrimitiveDesc primitive_desc, std::vector<OperationTensor> tensors,
                                 std::string description)
    : description_(std::move(description)), primitive_desc_(std::move(primitive_desc)) {
  const OnednnApi& api = require_onednn(description_);
  dnnl_primitive_t primitive = nullptr;
  check_onednn(api.primitive_create(&primitive, primitive_desc_.get()), "primitive_create", description_);
  primitive_.reset(primitive);
  dnnl_stream_t stream = nullptr;
  check_onednn(api.stream_create(&stream, api.engine, dnnl_stream_default_flags), "stream_create",
               description_);
  stream_.reset(stream);
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    make_slot(std::move(tensors[i]), i + 1 == tensors.size());
  }
  const const_dnnl_memory_desc_t scratchpad =
      api.primitive_desc_query_md(primitive_desc_.get(), dnnl_query_scratchpad_md, 0);
  scratchpad_bytes_ = scratchpad != nullptr ? api.memory_desc_get_size(scratchpad) : 0;
  if (scratchpad_bytes_ != 0) {
    scratchpad_ = make_memory(api, scratchpad, description_);
    arguments_.push_back({DNNL_ARG_SCRATCHPAD, scratchpad_.get()});
  }
}

void OnednnOperation::make_slot(OperationTensor tensor, bool is_result) {
  const OnednnApi& api = require_onednn(description_);
  Slot slot{tensor.argument, std::move(tensor.given), nullptr, nullptr, nullptr, nullptr};
  slot.given_memory = make_memory(api, slot.given.get(), description_);
  const const_dnnl_memory_desc_t wanted =
      api.primitive_desc_query_md(primitive_desc_.get(), dnnl_query_exec_arg_md, slot.argument);
  if (wanted != nullptr && api.memory_desc_equal(wanted, slot.given.get()) == 0) {
    slot.wanted = clone(api, wanted, description_);
    slot.wanted_memory = make_memory(api, wanted, description_);
    const const_dnnl_memory_desc_t from = is_result ? slot.wanted.get() : slot.given.get();
    const const_dnnl_memory_desc_t to = is_result ? slot.given.get() : slot.wanted.get();
    dnnl_primitive_desc_t desc = nullptr;
    check_onednn(api.reorder_primitive_desc_create(&desc, from, api.engine, to, api.engine, nullptr),
                 "reorder_primitive_desc_create", description_);
    const PrimitiveDesc reorder_desc(desc);
    dnnl_primitive_t reorder = nullptr;
    check_onednn(api.primitive_create(&reorder, desc), "primitive_create", description_);
    slot.reorder.reset(reorder);
  }
  arguments_.push_back(
      {slot.argument, slot.wanted != nullptr ? slot.wanted_memory.get() : slot.given_memory.get()});
  slots_.push_back(std::move(slot));
}

void OnednnOperation::run_reorder(const Slot& slot, bool is_result) {
  const dnnl_memory_t from = is_result ? slot.wanted_memory.get() : slot.given_memory.get();
  const dnnl_memory_t to = is_result ? slot.given_memory.get() : slot.wanted_memory.get();
  const std::array<dnnl_exec_arg_t, 2> arguments{dnnl_exec_arg_t{DNNL_ARG_FROM, from},
                                                 dnnl_exec_arg_t{DNNL_ARG_TO, to}};
  check_onednn(onednn()->primitive_execute(slot.reorder.get(), stream_.get(), 2, arguments.data()),
               "primitive_execute of a reorder", description_);
}

std::byte* OnednnOperation::reorder_constant(const Slot& slot, const OperationData& data) {
  const OnednnApi& api = *onednn();
  // Held while reordering, so that sessions that start together do the work once.
  const std::scoped_lock lock(data.constant->derived_mutex);
  auto& copies = reordered_weights(*data.constant).copies;
  const auto [first, last] = copies.equal_range(data.data);
  for (auto copy = first; copy != last; ++copy) {
    if (api.memory_desc_equal(copy->second.wanted.get(), slot.wanted.get()) != 0 &&
        api.memory_desc_equal(copy->second.given.get(), slot.given.get()) != 0) {
      return copy->second.bytes.data();
    }
  }
  if (static_cast<std::size_t>(std::distance(first, last)) >= kMostLayouts) return nullptr;
  ReorderedWeights::Copy copy{clone(api, slot.given.get(), description_),
                              clone(api, slot.wanted.get(), description_),
                              AlignedBuffer(api.memory_desc_get_size(slot.wanted.get()))};
  check_onednn(api.memory_set_data_handle(slot.wanted_memory.get(), copy.bytes.data()),
               "memory_set_data_handle", description_);
  run_reorder(slot, false);
  // From now on the copy is used: the weight's own pages come back from the file where anyone wants them.
  tensor::forget_pages(*data.constant, tensor::PagesAround::Keep);
  return copies.emplace(data.data, std::move(copy))->second.bytes.data();
}

void OnednnOperation::execute(Scratch& scratch, std::span<const OperationData> data) {
  const OnednnApi& api = *onednn();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const Slot& slot = slots_[i];
    check_onednn(api.memory_set_data_handle(slot.given_memory.get(), data[i].data), "memory_set_data_handle",
                 description_);
    if (slot.wanted == nullptr) continue;
    std::byte* reordered = data[i].constant != nullptr ? reorder_constant(slot, data[i]) : nullptr;
    const bool is_kept = reordered != nullptr;
    if (!is_kept) {
      const auto use = static_cast<ScratchUse>(static_cast<std::size_t>(ScratchUse::Reordered0) + i);
      reordered = scratch.get(use, api.memory_desc_get_size(slot.wanted.get()));
    }
    check_onednn(api.memory_set_data_handle(slot.wanted_memory.get(), reordered), "memory_set_data_handle",
                 description_);
    if (!is_kept && i + 1 != slots_.size()) run_reorder(slot, false);
  }
  if (scratchpad_ != nullptr) {
    check_onednn(
        api.memory_set_data_handle(scratchpad_.get(), scratch.get(ScratchUse::Library, scratchpad_bytes_)),
        "memory_set_data_handle", description_);
  }
  check_onednn(api.primitive_execute(primitive_.get(), stream_.get(), static_cast<int>(arguments_.size()),
                                     arguments_.data()),
               "primitive_execute", description_);
  if (slots_.back().wanted != nullptr) run_reorder(slots_.back(), true);
  check_onednn(api.stream_wait(stream_.get()), "stream_wait", description_);
}

OnednnOperation* OperationCache::find(const OperationKey& key) noexcept {
  const auto found = operations_.find(key);
  if (found == operations_.end()) return nullptr;
  found->second->last_used = ++clock_;
  return found->second.get();
}

OnednnOperation& OperationCache::insert(const OperationKey& key, std::unique_ptr<OnednnOperation> operation) {
  if (operations_.size() >= kMost) {
    operations_.erase(std::min_element(
        operations_.begin(), operations_.end(),
        [](const auto& a, const auto& b) { return a.second->last_used < b.second->last_used; }));
  }
  operation->last_used = ++clock_;
  return *(operations_[key] = std::move(operation));
}

}  // namespace penstock::cpu
