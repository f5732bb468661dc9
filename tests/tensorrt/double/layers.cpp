#include "layers.hpp"

#include "guard.hpp"
#include "slots.hpp"

#include <algorithm>
#include <array>

namespace penstock::trt_double {
namespace {

constexpr std::int64_t kAlignment = 256;
constexpr unsigned kThreads = 128;
constexpr std::int64_t kMostBlocks = 1024;
constexpr int kOutOfMemory = 2;

std::int64_t blocks_for(std::int64_t count) {
  return std::clamp<std::int64_t>((count + kThreads - 1) / kThreads, 1, kMostBlocks);
}

int number_of(DataType type) { return static_cast<int>(type); }

}  // namespace

Run::Run(Context& context, std::vector<cuda::StreamHandle> streams, std::vector<Shape> shapes)
    : context_(context),
      streams_(std::move(streams)),
      shapes_(std::move(shapes)),
      addresses_(shapes_.size()),
      makers_(shapes_.size(), -1) {
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    if (tensor(i).mode == IoMode::Input) addresses_[i] = context_.bindings[i].address;
  }
}

const TensorPlan& Run::tensor(std::size_t index) const { return context_.plan().tensors[index]; }

cuda::StreamHandle Run::stream_of(const LayerPlan& layer) const {
  return streams_[static_cast<std::size_t>(layer.stream)];
}

bool Run::is_data_dependent(const LayerPlan& layer) { return layer.kind == LayerKind::Nonzero; }

template <class... Parameters>
void Run::launch(Kernel kernel, std::int64_t blocks, unsigned threads, const LayerPlan& layer,
                 Parameters... parameters) {
  std::array<void*, sizeof...(Parameters)> addresses{&parameters...};
  check(driver().launch_kernel(context_.code->function(kernel), static_cast<unsigned>(blocks), 1, 1, threads,
                               1, 1, 0, stream_of(layer), addresses.data(), nullptr),
        "cuLaunchKernel");
}

void Run::place_known_outputs() {
  for (std::size_t i = 0; i < shapes_.size(); ++i) {
    if (tensor(i).mode == IoMode::Output && is_known(shapes_[i])) place(i);
  }
}

void Run::place(std::size_t index) {
  if (addresses_[index] != nullptr) return;
  const std::int64_t bytes = count(index) * bytes_of(tensor(index).type);
  if (tensor(index).mode == IoMode::None) {
    addresses_[index] = place_between(index, bytes);
  } else if (context_.bindings[index].allocator != nullptr) {
    addresses_[index] = allocate(index, bytes);
  } else {
    addresses_[index] = context_.bindings[index].address;
  }
}

void* Run::place_between(std::size_t index, std::int64_t bytes) {
  const std::int64_t begin = used_;
  used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (begin + bytes > context_.plan().device_memory) {
    refuse_call("the plan's device_memory of " + std::to_string(context_.plan().device_memory) +
                " bytes has no room for " + tensor(index).name);
  }
  return reinterpret_cast<void*>(context_.memory + static_cast<cuda::DevicePointer>(begin));
}

void* Run::allocate(std::size_t index, std::int64_t bytes) {
  using Reallocate = void*(HostObject*, const char*, void*, std::uint64_t, std::uint64_t, cuda::StreamHandle);
  using Notify = void(HostObject*, const char*, const Dims*);
  const Binding& binding = context_.bindings[index];
  const char* const name = tensor(index).name.c_str();
  void* const address = slot_of<Reallocate>(*binding.allocator, kReallocateOutputAsync)(
      binding.allocator, name, binding.address, static_cast<std::uint64_t>(bytes),
      static_cast<std::uint64_t>(kAlignment), streams_[0]);
  note("reallocateOutputAsync " + context_.counted.name() + " " + name + " " + std::to_string(bytes) +
       " stream " + text_of(streams_[0]) + " gave " + text_of(address));
  if (address == nullptr) {
    throw Refusal{kOutOfMemory, std::string("OutOfMemory (the output allocator of ") + name + " gave no " +
                                    std::to_string(bytes) + " bytes)"};
  }
  const Dims dims = dims_of(shapes_[index]);
  slot_of<Notify>(*binding.allocator, kNotifyShape)(binding.allocator, name, &dims);
  note("notifyShape " + context_.counted.name() + " " + name + " " + text_of(shapes_[index]));
  return address;
}

void Run::fork() {
  if (streams_.size() == 1) return;
  check(driver().event_record(context_.fork.handle(), streams_[0]), "cuEventRecord");
  for (std::size_t i = 1; i < streams_.size(); ++i) {
    check(driver().stream_wait_event(streams_[i], context_.fork.handle(), 0), "cuStreamWaitEvent");
  }
}

void Run::join() {
  for (std::size_t i = 1; i < streams_.size(); ++i) {
    check(driver().event_record(context_.joins[i - 1].handle(), streams_[i]), "cuEventRecord");
    check(driver().stream_wait_event(streams_[0], context_.joins[i - 1].handle(), 0), "cuStreamWaitEvent");
  }
}

void Run::wait_for_inputs(const LayerPlan& layer) {
  for (const std::size_t input : layer.inputs) {
    if (makers_[input] < 0) continue;
    const auto maker = static_cast<std::size_t>(makers_[input]);
    if (context_.plan().layers[maker].stream == layer.stream) continue;
    const cuda::EventHandle event = context_.layer_events[maker].handle();
    check(driver().stream_wait_event(stream_of(layer), event, 0), "cuStreamWaitEvent");
  }
}

void Run::run_layer(std::size_t index) {
  const LayerPlan& layer = context_.plan().layers[index];
  wait_for_inputs(layer);
  const bool timed = context_.profiler != nullptr;
  if (timed) {
    check(driver().event_record(context_.timers[index].first.handle(), stream_of(layer)), "cuEventRecord");
  }
  if (!is_data_dependent(layer)) {
    shapes_[layer.output] = output_shape(context_, layer, shapes_);
    if (!is_known(shapes_[layer.output])) refuse_call("the shape of layer " + layer.name + " is not known");
    place(layer.output);
  }
  launch_layer(layer);
  makers_[layer.output] = static_cast<std::ptrdiff_t>(index);
  if (timed) {
    check(driver().event_record(context_.timers[index].second.handle(), stream_of(layer)), "cuEventRecord");
  }
  if (!context_.layer_events.empty()) {
    check(driver().event_record(context_.layer_events[index].handle(), stream_of(layer)), "cuEventRecord");
  }
}

void Run::launch_layer(const LayerPlan& layer) {
  if (is_data_dependent(layer)) return run_nonzero(layer);
  const std::int64_t elements = count(layer.output);
  if (elements == 0) return;
  void* const out = addresses_[layer.output];
  const int type = number_of(tensor(layer.output).type);
  switch (layer.kind) {
    case LayerKind::Affine: run_affine(layer); break;
    case LayerKind::Smid: launch(Kernel::Smid, elements, 1, layer, out, elements, layer.spin_us); break;
    case LayerKind::Append: {
      const std::size_t x = layer.inputs[1];
      if (count(x) == 0) break;
      launch(Kernel::Append, blocks_for(elements), kThreads, layer, out, addresses_[x], elements, count(x),
             type, layer.spin_us);
      break;
    }
    case LayerKind::Resize:
      launch(Kernel::Fill, blocks_for(elements), kThreads, layer, out, elements, layer.bias, type,
             layer.spin_us);
      break;
    case LayerKind::Nonzero: break;
  }
}

void Run::run_affine(const LayerPlan& layer) {
  std::array<void*, 4> inputs{};
  int types = number_of(tensor(layer.output).type);
  for (std::size_t i = 0; i < layer.inputs.size(); ++i) {
    inputs[i] = addresses_[layer.inputs[i]];
    types |= number_of(tensor(layer.inputs[i]).type) << (4 * (i + 1));
    if (count(layer.inputs[i]) != count(layer.output)) {
      refuse_call("the inputs of layer " + layer.name + " differ in size");
    }
  }
  launch(Kernel::Affine, blocks_for(count(layer.output)), kThreads, layer, addresses_[layer.output],
         inputs[0], inputs[1], inputs[2], inputs[3], count(layer.output), layer.scale, layer.bias, types,
         layer.spin_us);
}

void Run::run_nonzero(const LayerPlan& layer) {
  const std::size_t input = layer.inputs[0];
  const std::int64_t elements = count(input);
  const cuda::DevicePointer result = context_.found_count.address();
  const cuda::StreamHandle stream = stream_of(layer);
  std::int64_t found = 0;
  launch(Kernel::Count, 1, 1, layer, result, addresses_[input], elements, layer.spin_us);
  check(driver().memcpy_dtoh_async(&found, result, sizeof found, stream), "cuMemcpyDtoHAsync");
  check(driver().stream_synchronize(stream), "cuStreamSynchronize");
  shapes_[layer.output] = {found};
  place(layer.output);
  if (found == 0) return;
  launch(Kernel::Compact, 1, 1, layer, addresses_[layer.output], addresses_[input], elements,
         number_of(tensor(layer.output).type));
}

}  // namespace penstock::trt_double
