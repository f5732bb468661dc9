#include "model/probe.hpp"

#include "shim/context.hpp"
#include "tensor/storage.hpp"
#include "tensor/tensor_object.hpp"

#include <algorithm>

namespace penstock::model {
namespace {

using tensor::kRoomForDims;

AtenTensorHandle make_handle(const InputGuess& input) {
  static std::byte nothing[64];
  const Device device{static_cast<DeviceType>(input.device_type), 0};
  const tensor::StorageReference storage(tensor::borrow_storage(nothing, sizeof nothing, device));
  tensor::TensorObjectPtr made(tensor::make_tensor(storage.get(), {}));
  made->dtype = static_cast<DType>(input.dtype);
  made->rank = static_cast<std::int32_t>(input.known_rank());
  // Layout checks pass over tensors without elements.
  made->numel = 1;
  for (std::size_t dim = 0; dim < kRoomForDims; ++dim) {
    made->size[dim] = input.dims[dim].size;
    made->stride[dim] = input.dims[dim].stride;
  }
  return made.release();
}

}  // namespace

std::size_t InputGuess::known_rank() const {
  if (rank) return *rank;
  std::size_t last = 0;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i].mentioned) last = i + 1;
  }
  return last;
}

struct Probe::Call {
  Call(Probe& probe, bool checks_are_on)
      : handles(probe.inputs_.size()), outputs(probe.container_.output_count()) {
    context.purpose = shim::CallContext::Purpose::Probe;
    for (std::size_t i = 0; i < handles.size(); ++i) handles[i] = make_handle(probe.inputs_[i]);
    given = handles;
    if (checks_are_on) context.addressable_once.assign(given.begin(), given.end());
    const shim::ContextScope scope(context);
    passed = probe.container_.run(handles, outputs);
    for (const tensor::TensorObject* asked : context.rank_queries) {
      const auto found = std::find(given.begin(), given.end(), asked);
      if (found != given.end())
        probe.inputs_[static_cast<std::size_t>(found - given.begin())].layout_checked = true;
    }
  }

  ~Call() {
    for (AtenTensorHandle handle : handles) tensor::free_tensor(handle);
    // A model that only hands inputs on runs through; its outputs are our made-up tensors.
    for (AtenTensorHandle output : outputs) tensor::free_tensor(output);
  }

  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  shim::CallContext context;
  std::vector<AtenTensorHandle> handles;
  std::vector<AtenTensorHandle> outputs;
  std::vector<AtenTensorHandle> given;  ///< What `handles` were before the library took them.
  bool passed = false;
};

Probe::Probe(const Container& container) : container_(container), inputs_(container.input_count()) {}

CheckMessage Probe::call() {
  Call made(*this, /*checks_are_on=*/true);
  // The shim refuses work, which begins where the checks end.
  const bool reached_work = made.context.failure && made.context.failure->code == ErrorCode::Cancelled;
  CheckMessage message;
  if (made.passed || reached_work) {
    message.kind = CheckMessage::Kind::Passed;
    return message;
  }
  if (made.context.failure) return message;
  message = read_check_message(container_.message(made.context));
  if (message.kind == CheckMessage::Kind::Rank || message.kind == CheckMessage::Kind::Layout) {
    if (made.context.rank_queries.empty()) return {};
    const auto found = std::find(made.given.begin(), made.given.end(), made.context.rank_queries.back());
    if (found == made.given.end()) return {};
    message.input = static_cast<std::size_t>(found - made.given.begin());
  }
  return message;
}

bool Probe::checks_are_on() {
  const Call made(*this, /*checks_are_on=*/false);
  return !made.passed && made.handles.front() != nullptr;
}

}  // namespace penstock::model
