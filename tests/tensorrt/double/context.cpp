#include "context.hpp"

#include "guard.hpp"
#include "slots.hpp"
#include "vtable.hpp"

#include <algorithm>
#include <set>

namespace penstock::trt_double {
namespace {

struct ContextName {
  static constexpr const char* kText = "IExecutionContext";
};
struct VContextName {
  static constexpr const char* kText = "VExecutionContext";
};

constexpr std::uintptr_t kMemoryAlignment = 256;

/// The rest of a line in the list of calls.
std::string line(const Context& context, const char* call, const char* tensor, const std::string& what) {
  return std::string(call) + " " + context.counted.name() + " " + (tensor == nullptr ? "null" : tensor) +
         " " + what;
}

const TensorPlan& require(const Context& context, const char* tensor) {
  const TensorPlan* const found = context.plan().find(tensor);
  if (found == nullptr) {
    refuse_call(std::string("there is no tensor ") + (tensor == nullptr ? "null" : tensor));
  }
  return *found;
}

Dims unknown_dims() {
  Dims dims;
  dims.count = -1;
  return dims;
}

bool set_profile(Context* self, std::int32_t profile, cuda::StreamHandle stream) {
  return guarded(self->logger, "IExecutionContext::setOptimizationProfileAsync", false, [&] {
    note(line(*self, "setOptimizationProfileAsync", std::to_string(profile).c_str(),
              "stream " + text_of(stream)));
    fail_where_wanted("setOptimizationProfileAsync");
    if (profile < 0 || profile >= self->plan().profiles) {
      refuse_call("there is no profile " + std::to_string(profile));
    }
    if (profile == self->profile) return true;
    self->profile = profile;
    for (Binding& each : self->bindings) {
      each.shape.reset();
      each.values.reset();
    }
    return true;
  });
}

bool set_input_shape(Context* self, const char* tensor, const Dims* dims) {
  return guarded(self->logger, "IExecutionContext::setInputShape", false, [&] {
    if (dims->count < 0 || dims->count > static_cast<std::int32_t>(dims->sizes.size())) {
      refuse_call("a shape of " + std::to_string(dims->count) + " dimensions");
    }
    const Shape shape(dims->sizes.begin(), dims->sizes.begin() + dims->count);
    note(line(*self, "setInputShape", tensor, text_of(shape)));
    fail_where_wanted("setInputShape");
    check_input_shape(*self, require(*self, tensor), shape);
    self->find(tensor)->shape = shape;
    return true;
  });
}

bool set_address(Context* self, const char* tensor, void* address) {
  return guarded(self->logger, "IExecutionContext::setTensorAddress", false, [&] {
    note(line(*self, "setTensorAddress", tensor, text_of(address)));
    fail_where_wanted("setTensorAddress");
    const TensorPlan& planned = require(*self, tensor);
    Binding& binding = *self->find(tensor);
    if (address == nullptr && (planned.mode == IoMode::Input || binding.allocator == nullptr)) {
      refuse_call(planned.name + " has to have an address");
    }
    binding.address = address;
    binding.values.reset();
    return true;
  });
}

bool set_allocator(Context* self, const char* tensor, HostObject* allocator) {
  return guarded(self->logger, "IExecutionContext::setOutputAllocator", false, [&] {
    note(line(*self, "setOutputAllocator", tensor, text_of(allocator)));
    fail_where_wanted("setOutputAllocator");
    if (require(*self, tensor).mode != IoMode::Output) refuse_call(std::string(tensor) + " is no output");
    if (allocator != nullptr && !is_interface(allocator, "IOutputAllocator")) {
      refuse_call("what was given is no IOutputAllocator of version 1.0");
    }
    self->find(tensor)->allocator = allocator;
    return true;
  });
}

std::int32_t infer(Context* self, std::int32_t count, const char** names) {
  return guarded<std::int32_t>(self->logger, "IExecutionContext::inferShapes", -1, [&] {
    note("inferShapes " + self->counted.name());
    fail_where_wanted("inferShapes");
    const std::vector<const char*> missing = infer_shapes(*self);
    for (std::size_t i = 0; names != nullptr && i < missing.size() && std::cmp_less(i, count); ++i) {
      names[i] = missing[i];
    }
    return static_cast<std::int32_t>(missing.size());
  });
}

Dims get_shape(Context* self, const char* tensor) {
  return guarded(self->logger, "IExecutionContext::getTensorShape", unknown_dims(), [&] {
    const TensorPlan& found = require(*self, tensor);
    return dims_of(known_shapes(*self)[static_cast<std::size_t>(&found - self->plan().tensors.data())]);
  });
}

/// Of elements one after another.
Dims get_strides(Context* self, const char* tensor) {
  Dims dims = get_shape(self, tensor);
  std::int64_t stride = 1;
  for (std::int32_t i = dims.count; i-- > 0;) {
    stride *= std::exchange(dims.sizes[static_cast<std::size_t>(i)], stride);
  }
  return dims;
}

void set_memory(Context* self, void* memory, std::int64_t bytes) {
  guarded(self->logger, "IExecutionContext::setDeviceMemoryV2", 0, [&] {
    note("setDeviceMemoryV2 " + self->counted.name() + " " + text_of(memory) + " " + std::to_string(bytes));
    fail_where_wanted("setDeviceMemoryV2");
    if (self->strategy != AllocationStrategy::UserManaged) refuse_call("the context has memory of its own");
    if (reinterpret_cast<std::uintptr_t>(memory) % kMemoryAlignment != 0) {
      refuse_call("the memory is not aligned to " + std::to_string(kMemoryAlignment) + " bytes");
    }
    self->memory = reinterpret_cast<cuda::DevicePointer>(memory);
    self->memory_bytes = bytes;
    return 0;
  });
}

void set_aux_streams(Context* self, cuda::StreamHandle* streams, std::int32_t count) {
  guarded(self->logger, "IExecutionContext::setAuxStreams", 0, [&] {
    std::string text = "setAuxStreams " + self->counted.name();
    for (std::int32_t i = 0; streams != nullptr && i < count; ++i) text += " " + text_of(streams[i]);
    note(text);
    if (count < 0 || (count > 0 && streams == nullptr)) refuse_call("there are no streams");
    const std::vector<cuda::StreamHandle> given(streams, streams + count);
    const std::set<cuda::StreamHandle> different(given.begin(), given.end());
    if (different.size() != given.size()) refuse_call("an auxiliary stream is given twice");
    if (different.contains(nullptr)) refuse_call("the default stream cannot be an auxiliary stream");
    self->aux_streams = given;
    if (std::cmp_greater(count, self->plan().aux_streams)) {
      self->aux_streams.resize(static_cast<std::size_t>(self->plan().aux_streams));
    }
    return 0;
  });
}

void set_profiler(Context* self, HostObject* profiler) {
  guarded(self->logger, "IExecutionContext::setProfiler", 0, [&] {
    note("setProfiler " + self->counted.name() + " " + text_of(profiler));
    if (profiler != nullptr && !kIs10 && !is_interface(profiler, "IProfiler")) {
      refuse_call("what was given is no IProfiler of version 1.0");
    }
    while (profiler != nullptr && self->timers.size() < self->plan().layers.size()) {
      Event start(*self->code, cuda::kEventDefault);
      self->timers.emplace_back(std::move(start), Event(*self->code, cuda::kEventDefault));
    }
    self->profiler = profiler;
    return 0;
  });
}

bool set_communicator(Context* self, void* communicator) {
  return guarded(self->logger, "IExecutionContext::setCommunicator", false, [&] {
    note("setCommunicator " + self->counted.name() + " " + text_of(communicator));
    fail_where_wanted("setCommunicator");
    if (!self->plan().collectives) refuse_call("the engine has no collectives");
    self->communicator = communicator;
    return true;
  });
}

bool set_consumed_event(Context* self, cuda::EventHandle event) {
  return guarded(self->logger, "IExecutionContext::setInputConsumedEvent", false, [&] {
    note("setInputConsumedEvent " + self->counted.name() + " " + text_of(event));
    fail_where_wanted("setInputConsumedEvent");
    self->consumed = event;
    return true;
  });
}

bool enqueue_v3(Context* self, cuda::StreamHandle stream) {
  return guarded(self->logger, "IExecutionContext::enqueueV3", false, [&] {
    if (self->busy.exchange(true)) {
      note("violation: " + self->counted.name() + " is used by two threads at once");
    }
    struct Leave {
      std::atomic<bool>& busy;
      ~Leave() { busy = false; }
    } leave{self->busy};
    enqueue(*self, stream);
    return true;
  });
}

bool all_specified(Context* self) {
  const Plan& plan = self->plan();
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const bool dynamic = plan.tensors[i].mode == IoMode::Input && !is_known(plan.tensors[i].shape);
    if (dynamic && !self->bindings[i].shape) return false;
  }
  return true;
}

void set_tensor_slots(Vtable<VContextName>& made) {
  using namespace of_context;
  made.set(kSetInputShape, &set_input_shape).set(kGetTensorShape, &get_shape);
  made.set(kGetTensorStrides, &get_strides).set(kInferShapes, &infer);
  made.set(kAllInputDimensionsSpecified, &all_specified);
  made.set(kSetTensorAddress, &set_address);
  made.set(kSetOutputTensorAddress, &set_address);
  made.set(
      kSetInputTensorAddress, +[](Context* self, const char* tensor, const void* address) {
        return set_address(self, tensor, const_cast<void*>(address));
      });
  const auto get_address = +[](Context* self, const char* tensor) -> void* {
    const Binding* const found = self->find(tensor);
    return found == nullptr ? nullptr : found->address;
  };
  made.set(kGetTensorAddress, get_address).set(kGetOutputTensorAddress, get_address);
  made.set(kSetOutputAllocator, &set_allocator);
  made.set(
      kGetOutputAllocator, +[](Context* self, const char* tensor) -> void* {
        const Binding* const found = self->find(tensor);
        return found == nullptr ? nullptr : found->allocator;
      });
  made.set(
      kGetMaxOutputSize, +[](Context* self, const char* tensor) -> std::int64_t {
        const TensorPlan* const found = self->plan().find(tensor);
        return found == nullptr || found->mode != IoMode::Output ? -1 : most_bytes(*self, *found);
      });
}

void set_kept_slots(Vtable<VContextName>& made) {
  using namespace of_context;
  made.set(
      kSetDebugSync, +[](Context* self, bool sync) { self->debug_sync = sync; });
  made.set(
      kGetDebugSync, +[](Context* self) { return self->debug_sync; });
  made.set(
      kGetProfiler, +[](Context* self) { return self->profiler; });
  made.set(
      kGetEngine, +[](Context* self) { return self->engine->face; });
  made.set(
      kSetName, +[](Context* self, const char* name) { self->name = name == nullptr ? "" : name; });
  made.set(
      kGetName, +[](Context* self) { return self->name.c_str(); });
  made.set(
      kGetOptimizationProfile, +[](Context* self) { return self->profile; });
  made.set(
      kSetErrorRecorder, +[](Context* self, void* recorder) { self->error_recorder = recorder; });
  made.set(
      kGetErrorRecorder, +[](Context* self) { return self->error_recorder; });
  made.set(
      kSetTemporaryStorageAllocator, +[](Context* self, void* allocator) {
        self->temporary_allocator = allocator;
        return true;
      });
  made.set(
      kSetPersistentCacheLimit, +[](Context*, std::size_t) {});
  made.set(
      kSetNvtxVerbosity, +[](Context*, std::int32_t) { return true; });
  made.set(
      kUpdateDeviceMemorySizeForShapes,
      +[](Context* self) { return static_cast<std::size_t>(self->plan().device_memory); });
}

const VtableEntry* context_vtable() {
  using namespace of_context;
  static const Vtable<VContextName> table = [] {
    Vtable<VContextName> made;
    set_tensor_slots(made);
    set_kept_slots(made);
    made.set(2, &get_pimpl<Context>);
    made.set(kSetOptimizationProfileAsync, &set_profile);
    made.set(kSetProfiler, &set_profiler);
    made.set(kSetDeviceMemoryV2, &set_memory);
    // Of which nothing says how much it is.
    made.set(
        kSetDeviceMemory,
        +[](Context* self, void* memory) { set_memory(self, memory, self->plan().device_memory); });
    made.set(kSetAuxStreams, &set_aux_streams);
    made.set(kSetInputConsumedEvent, &set_consumed_event);
    made.set(kSetCommunicator, &set_communicator);
    made.set(kEnqueueV3, &enqueue_v3);
    return made;
  }();
  return table.entries();
}

}  // namespace

Context::Context(std::shared_ptr<EngineState> of_engine, AllocationStrategy with_strategy)
    : vtable(context_vtable()),
      face(face_of<Context, ContextName>(*this)),
      engine(std::move(of_engine)),
      logger(engine->logger),
      code(DeviceCode::of(engine->device)),
      strategy(with_strategy),
      bindings(engine->plan.tensors.size()),
      fork(*code, cuda::kEventDisableTiming) {
  const auto is_nonzero = [](const LayerPlan& layer) { return layer.kind == LayerKind::Nonzero; };
  if (std::any_of(plan().layers.begin(), plan().layers.end(), is_nonzero)) {
    found_count = Memory(code, sizeof(std::int64_t));
  }
  if (strategy != AllocationStrategy::UserManaged && plan().device_memory > 0) {
    own_memory = Memory(code, static_cast<std::size_t>(plan().device_memory));
    memory = own_memory.address();
    memory_bytes = plan().device_memory;
  }
  for (int i = 0; i < plan().aux_streams; ++i) joins.emplace_back(*code, cuda::kEventDisableTiming);
  if (plan().aux_streams > 0) {
    for (std::size_t i = 0; i < plan().layers.size(); ++i) {
      layer_events.emplace_back(*code, cuda::kEventDisableTiming);
    }
  }
  ++engine->contexts;
}

Context::~Context() { --engine->contexts; }

Binding* Context::find(const char* tensor) {
  const TensorPlan* const found = plan().find(tensor);
  return found == nullptr ? nullptr : &bindings[static_cast<std::size_t>(found - plan().tensors.data())];
}

Face* create_context(const std::shared_ptr<EngineState>& engine, AllocationStrategy strategy) {
  if (current_device() != engine->device) {
    throw CudaProblem{"Cuda Runtime (the current context is not of the device that the engine was read on)"};
  }
  auto* const context = new Context(engine, strategy);
  note("createExecutionContext " + context->counted.name() + " " + engine->name + " strategy " +
       std::to_string(static_cast<int>(strategy)));
  return &context->face;
}

}  // namespace penstock::trt_double
