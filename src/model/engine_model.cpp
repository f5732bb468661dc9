#include "base/fail.hpp"
#include "cuda/graph.hpp"
#include "model/model_impl.hpp"
#include "package/archive_source.hpp"
#include "package/digest.hpp"
#include "shim/context.hpp"
#include "tensorrt/library.hpp"
#include "tensorrt/registry.hpp"

#include <penstock/model.hpp>
#include <penstock/tensorrt.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

// Models that are one TensorRT engine, without a package: in place of a library's code stands one call of the
// operator that runs engines, so that all that sessions do for packages holds for plans.
namespace penstock {
namespace {

constexpr const char* kObject = "engine";
constexpr const char* kClass = "tensorrt.Engine";

/// The only call of such a model. Takes the inputs, as a model of a library does.
std::int32_t run_engine(void* /*handle*/, AtenTensorHandle* inputs, std::size_t input_count,
                        AtenTensorHandle* outputs, std::size_t output_count, void* /*stream*/, void* proxy) {
  return shim::guarded([&] {
    std::vector<tensor::TensorObjectPtr> held;
    std::vector<AtenTensorHandle> tensors;
    held.reserve(input_count + output_count);
    tensors.reserve(input_count + output_count);
    for (std::size_t i = 0; i < input_count; ++i) held.emplace_back(std::exchange(inputs[i], nullptr));
    const std::int64_t size = 0;
    const std::int64_t stride = 1;
    for (std::size_t i = 0; i < output_count; ++i)
      held.emplace_back(tensor::make_tensor(nullptr, {.sizes = {&size, 1}, .strides = {&stride, 1}}));
    for (const tensor::TensorObjectPtr& each : held) tensors.push_back(each.get());
    static_cast<AOTIProxyExecutorOpaque*>(proxy)->call({.node = 0, .integers = {}, .tensors = tensors});
    for (std::size_t i = 0; i < output_count; ++i) outputs[i] = held[input_count + i].release();
  });
}

package::ExternNode call_of(const TensorRTEngine& engine) {
  package::NodeValue inputs;
  inputs.kind = package::NodeValueKind::Tensors;
  inputs.key = "as_tensors";
  inputs.name = "input_tensors";
  inputs.present.assign(engine.inputs().size(), true);
  package::NodeValue object;
  object.kind = package::NodeValueKind::Object;
  object.key = "as_custom_obj";
  object.name = kObject;
  object.object = kObject;
  object.class_name = kClass;
  package::NodeValue outputs;
  outputs.kind = package::NodeValueKind::Tensors;
  outputs.key = "as_tensors";
  outputs.present.assign(engine.outputs().size(), true);
  return {.target = "tensorrt::execute_engine", .inputs = {inputs, object}, .outputs = {outputs}};
}

/// What any of its profiles takes; which one takes all inputs of a call is found out by the call.
model::InputRule rule_of(const TensorRTEngine& engine, std::size_t input, Device device) {
  const TensorRTTensor& tensor = engine.inputs()[input];
  const std::size_t rank = tensor.sizes.size();
  model::InputRule rule;
  rule.dtype = tensor.dtype;
  rule.device = tensor.on_host ? Device{} : device;
  rule.strides.assign(rank, model::kStrideFollows);
  for (std::size_t d = rank; d-- > 0;) rule.order.push_back(d);
  for (std::size_t d = 0; d < rank; ++d) {
    model::DimRule& dim = rule.dims.emplace_back();
    if (tensor.sizes[d] >= 0) {
      dim.min = dim.max = tensor.sizes[d];
      continue;
    }
    dim.min = INT64_MAX;
    dim.max = 0;
    for (int profile = 0; profile < engine.profile_count(); ++profile) {
      const TensorRTRange range = engine.range(profile, input);
      if (d >= range.least.size() || d >= range.most.size() || tensor.on_host) {
        dim = {};
        break;
      }
      dim.min = std::min(dim.min, range.least[d]);
      dim.max = std::max(dim.max, range.most[d]);
    }
  }
  return rule;
}

TensorSpec spec_of(const TensorRTTensor& tensor, const model::InputRule& rule) {
  TensorSpec spec{.name = tensor.name,
                  .keyword = {},
                  .dtype = rule.dtype,
                  .device = rule.device,
                  .dims = {},
                  .strides = rule.strides};
  for (const model::DimRule& dim : rule.dims) spec.dims.push_back({dim.min, dim.max, {}});
  return spec;
}

void describe(Model::Impl& impl, const TensorRTEngine& engine) {
  std::vector<model::InputRule> rules;
  for (std::size_t i = 0; i < engine.inputs().size(); ++i) {
    rules.push_back(rule_of(engine, i, impl.device));
    impl.inputs.push_back(spec_of(engine.inputs()[i], rules.back()));
    if (engine.inputs()[i].on_host && impl.graph_obstacle.empty())
      impl.graph_obstacle = fmt::format("{} is read in host memory", engine.inputs()[i].name);
  }
  for (const TensorRTTensor& output : engine.outputs()) impl.output_names.push_back(output.name);
  impl.input_count = impl.inputs.size();
  impl.output_count = impl.output_names.size();
  impl.rules = model::InputRules(std::move(rules), impl.inputs, impl.what);
}

std::shared_ptr<Model::Impl> load_plan(std::shared_ptr<const void> owner, std::span<const std::byte> plan,
                                       const std::string& what, const EngineOptions& options) {
  if (options.device.type != DeviceType::Cuda) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: TensorRT engines run on CUDA; give such a device (EngineOptions::device, --device cuda)",
               what);
  }
  const cuda::CaptureModeScope mode(cuda::kCaptureRelaxed);
  auto impl = std::make_shared<Model::Impl>();
  impl->name = kObject;
  impl->what = what;
  impl->device = options.device;
  impl->cuda = std::make_shared<model::CudaModel>(options.device.index, what);
  const Registry built_in = tensorrt::registry(options.tensorrt);
  impl->executor = objects::Executor::make(objects::OneCallSource{
      .built_in = built_in,
      .device = impl->device,
      .what = impl->what,
      .object = {.name = kObject, .class_name = kClass, .state = Value::shared_bytes(plan, std::move(owner))},
      .call = [](const CustomObject& object) {
        return call_of(dynamic_cast<const TensorRTEngine&>(object));
      }});
  describe(*impl, *object_cast<TensorRTEngine>(impl->executor->objects().at(kObject)));
  impl->versions.publish(model::make_container(&run_engine, {impl->input_count, impl->output_count},
                                               {impl->device, impl->cuda, impl->executor}, impl->what));
  return impl;
}

}  // namespace

TensorRTPlanInfo describe_plan(const std::filesystem::path& plan) {
  return base::report_out_of_memory(plan.filename().string(), [&] {
    const package::SharedBytes file = package::map_file(plan).bytes;
    return TensorRTPlanInfo{.bytes = file.bytes.size(),
                            .built_by = tensorrt::read_plan_header(file.bytes).text()};
  });
}

Model Model::load_engine(const std::filesystem::path& plan, const EngineOptions& options) {
  const std::string what = plan.filename().string();
  return base::report_out_of_memory(what, [&] {
    const package::SharedBytes bytes = package::map_file(plan).bytes;
    if (!options.sha256.empty()) package::check_sha256(bytes.bytes, options.sha256, what);
    return Model(load_plan(bytes.owner, bytes.bytes, what, options));
  });
}

Model Model::load_engine(std::span<const std::byte> plan, const EngineOptions& options) {
  return base::report_out_of_memory("a plan", [&] {
    if (!options.sha256.empty()) package::check_sha256(plan, options.sha256, "a plan");
    const auto copy = std::make_shared<const std::vector<std::byte>>(plan.begin(), plan.end());
    return Model(load_plan(copy, *copy, "a plan", options));
  });
}

}  // namespace penstock
