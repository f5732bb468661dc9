#include "tensorrt/registry.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "tensorrt/engine_impl.hpp"
#include "tensorrt/engine_state.hpp"
#include "tensorrt/execute.hpp"

#include <memory>
#include <utility>

namespace penstock::tensorrt {
namespace {

/// Least compute capability that plans for other GPUs run on.
constexpr int kLeastCompatible = 8;

int attribute_of(const cuda::PrimaryContext& context, int which) {
  int value = 0;
  cuda::check(cuda::driver().device_get_attribute(&value, which, context.number()), "cuDeviceGetAttribute",
              fmt::format("cuda:{}", context.device()));
  return value;
}

void check_device(const EngineState& state, const cuda::PrimaryContext& context, const std::string& what) {
  if (state.device.is_dla) {
    base::fail(ErrorCode::Unsupported,
               "{} was built for a DLA; Penstock runs engines on GPUs: build it for one", what);
  }
  const int major = attribute_of(context, cuda::kComputeCapabilityMajor);
  const int minor = attribute_of(context, cuda::kComputeCapabilityMinor);
  const bool is_same = major == state.device.major && minor == state.device.minor;
  if (is_same || (state.hardware_compatible && major >= kLeastCompatible)) return;
  base::fail(
      ErrorCode::Incompatible,
      "{} was built for compute capability {}.{} ({}), cuda:{} has {}.{}: build it for this GPU, or with "
      "hardware compatibility",
      what, state.device.major, state.device.minor, state.device.name, context.device(), major, minor);
}

/// An engine that is in no package: all that is known of it is its plan.
std::shared_ptr<CustomObject> create_of_plan(const Value& plan, const ObjectOrigin& origin,
                                             const std::vector<std::filesystem::path>& libraries) {
  TensorRTEngineState first;
  first.built = BuiltEngine::make({.what = "TensorRT engine",
                                   .context = cuda::primary_context(origin.device.index),
                                   .libraries = libraries,
                                   .of_package = false,
                                   .inputs = {},
                                   .outputs = {},
                                   .aliases = {},
                                   .weight_budget = std::nullopt},
                                  plan.bytes());
  auto impl = std::make_unique<TensorRTEngine::Impl>(std::move(first), std::string(origin.name));
  impl->uses_collectives = true;  // Perhaps: nothing tells.
  impl->serialized = plan;
  return std::make_shared<TensorRTEngine>(std::move(impl));
}

std::shared_ptr<CustomObject> create_engine(const Value& value, const ObjectOrigin& origin,
                                            const std::vector<std::filesystem::path>& libraries) {
  if (value.kind() == ValueKind::Bytes) return create_of_plan(value, origin, libraries);
  const EngineState state = read_engine_state(value);
  const std::string what = fmt::format("TensorRT engine {}", state.name.empty() ? origin.name : state.name);
  if (origin.device.type != DeviceType::Cuda)
    base::fail(ErrorCode::Unsupported, "{} runs on CUDA; load its model there (--device cuda)", what);
  EngineSource source{.what = what,
                      .context = cuda::primary_context(origin.device.index),
                      .libraries = libraries,
                      .of_package = true,
                      .inputs = state.inputs,
                      .outputs = state.outputs,
                      .aliases = state.aliases,
                      .weight_budget = std::nullopt};
  check_device(state, *source.context, what);
  TensorRTEngineState first;
  first.built = BuiltEngine::make(std::move(source), plan_of(value).bytes);
  first.output_allocator = state.requires_output_allocator;
  auto impl = std::make_unique<TensorRTEngine::Impl>(std::move(first), state.name);
  impl->requires_output_allocator = state.requires_output_allocator;
  impl->uses_collectives = state.uses_collectives;
  impl->serialized = value;
  return std::make_shared<TensorRTEngine>(std::move(impl));
}

}  // namespace

Registry registry(const std::vector<std::filesystem::path>& libraries) {
  Registry made;
  made.add(ClassDefinition{
      .name = "tensorrt.Engine",
      .create = [libraries](const Value& state,
                            const ObjectOrigin& origin) { return create_engine(state, origin, libraries); },
      .state =
          [](const CustomObject& object) {
            return dynamic_cast<const TensorRTEngine&>(object).impl().serialized;
          }});
  made.add(OperatorDefinition{.schema = "tensorrt::execute_engine(Tensor[] input_tensors, "
                                        "__torch__.torch.classes.tensorrt.Engine engine) -> Tensor[]",
                              .run = execute_engine,
                              .capture = Capture::Allowed});
  return made;
}

}  // namespace penstock::tensorrt
