#include "engine.hpp"

#include "device.hpp"
#include "guard.hpp"
#include "slots.hpp"
#include "vtable.hpp"

#include <algorithm>
#include <utility>

namespace penstock::trt_double {
namespace {

struct EngineName {
  static constexpr const char* kText = "ICudaEngine";
};
struct VEngineName {
  static constexpr const char* kText = "VCudaEngine";
};

/// Null, and the log says so, where the engine has none of the name.
const TensorPlan* find(Engine* self, const char* function, const char* tensor) {
  const TensorPlan* const found = self->state->plan.find(tensor);
  if (found == nullptr) {
    log_error(
        self->state->logger, function, kApiUsageError,
        std::string("API Usage Error (there is no tensor ") + (tensor == nullptr ? "null" : tensor) + ")");
  }
  return found;
}

Face* create(Engine* self, AllocationStrategy strategy) {
  return guarded<Face*>(self->state->logger, "ICudaEngine::createExecutionContext", nullptr, [&] {
    fail_where_wanted("createExecutionContext");
    if (strategy < AllocationStrategy::Static || strategy > AllocationStrategy::UserManaged) {
      refuse_call("there is no allocation strategy " + std::to_string(static_cast<int>(strategy)));
    }
    return create_context(self->state, strategy);
  });
}

Face* create_with_config(Engine* self, Face* config) {
  return create(self, config == nullptr ? AllocationStrategy::Static : strategy_of(*config));
}

Dims unknown_dims() {
  Dims dims;
  dims.count = -1;
  return dims;
}

Dims get_tensor_shape(Engine* self, const char* tensor) {
  const TensorPlan* const found = find(self, "ICudaEngine::getTensorShape", tensor);
  return found == nullptr ? unknown_dims() : dims_of(found->shape);
}

const Shape* profile_entry(const Plan& plan, const TensorPlan& tensor, std::int32_t profile,
                           ProfileSelector selector) {
  if (profile < 0 || profile >= plan.profiles || tensor.profiles.empty()) return nullptr;
  const ProfileRange& range = tensor.profiles[static_cast<std::size_t>(profile)];
  switch (selector) {
    case ProfileSelector::Min: return &range.min;
    case ProfileSelector::Opt: return &range.opt;
    case ProfileSelector::Max: return &range.max;
  }
  return nullptr;
}

Dims get_profile_shape(Engine* self, const char* tensor, std::int32_t profile, ProfileSelector selector) {
  constexpr const char* kFunction = "ICudaEngine::getProfileShape";
  const TensorPlan* const found = find(self, kFunction, tensor);
  if (found == nullptr) return unknown_dims();
  const Plan& plan = self->state->plan;
  if (profile < 0 || profile >= plan.profiles || found->mode != IoMode::Input) {
    log_error(self->state->logger, kFunction, kApiUsageError,
              "API Usage Error (" + found->name + " has no profile " + std::to_string(profile) + ")");
    return unknown_dims();
  }
  // Those of a shape tensor are of its values.
  const Shape* const entry = found->shape_input ? nullptr : profile_entry(plan, *found, profile, selector);
  return dims_of(entry == nullptr ? found->shape : *entry);
}

const std::int64_t* get_profile_values(Engine* self, const char* tensor, std::int32_t profile,
                                       ProfileSelector selector) {
  const TensorPlan* const found = find(self, "ICudaEngine::getProfileTensorValuesV2", tensor);
  if (found == nullptr || !found->shape_input) return nullptr;
  const Shape* const entry = profile_entry(self->state->plan, *found, profile, selector);
  return entry == nullptr ? nullptr : entry->data();
}

bool set_budget(Engine* self, std::int64_t budget) {
  EngineState& state = *self->state;
  return guarded(state.logger, "ICudaEngine::setWeightStreamingBudgetV2", false, [&] {
    note("setWeightStreamingBudgetV2 " + state.name + " " + std::to_string(budget));
    fail_where_wanted("setWeightStreamingBudgetV2");
    if (state.plan.streamable_weights == 0) refuse_call("the engine was not built with weight streaming");
    if (state.contexts > 0) refuse_call("the budget cannot be changed while there are execution contexts");
    if (budget < state.plan.least_budget) {
      refuse_call("a budget of " + std::to_string(budget) + " bytes is too small; the least is " +
                  std::to_string(state.plan.least_budget));
    }
    state.weights_budget = std::min(budget, state.plan.streamable_weights);
    return true;
  });
}

std::int64_t automatic_budget(Engine* self) {
  const Plan& plan = self->state->plan;
  return std::max(plan.streamable_weights / 2, plan.least_budget);
}

std::int64_t memory_for_profile(Engine* self, std::int32_t profile) {
  return profile < 0 || profile >= self->state->plan.profiles ? 0 : context_bytes(self->state->plan);
}

const char* io_name(Engine* self, std::int32_t index) {
  const Plan& plan = self->state->plan;
  if (index < 0 || static_cast<std::size_t>(index) >= plan.io_count()) return nullptr;
  return plan.tensors[static_cast<std::size_t>(index)].name.c_str();
}

const char* aliased_input(Engine* self, const char* tensor) {
  const TensorPlan* const found = find(self, "ICudaEngine::getAliasedInputTensor", tensor);
  return found == nullptr || found->alias.empty() ? nullptr : found->alias.c_str();
}

void set_tensor_slots(Vtable<VEngineName>& made) {
  using namespace of_engine;
  made.set(kGetTensorShape, &get_tensor_shape);
  made.set(
      kGetTensorDataType, +[](Engine* self, const char* tensor) {
        const TensorPlan* const found = find(self, "ICudaEngine::getTensorDataType", tensor);
        return found == nullptr ? DataType::Float : found->type;
      });
  made.set(
      kGetTensorLocation, +[](Engine* self, const char* tensor) {
        const TensorPlan* const found = find(self, "ICudaEngine::getTensorLocation", tensor);
        return found == nullptr ? Location::Device : found->location;
      });
  made.set(
      kIsShapeInferenceIo, +[](Engine* self, const char* tensor) {
        const TensorPlan* const found = find(self, "ICudaEngine::isShapeInferenceIO", tensor);
        return found != nullptr && found->shape_input;
      });
  made.set(
      kGetTensorIoMode, +[](Engine* self, const char* tensor) {
        const TensorPlan* const found = find(self, "ICudaEngine::getTensorIOMode", tensor);
        return found == nullptr ? IoMode::None : found->mode;
      });
  made.set(
      kGetTensorFormat, +[](Engine*, const char*) -> std::int32_t { return 0; });
  made.set(kGetProfileShape, &get_profile_shape).set(kGetProfileTensorValuesV2, &get_profile_values);
  made.set(
      kGetNbIoTensors, +[](Engine* self) { return static_cast<std::int32_t>(self->state->plan.io_count()); });
  made.set(kGetIoTensorName, &io_name).set(kGetAliasedInputTensor, &aliased_input);
}

const VtableEntry* engine_vtable() {
  using namespace of_engine;
  static const Vtable<VEngineName> table = [] {
    Vtable<VEngineName> made;
    set_tensor_slots(made);
    made.set(2, &get_pimpl<Engine>);
    made.set(
        kSerialize, +[](Engine* self) { return create_host_memory(self->state->plan.text); });
    made.set(kCreateExecutionContext, &create);
    made.set(kCreateExecutionContextWithRuntimeConfig, &create_with_config);
    made.set(
        kCreateRuntimeConfig, +[](Engine*) { return create_runtime_config(); });
    made.set(
        kIsRefittable, +[](Engine*) { return false; });
    made.set(
        kGetName, +[](Engine* self) { return self->state->plan.name.c_str(); });
    made.set(
        kGetNbOptimizationProfiles, +[](Engine* self) { return self->state->plan.profiles; });
    made.set(
        kCreateEngineInspector, +[](Engine* self) {
          return guarded<Face*>(self->state->logger, "ICudaEngine::createEngineInspector", nullptr, [&] {
            fail_where_wanted("createEngineInspector");
            return create_inspector(self->state);
          });
        });
    made.set(
        kGetNbAuxStreams, +[](Engine* self) { return self->state->plan.aux_streams; });
    made.set(
        kGetStreamableWeightsSize, +[](Engine* self) { return self->state->plan.streamable_weights; });
    made.set(kSetWeightStreamingBudgetV2, &set_budget);
    made.set(
        kGetWeightStreamingBudgetV2, +[](Engine* self) { return self->state->weights_budget.load(); });
    made.set(kGetWeightStreamingAutomaticBudget, &automatic_budget);
    made.set(
        kGetDeviceMemorySizeV2, +[](Engine* self) { return context_bytes(self->state->plan); });
    made.set(kGetDeviceMemorySizeForProfileV2, &memory_for_profile);
    return made;
  }();
  return table.entries();
}

}  // namespace

Engine::Engine(Plan plan, HostObject* logger, int device, std::shared_ptr<std::atomic<int>> of_runtime)
    : vtable(engine_vtable()), face(face_of<Engine, EngineName>(*this)), siblings(std::move(of_runtime)) {
  state->plan = std::move(plan);
  state->logger = logger;
  state->device = device;
  state->name = counted.name();
  state->face = &face;
  state->weights_budget = state->plan.streamable_weights;
  ++*siblings;
}

Engine::~Engine() {
  if (state->contexts > 0) note("violation: " + counted.name() + " is destroyed before its contexts");
  state->face = nullptr;
  --*siblings;
  try {
    if (weights != 0) static_cast<void>(driver().mem_free(weights));
  } catch (const CudaProblem&) {  // The process may be at its end.
  }
}

}  // namespace penstock::trt_double
