#include "session/outputs.hpp"

#include "base/fail.hpp"
#include "model/model_impl.hpp"
#include "tensor/address.hpp"
#include "tensor/layout.hpp"
#include "tensor/view_access.hpp"

#include <algorithm>
#include <functional>

namespace penstock::session {
namespace {

struct Bytes {
  const std::byte* begin;
  const std::byte* end;
};

Bytes bytes_of(const TensorView& view) {
  const auto* begin = static_cast<const std::byte*>(view.data());
  const std::int64_t extent = *tensor::checked_extent(view.sizes(), view.strides());
  return {begin, tensor::address_at(begin, extent * static_cast<std::int64_t>(element_bytes(view.dtype())))};
}

bool overlap(const TensorView& a, const TensorView& b) {
  const Bytes first = bytes_of(a);
  const Bytes second = bytes_of(b);
  if (first.begin == first.end || second.begin == second.end) return false;
  return std::less<>{}(first.begin, second.end) && std::less<>{}(second.begin, first.end);
}

void check_target(const TensorView& target, Device device, std::size_t index, const std::string& what) {
  if (target.device() != device) {
    base::fail(ErrorCode::InvalidArgument, "{}: the view for out{} is on {}, the model on {}", what, index,
               to_string(target.device()), to_string(device));
  }
  const Bytes bytes = bytes_of(target);
  if (bytes.begin == nullptr && target.numel() != 0) {
    base::fail(ErrorCode::InvalidArgument, "{}: the view for out{} has a null address", what, index);
  }
  if (static_cast<std::size_t>(bytes.end - bytes.begin) > target.storage_bytes()) {
    base::fail(ErrorCode::InvalidArgument, "{}: the view for out{} reaches {} bytes, its storage has {}",
               what, index, bytes.end - bytes.begin, target.storage_bytes());
  }
  if (tensor::may_overlap_itself(target.sizes(), target.strides())) {
    base::fail(
        ErrorCode::InvalidArgument,
        "{}: the view for out{} may have elements at the same address: its sizes are {}, its strides {}; "
        "take strides that step past all smaller ones",
        what, index, tensor::sizes_text(target.sizes()), tensor::sizes_text(target.strides()));
  }
}

void require_same(const TensorView& result, const TensorView& target, std::size_t index,
                  const std::string& what) {
  if (result.dtype() == target.dtype() && std::ranges::equal(result.sizes(), target.sizes())) return;
  base::fail(ErrorCode::InvalidArgument, "{}: out{} is {}, the view for it {}", what, index,
             to_string(result), to_string(target));
}

}  // namespace

void show(const tensor::TensorObject& result, TensorView& view, const std::string& what) {
  if (result.storage == nullptr) {
    base::fail(ErrorCode::Internal, "{}: the model gave an undefined output", what);
  }
  if (static_cast<std::size_t>(result.rank) > kMaxRank) {
    base::fail(ErrorCode::Unsupported, "{}: an output has {} dimensions; at most {} can be given", what,
               result.rank, kMaxRank);
  }
  TensorViewAccess::set(view, result);
}

Tensor keep(tensor::TensorObjectPtr result, const TensorView& view, const WeightOwner& owner) {
  struct Holder {
    // The tensor goes first, then the version that its memory is of, then the library.
    std::shared_ptr<Model::Impl> model;
    std::shared_ptr<model::Container> version;
    tensor::TensorObjectPtr tensor;
  };
  const bool is_weight = result->storage->of_model;
  auto holder = std::make_shared<Holder>();
  holder->tensor = std::move(result);
  if (is_weight) {
    holder->model = owner.model;
    holder->version = owner.version;
  }
  return Tensor::adopt(view, std::move(holder));
}

std::vector<Tensor> tensors_over(std::span<const TensorView> views,
                                 std::span<const AtenTensorHandle> results) {
  // The memory is the caller's: there is nothing to keep alive, but a tensor has an owner.
  static const auto nobody = std::make_shared<char>();
  std::vector<Tensor> tensors;
  tensors.reserve(views.size());
  for (std::size_t i = 0; i < views.size(); ++i)
    tensors.push_back(results[i] == nullptr ? Tensor() : Tensor::adopt(views[i], nobody));
  return tensors;
}

void check_targets(std::span<const TensorView> targets, std::span<const TensorView> inputs,
                   const OutputPlace& place, const std::string& what) {
  if (targets.empty()) return;
  if (targets.size() != place.count) {
    base::fail(ErrorCode::InvalidArgument, "{} has {} outputs, views for {} were given", what, place.count,
               targets.size());
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    check_target(targets[i], place.device, i, what);
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      if (overlap(targets[i], inputs[k])) {
        base::fail(ErrorCode::InvalidArgument, "{}: the view for out{} overlaps input arg{}", what, i, k);
      }
    }
    for (std::size_t k = 0; k < i; ++k) {
      if (overlap(targets[i], targets[k])) {
        base::fail(ErrorCode::InvalidArgument, "{}: the views for out{} and out{} overlap", what, k, i);
      }
    }
  }
}

void copy_to_targets(std::span<const TensorView> results, std::span<const AtenTensorHandle> handles,
                     std::span<const TensorView> targets, const std::string& what) {
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (handles[i] != nullptr) require_same(results[i], targets[i], i, what);
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].numel() == 0) continue;
    tensor::copy_strided(targets[i].data(), targets[i].strides(), results[i].data(), results[i].strides(),
                         results[i].sizes(), element_bytes(results[i].dtype()));
  }
}

void copy_on_device(const shim::CudaCall& call, std::span<const AtenTensorHandle> results,
                    std::span<const TensorView> targets, const std::string& what) {
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (results[i] == nullptr) continue;
    TensorView result;
    show(*results[i], result, what);
    require_same(result, targets[i], i, what);
  }
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (results[i] == nullptr) continue;
    const TensorView& target = targets[i];
    const tensor::StorageReference storage(
        tensor::borrow_storage(target.data(), target.storage_bytes(), target.device()));
    const tensor::TensorObjectPtr to(tensor::make_tensor(
        storage.get(), {.dtype = target.dtype(), .sizes = target.sizes(), .strides = target.strides()}));
    call.operators->copy(call, *to, *results[i]);
  }
}

}  // namespace penstock::session
