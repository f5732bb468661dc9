#include <penstock/model.hpp>

#include "base/fail.hpp"
#include "cuda/graph.hpp"
#include "cuda/used_on_device.hpp"
#include "model/generated_checks.hpp"
#include "model/input_probe.hpp"
#include "model/library_image.hpp"
#include "model/model_impl.hpp"
#include "model/package_impl.hpp"
#include "model/weight_update.hpp"
#include "package/call_spec.hpp"
#include "package/elf_image.hpp"
#include "tensorrt/registry.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>
#include <map>
#include <optional>
#include <utility>

namespace penstock {
namespace {

void report(const LoadOptions& options, const std::string& what, const LoadProgress& progress) {
  if (options.progress && !options.progress(progress)) {
    base::fail(ErrorCode::Cancelled, "{}: the load was cancelled", what);
  }
}

/// Adds those of `needed` that nothing registers.
void add_unregistered(std::vector<std::string>& to, std::string_view what, std::vector<std::string> needed,
                      std::initializer_list<std::vector<std::string>> registered) {
  for (const std::vector<std::string>& names : registered) {
    std::erase_if(needed,
                  [&](const std::string& name) { return std::ranges::find(names, name) != names.end(); });
  }
  if (!needed.empty())
    to.push_back(fmt::format("{} that are not registered: {}", what, fmt::join(needed, ", ")));
}

/// Refuses what cannot run here before any of it is loaded.
void require_loadable(const ModelInfo& info, const LoadOptions& options, const Registry& built_in,
                      const std::string& what) {
  if (info.device != options.device.type) {
    const bool for_cuda = info.device == DeviceType::Cuda;
    base::fail(
        ErrorCode::Incompatible,
        "{}: was compiled for {}; load it there ({}), or compile it for {} (move module and example inputs "
        "to \"{}\" before torch.export.export)",
        what, for_cuda ? "a CUDA device" : "the CPU",
        for_cuda ? "LoadOptions::device, --device cuda" : "LoadOptions::device, --device cpu",
        for_cuda ? "the CPU" : "CUDA", for_cuda ? "cpu" : "cuda");
  }
  if (info.obstacles.empty()) return;
  std::vector<std::string> all = info.obstacles;
  // Where nothing else is in the way this is found later; what a library registers is not known before it is
  // opened.
  if (options.libraries.empty()) {
    add_unregistered(all, "operators", info.needs.operators,
                     {options.registry.operators(), built_in.operators()});
    add_unregistered(all, "classes", info.needs.classes, {options.registry.classes(), built_in.classes()});
  }
  base::fail(info.needs.missing_functions.empty() ? ErrorCode::Incompatible : ErrorCode::Unsupported,
             "{}: {}", what, fmt::join(all, "; "));
}

/// What a load works with.
struct Load {
  const package::ElfImage& elf;
  const package::ModelFiles& files;
  const LoadOptions& options;
  model::PackagedWeights weights;
};

void open_library(Model::Impl& impl, const Load& load, bool generated_checks) {
  if (impl.container != nullptr) impl.container->restore_buffers();
  impl.container.reset();
  if (impl.cuda != nullptr) cuda::let_go_of_used();
  impl.library.reset();
  const model::WeightSource& source = load.weights.source;
  const shim::ImportOptions imports{.generated_checks = generated_checks,
                                    .appended_weights = source.kind == model::WeightSource::Kind::Appended};
  impl.library = std::make_shared<model::LoadedLibrary>(
      model::prepare_library(load.elf, impl.what, imports, load.weights.left_out), impl.what);
  impl.container = model::make_container(impl.library, model::Place{impl.device, impl.cuda, impl.executor},
                                         impl.what, source);
  model::give_first_weights(*impl.container, {load.files, load.weights.by_name, load.options.weights},
                            impl.what);
  impl.container->keep_buffers();
  impl.container->fold_constants();
}

/// The generated checks have been asked, and are not needed any more.
void turn_off_checks(Model::Impl& impl, const Load& load) {
  if (impl.container->input_count() == 0) return;
  const auto check_switch = model::find_check_switch(load.elf);
  if (check_switch && model::turn_off_checks(*impl.library, *impl.container, *check_switch)) return;
  // A library without symbols takes its answer for good with the first call: so it is loaded anew.
  open_library(impl, load, false);
}

/// The symbol of each number, by the generated text where it has one.
std::string symbol_name(std::map<int, std::string>& names, int symbol, const std::string& hint) {
  const auto [known, added] = names.emplace(symbol, hint.empty() ? "n" + std::to_string(symbol) : hint);
  return known->second;
}

std::string symbol_text(std::map<int, std::string>& names, const model::DimRule& rule,
                        const std::string& hint) {
  if (rule.symbol < 0) return {};
  const bool plain = rule.scale == 1 && rule.offset == 0;
  std::string text = symbol_name(names, rule.symbol, plain ? hint : std::string());
  if (rule.scale != 1) text = std::to_string(rule.scale) + "*" + text;
  if (rule.offset != 0) text += (rule.offset > 0 ? "+" : "") + std::to_string(rule.offset);
  return text;
}

std::vector<TensorSpec> make_specs(std::span<const model::InputRule> rules, std::span<const TensorSpec> hints,
                                   std::span<const std::string> keywords) {
  std::vector<TensorSpec> specs;
  std::map<int, std::string> names;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const model::InputRule& rule = rules[i];
    TensorSpec spec{.name = "arg" + std::to_string(i),
                    .keyword = i < keywords.size() ? keywords[i] : std::string(),
                    .dtype = rule.dtype,
                    .device = rule.device,
                    .dims = {},
                    .strides = rule.strides};
    const bool hinted = i < hints.size() && hints[i].dims.size() == rule.dims.size();
    for (std::size_t d = 0; d < rule.dims.size(); ++d) {
      const std::string hint = hinted ? hints[i].dims[d].symbol : std::string();
      spec.dims.push_back({rule.dims[d].min, rule.dims[d].max, symbol_text(names, rule.dims[d], hint)});
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

/// Generated checks refuse 0 and 1 wherever a size is not fixed.
void leave_to_checks(std::vector<model::InputRule>& rules) {
  constexpr std::int64_t kLeast = 2;
  for (model::InputRule& rule : rules) {
    for (model::DimRule& dim : rule.dims) {
      if (!dim.assumes_two || dim.is_fixed()) continue;
      dim.min = std::max(dim.min, dim.scale * kLeast + dim.offset);
      dim.assumes_two = false;
    }
  }
}

/// Any size where one is not fixed. What 0 and 1 may touch beside them is allowed for as always.
void ignore_ranges(std::vector<model::InputRule>& rules) {
  for (model::InputRule& rule : rules) {
    for (model::DimRule& dim : rule.dims) {
      if (dim.is_fixed()) continue;
      dim.min = 0;
      dim.max = INT64_MAX;
      dim.assumes_two = true;
    }
  }
}

void describe_inputs(Model::Impl& impl, model::ProbedInputs& probed, const ModelInfo& info,
                     const LoadOptions& options, bool checks_layouts) {
  if (probed.rules.size() != impl.container->input_count()) {
    base::fail(
        ErrorCode::Unsupported,
        "{}: the library has no input checks, so what it takes cannot be told; compile it with torch 2.9 or "
        "later",
        impl.what);
  }
  model::add_text_hints(probed, info.input_hints, checks_layouts);
  if (options.size_ranges == SizeRanges::Ignored) ignore_ranges(probed.rules);
  for (std::size_t i = 0; i < probed.rules.size(); ++i) {
    if (element_bytes(probed.rules[i].dtype) == 0) {
      base::fail(ErrorCode::Unsupported,
                 "{}: input arg{} has PyTorch's dtype number {}, which Penstock does not have", impl.what, i,
                 static_cast<int>(probed.rules[i].dtype));
    }
  }
  const auto keywords = package::keyword_names(impl.call_spec_in, probed.rules.size());
  impl.inputs = make_specs(probed.rules, info.input_hints, keywords);
  impl.rules = model::InputRules(std::move(probed.rules), impl.inputs, impl.what);
}

/// What is known before any run of why none can be captured into a CUDA graph.
std::string find_graph_obstacle(const Model::Impl& impl) {
  for (std::size_t i = 0; i < impl.rules.input_count(); ++i) {
    if (impl.rules.device_of(i) == Device{}) return fmt::format("arg{} is read in host memory", i);
  }
  const std::string_view call = impl.executor != nullptr ? impl.executor->kept_from_graphs() : "";
  return call.empty() ? "" : fmt::format("{} is not registered as one that may be captured", call);
}

void publish_first(Model::Impl& impl) {
  impl.input_count = impl.container->input_count();
  impl.output_count = impl.container->output_count();
  const auto weights = impl.container->weights();
  const bool in_library = std::ranges::any_of(
      weights, [](const tensor::TensorObjectPtr& weight) { return weight->storage->of_model; });
  impl.versions.publish(impl.container);
  if (!in_library) impl.container.reset();
}

std::shared_ptr<Model::Impl> load_model(const Package& package, const LoadOptions& options) {
  const Package::Impl& source = *package.impl();
  const std::size_t index = source.index_of(options.model);
  const ModelInfo& info = source.models[index];
  auto impl = std::make_shared<Model::Impl>();
  impl->name = info.name;
  impl->device = options.device;
  impl->what = source.models.size() == 1 ? package.name() : fmt::format("{} ({})", package.name(), info.name);
  impl->max_threads = info.compiled_threads.value_or(1);
  impl->exact_threads = source.manifest.models[index].exact_threads;
  const Registry built_in = tensorrt::registry(options.tensorrt);
  require_loadable(info, options, built_in, impl->what);
  // A capture of this thread or another may forbid what a load does.
  std::optional<cuda::CaptureModeScope> mode;
  if (impl->device.type == DeviceType::Cuda) mode.emplace(cuda::kCaptureRelaxed);

  report(options, impl->what, {.stage = "reading", .done = 0, .total = info.library_bytes});
  const package::SharedBytes library = source.archive.read(source.manifest.models[index].library);
  const auto elf = package::ElfImage::parse(library.bytes, impl->what);
  report(options, impl->what,
         {.stage = "loading", .done = info.library_bytes / 2, .total = info.library_bytes});
  const package::ModelFiles& files = source.manifest.models[index];
  const Load load{elf, files, options, model::open_weights(source.archive, files, elf)};
  if (impl->device.type == DeviceType::Cuda) {
    impl->cuda =
        std::make_shared<model::CudaModel>(impl->device.index, source.archive, files, elf, impl->what);
  }
  impl->executor = objects::Executor::make({.archive = source.archive,
                                            .files = files,
                                            .registry = options.registry,
                                            .libraries = options.libraries,
                                            .built_in = built_in,
                                            .device = impl->device,
                                            .what = impl->what});
  impl->no_weights = load.weights.source.without_weights();
  // The checks are on at first whatever the options say: they are what tells the inputs.
  open_library(*impl, load, true);
  report(options, impl->what, {.stage = "inputs", .done = info.library_bytes, .total = info.library_bytes});

  impl->call_spec_in = impl->container->call_spec_in();
  impl->call_spec_out = impl->container->call_spec_out();
  impl->constants = impl->container->constants();
  for (std::size_t i = 0; i < impl->container->output_count(); ++i) {
    impl->output_names.push_back("out" + std::to_string(i));
  }
  model::ProbedInputs probed = model::probe_inputs(*impl->container);
  // A library knows kinds of devices only.
  for (model::InputRule& rule : probed.rules) {
    if (rule.device.type == DeviceType::Cuda) rule.device.index = impl->device.index;
  }
  // Only checks of whole layouts ask for a rank; libraries before torch 2.13 have none.
  const bool checks_layouts = elf.find("aoti_torch_get_dim") != nullptr;
  model::ProbedInputs as_checked = probed;
  describe_inputs(*impl, probed, info, options, checks_layouts);
  impl->graph_obstacle = find_graph_obstacle(*impl);
  const bool checks_ranges = options.size_ranges == SizeRanges::Stated;
  const GeneratedChecks wanted = checks_ranges ? options.generated_checks : GeneratedChecks::Off;
  const bool complete = probed.complete && impl->rules.checks_all();
  if (wanted == GeneratedChecks::Off || (wanted == GeneratedChecks::Auto && complete)) {
    turn_off_checks(*impl, load);
  } else if (!complete) {
    leave_to_checks(as_checked.rules);
    describe_inputs(*impl, as_checked, info, options, checks_layouts);
  }
  impl->container->restore_buffers();
  publish_first(*impl);
  report(options, impl->what, {.stage = "ready", .done = info.library_bytes, .total = info.library_bytes});
  return impl;
}

}  // namespace

Model::Impl::~Impl() {
  if (cuda == nullptr) return;
  container.reset();
  versions.end();
  cuda::let_go_of_used();
}

Model::Model(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}

Model Model::load(const Package& package, const LoadOptions& options) {
  return base::report_out_of_memory(package.name(), [&] { return Model(load_model(package, options)); });
}

const std::string& Model::name() const noexcept { return impl_->name; }
Device Model::device() const noexcept { return impl_->device; }
std::span<const TensorSpec> Model::inputs() const noexcept { return impl_->inputs; }
std::span<const std::string> Model::output_names() const noexcept { return impl_->output_names; }
std::span<const ConstantInfo> Model::constants() const noexcept { return impl_->constants; }
const std::string& Model::call_spec_in() const noexcept { return impl_->call_spec_in; }
const std::string& Model::call_spec_out() const noexcept { return impl_->call_spec_out; }
bool Model::healthy() const noexcept { return impl_->cuda == nullptr || impl_->cuda->healthy(); }
int Model::max_threads() const noexcept { return impl_->max_threads; }

Tensor Model::weight(std::string_view name) const {
  return base::report_out_of_memory(impl_->what, [&] { return model::copy_weight(*impl_, name); });
}

void Model::update_weights(std::span<const NamedWeight> weights, const UpdateOptions& options) {
  base::report_out_of_memory(impl_->what, [&] { model::update_weights(*impl_, weights, options.scope); });
}

ObjectMap Model::custom_objects() const {
  return impl_->executor == nullptr ? ObjectMap() : impl_->executor->objects();
}

std::optional<std::size_t> Model::find_input(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < impl_->inputs.size(); ++i) {
    const TensorSpec& spec = impl_->inputs[i];
    if (spec.name == name || (!spec.keyword.empty() && spec.keyword == name)) return i;
  }
  return std::nullopt;
}

std::vector<std::int64_t> Model::input_strides(std::size_t input, std::span<const std::int64_t> sizes) const {
  if (input >= impl_->inputs.size()) {
    base::fail(ErrorCode::NotFound, "{} has {} inputs, and no input {}", impl_->what, impl_->inputs.size(),
               input);
  }
  const TensorSpec& spec = impl_->inputs[input];
  if (sizes.size() != spec.dims.size()) {
    base::fail(ErrorCode::InvalidArgument, "{}: input {} is {}; {} sizes were given", impl_->what, spec.name,
               to_string(spec), sizes.size());
  }
  const TensorView row_major(nullptr, spec.dtype, sizes);
  std::vector<std::int64_t> strides(sizes.size());
  impl_->rules.compiled_strides(input, row_major, strides);
  return strides;
}

void Model::check_inputs(std::span<const TensorView> inputs) const {
  base::report_out_of_memory(impl_->what, [&] {
    // An address as any: aligned for every dtype, and nothing looks behind it.
    alignas(64) static char anywhere;
    std::vector<TensorView> views;
    for (const TensorView& view : inputs) {
      void* const data = view.data() != nullptr ? view.data() : &anywhere;
      views.emplace_back(data, view.dtype(), view.sizes(), view.strides(), 0, view.device());
    }
    impl_->rules.check(views);
  });
}

std::vector<std::vector<std::int64_t>> Model::smallest_sizes() const { return impl_->rules.smallest_sizes(); }

}  // namespace penstock
