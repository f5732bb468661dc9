#include "model/weight_update.hpp"

#include "base/fail.hpp"
#include "cuda/used_on_device.hpp"
#include "shim/results.hpp"
#include "tensor/view_access.hpp"

#include <penstock/device_memory.hpp>

#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::model {
namespace {

std::optional<WeightLayout> layout_of(const tensor::TensorObject* weight) {
  if (weight == nullptr) return std::nullopt;
  return WeightLayout{.sizes = {weight->sizes().begin(), weight->sizes().end()},
                      .strides = {weight->strides().begin(), weight->strides().end()}};
}

void require_slots(const Container& container, const std::string& what) {
  if (!container.slots().empty()) return;
  if (container.weights().empty())
    base::fail(ErrorCode::InvalidArgument, "{}: the model has no weights", what);
  base::fail(ErrorCode::Unsupported, "{}: the library does not name its weights, so they cannot be replaced",
             what);
}

/// Refuses a load that lacks weights: buffers too, as there is nothing that they could keep.
void require_all(std::span<const WeightSlot> slots, std::span<const NamedWeight* const> matched,
                 const std::string& what) {
  std::vector<std::string_view> missing;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (matched[i] == nullptr && slots[i].bytes != 0) missing.push_back(slots[i].full_name);
  }
  if (missing.empty()) return;
  base::fail(
      ErrorCode::InvalidArgument,
      "{}: the package does not have the weights; give them by name (LoadOptions::weights, --weights): {}",
      what, fmt::join(missing, ", "));
}

/// Lets go of versions that nobody uses any more, that of a failed update too, in the end: on CUDA they are
/// put by.
class VersionsGone {
 public:
  explicit VersionsGone(const Model::Impl& model) noexcept : on_cuda_(model.cuda != nullptr) {}
  ~VersionsGone() {
    if (on_cuda_) cuda::let_go_of_used();
  }
  VersionsGone(const VersionsGone&) = delete;
  VersionsGone& operator=(const VersionsGone&) = delete;

 private:
  bool on_cuda_;
};

/// A weight without elements, which is never given.
tensor::TensorObjectPtr empty_weight(const WeightSlot& slot, const std::optional<WeightLayout>& layout) {
  const std::vector<std::int64_t> zero{0};
  const std::vector<std::int64_t> one{1};
  const StoragePtr storage(tensor::allocate_host_storage(0));
  return tensor::TensorObjectPtr(
      tensor::make_tensor(storage.get(), {.dtype = slot.dtype,
                                          .sizes = layout ? layout->sizes : zero,
                                          .strides = layout ? layout->strides : one}));
}

}  // namespace

void give_first_weights(Container& container, const FirstWeights& first, const std::string& what) {
  const std::span<const WeightSlot> slots = container.slots();
  const bool has_weights = !container.weights().empty();
  if (first.given.empty() && (has_weights || slots.empty())) return;
  require_slots(container, what);
  auto matched = match_weights(slots, first.given, UpdateScope::Partial, what);
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const auto packaged = std::ranges::find(first.packaged, slots[i].full_name, &NamedWeight::name);
    if (matched[i] == nullptr && packaged != first.packaged.end()) matched[i] = &*packaged;
  }
  if (!has_weights) require_all(slots, matched, what);
  std::vector<tensor::TensorObjectPtr> weights;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const tensor::TensorObject* const before = has_weights ? container.weights()[i].get() : nullptr;
    std::optional<WeightLayout> layout = layout_of(before);
    const auto hint = first.files.weight_layouts.find(slots[i].full_name);
    if (!layout && hint != first.files.weight_layouts.end()) layout = hint->second;
    if (matched[i] != nullptr) {
      weights.push_back(make_weight(slots[i], layout, *matched[i], what));
    } else {
      weights.push_back(before != nullptr ? shim::share(*before) : empty_weight(slots[i], layout));
    }
  }
  container.assign(std::move(weights));
}

void update_weights(Model::Impl& model, std::span<const NamedWeight> given, UpdateScope scope) {
  const VersionsGone gone(model);
  const std::lock_guard turn(model.update_mutex);
  const std::shared_ptr<Container> current = model.versions.current();
  require_slots(*current, model.what);
  const std::span<const WeightSlot> slots = current->slots();
  const auto matched = match_weights(slots, given, scope, model.what);
  std::vector<tensor::TensorObjectPtr> weights;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const tensor::TensorObject& before = *current->weights()[i];
    weights.push_back(matched[i] != nullptr
                          ? make_weight(slots[i], layout_of(&before), *matched[i], model.what)
                          : shim::share(before));
  }
  auto next = make_container(model.library, Place{model.device, model.cuda, model.executor}, model.what,
                             model.no_weights);
  next->take_places_of(*current);
  next->assign(std::move(weights));
  next->fold_constants();
  model.versions.publish(std::move(next));
}

Tensor copy_weight(const Model::Impl& model, std::string_view name) {
  const VersionsGone gone(model);
  const std::shared_ptr<Container> current = model.versions.current();
  const std::span<const WeightSlot> slots = current->slots();
  const auto found = std::ranges::find(slots, name, &WeightSlot::full_name);
  if (found == slots.end()) {
    base::fail(ErrorCode::NotFound, "{}: has no weight \"{}\" (Model::constants lists them)", model.what,
               name);
  }
  const tensor::TensorObject& weight = *current->weights()[static_cast<std::size_t>(found - slots.begin())];
  if (static_cast<std::size_t>(weight.rank) > kMaxRank) {
    base::fail(ErrorCode::Unsupported, "{}: weight \"{}\" has {} dimensions; at most {} can be given",
               model.what, name, weight.rank, kMaxRank);
  }
  TensorView view;
  TensorViewAccess::set(view, weight);
  return view.device() == Device{} ? Tensor::copy_of(view) : copy_to_host(view);
}

}  // namespace penstock::model
