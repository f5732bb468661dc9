#include "tensorrt/built_engine.hpp"

#include "base/fail.hpp"
#include "cuda/graph.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

namespace penstock::tensorrt {
namespace {

DType dtype_of(abi::DataType type, const char* name, const std::string& what) {
  switch (type) {
    case abi::DataType::Float: return DType::Float32;
    case abi::DataType::Half: return DType::Float16;
    case abi::DataType::Int8: return DType::Int8;
    case abi::DataType::Int32: return DType::Int32;
    case abi::DataType::Bool: return DType::Bool;
    case abi::DataType::UInt8: return DType::UInt8;
    case abi::DataType::BFloat16: return DType::BFloat16;
    case abi::DataType::Int64: return DType::Int64;
    case abi::DataType::Fp8: break;
  }
  base::fail(ErrorCode::Unsupported,
             "{}: tensor {} is of TensorRT's data type {}, which Penstock cannot give it", what, name,
             static_cast<int>(type));
}

std::vector<std::int64_t> sizes_of(const abi::Dims& dims) { return {dims.all().begin(), dims.all().end()}; }

/// The number at the end of "output.3" or "output_3"; nothing where there is none.
std::optional<unsigned> number_of(std::string_view name) {
  const std::size_t mark = name.find_last_of("._");
  if (mark == std::string_view::npos || mark + 1 == name.size()) return std::nullopt;
  unsigned number = 0;
  const char* const end = name.data() + name.size();
  const auto [at, error] = std::from_chars(name.data() + mark + 1, end, number);
  return error == std::errc() && at == end ? std::optional(number) : std::nullopt;
}

std::vector<std::string> names_of(const std::vector<TensorRTTensor>& tensors) {
  std::vector<std::string> names;
  for (const TensorRTTensor& tensor : tensors) names.push_back(tensor.name);
  return names;
}

/// Puts tensors in the order of their names; those that are missing and those that are too many are an error.
void order_by(std::vector<TensorRTTensor>& tensors, const std::vector<std::string>& names, const char* kind,
              const std::string& what) {
  const std::vector<std::string> own = names_of(tensors);
  const std::set<std::string> wanted(names.begin(), names.end());
  if (wanted.size() != own.size() ||
      !std::ranges::all_of(own, [&](const auto& name) { return wanted.contains(name); })) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: the package calls its {}s {}, the plan has {}: they do not go together", what, kind,
               fmt::join(names, ", "), fmt::join(own, ", "));
  }
  std::ranges::sort(tensors, {},
                    [&](const TensorRTTensor& tensor) { return std::ranges::find(names, tensor.name); });
}

/// Torch-TensorRT numbers names where it states no order.
void order_by_numbers(std::vector<TensorRTTensor>& tensors) {
  const bool numbered = std::ranges::all_of(
      tensors, [](const TensorRTTensor& tensor) { return number_of(tensor.name).has_value(); });
  if (numbered)
    std::ranges::stable_sort(tensors, {},
                             [](const TensorRTTensor& tensor) { return *number_of(tensor.name); });
}

}  // namespace

std::shared_ptr<const BuiltEngine> BuiltEngine::make(EngineSource source, std::span<const std::byte> plan) {
  std::shared_ptr<BuiltEngine> made(new BuiltEngine(std::move(source)));
  const cuda::ContextScope scope(*made->source_.context);
  // TensorRT allocates, which concerns nobody's capture, and would end one otherwise.
  const cuda::CaptureModeScope relaxed(cuda::kCaptureRelaxed);
  made->deserialize(plan);
  made->set_budget();
  made->describe();
  return made;
}

BuiltEngine::~BuiltEngine() {
  if (engine_ == nullptr) return;
  cuda::release(*source_.context, "cuCtxPushCurrent", "a TensorRT engine", [this](const cuda::Driver&) {
    abi::destroy(engine_);
    return cuda::kSuccess;
  });
}

void BuiltEngine::deserialize(std::span<const std::byte> plan) {
  const PlanHeader header = read_plan_header(plan);
  std::vector<std::string> tried;
  std::vector<std::string> missing;
  for (const std::string& name : libraries_to_try(source_.libraries, header)) {
    try {
      Library& library = Library::open(name);
      const CollectedLog log;
      engine_ = library.deserialize(plan);
      library_ = &library;
      if (engine_ != nullptr) return;
      tried.push_back(fmt::format("{} refuses it{}", library.title(), log.text()));
    } catch (const Error& error) {
      (error.code() == ErrorCode::NotFound ? missing : tried).emplace_back(error.what());
    }
  }
  const std::string written = header.is_known ? "; its header says " + header.text() : "";
  if (tried.empty()) {
    base::fail(
        ErrorCode::NotFound,
        "{} needs TensorRT{}, which was not found:\n  {}\nInstall TensorRT (pip install tensorrt-cu13-libs, "
        "or tensorrt-rtx-cu13 for plans of TensorRT-RTX), or name the file (LoadOptions::tensorrt, "
        "--tensorrt, PENSTOCK_TENSORRT)",
        source_.what, written, fmt::join(missing, "\n  "));
  }
  base::fail(ErrorCode::Incompatible, "{}: no TensorRT takes its plan of {} bytes{}:\n  {}", source_.what,
             plan.size(), written, fmt::join(tried, "\n  "));
}

void BuiltEngine::set_budget() const {
  const CollectedLog log;
  if (!source_.weight_budget) {
    // As Torch-TensorRT does. Where it is refused, all weights are on the device, as TensorRT has it at
    // first.
    if (streamable_weight_bytes() > 0)
      call<bool>(slots().set_weight_budget, call<std::int64_t>(slots().automatic_weight_budget));
    return;
  }
  if (slots().set_weight_budget == abi::kNone)
    base::fail(ErrorCode::Unsupported, "{}: {} has no budget for weights", what(), library_->title());
  if (call<bool>(slots().set_weight_budget, *source_.weight_budget)) return;
  base::fail(ErrorCode::InvalidArgument,
             "{}: TensorRT refuses a budget of {} bytes for weights, of which {} can be streamed{}", what(),
             *source_.weight_budget, streamable_weight_bytes(), log.text());
}

void BuiltEngine::describe() {
  profile_count_ = std::max(call<std::int32_t>(slots().profile_count), 1);
  aux_streams_ = std::max(call<std::int32_t>(slots().aux_stream_count), 0);
  if (slots().context_bytes != abi::kNone) context_bytes_ = call<std::int64_t>(slots().context_bytes);
  if (context_bytes_ < 0) {
    base::fail(ErrorCode::Internal, "{}: TensorRT says that a context of it needs {} bytes", what(),
               context_bytes_);
  }
  const auto count = call<std::int32_t>(slots().tensor_count);
  for (std::int32_t i = 0; i < count; ++i) {
    const char* const tensor = call<const char*>(slots().tensor_name, i);
    const bool is_input = call<abi::IoMode>(slots().tensor_mode, tensor) == abi::IoMode::Input;
    (is_input ? inputs_ : outputs_).push_back(describe_tensor(tensor));
  }
  for (const TensorRTTensor& output : outputs_) {
    if (!output.on_host) continue;
    base::fail(ErrorCode::Unsupported,
               "{}: TensorRT writes output {} in host memory, which Penstock does not take", what(),
               output.name);
  }
  order_tensors();
  find_aliases();
  read_ranges();
}

TensorRTTensor BuiltEngine::describe_tensor(const char* name) const {
  return {.name = name,
          .dtype = dtype_of(call<abi::DataType>(slots().tensor_dtype, name), name, what()),
          .sizes = sizes_of(call<abi::Dims>(slots().tensor_shape, name)),
          .on_host = call<abi::Location>(slots().tensor_location, name) == abi::Location::Host,
          .alias_of = {}};
}

void BuiltEngine::order_tensors() {
  if (!source_.of_package) return;
  if (source_.inputs.empty() && source_.outputs.empty()) {
    order_by_numbers(inputs_);
    order_by_numbers(outputs_);
    return;
  }
  order_by(inputs_, source_.inputs, "input", what());
  order_by(outputs_, source_.outputs, "output", what());
}

void BuiltEngine::find_aliases() {
  aliased_.resize(outputs_.size());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    TensorRTTensor& output = outputs_[i];
    const auto stated = std::ranges::find(source_.aliases, output.name, &AliasedOutput::output);
    if (stated != source_.aliases.end()) output.alias_of = stated->input;
    if (slots().aliased_input != abi::kNone) {
      const char* const own = call<const char*>(slots().aliased_input, output.name.c_str());
      const std::string planned = own == nullptr ? "" : own;
      if (!planned.empty() && !output.alias_of.empty() && planned != output.alias_of) {
        base::fail(ErrorCode::InvalidArgument,
                   "{}: the package says that output {} is input {}, the plan that it is {}", what(),
                   output.name, output.alias_of, planned);
      }
      if (!planned.empty()) output.alias_of = planned;
    }
    if (output.alias_of.empty()) continue;
    const auto input = std::ranges::find(inputs_, output.alias_of, &TensorRTTensor::name);
    if (input == inputs_.end()) {
      base::fail(ErrorCode::InvalidArgument,
                 "{}: output {} is said to be input {}, which the plan does not have", what(), output.name,
                 output.alias_of);
    }
    aliased_[i] = static_cast<std::size_t>(input - inputs_.begin());
  }
}

const TensorRTRange& BuiltEngine::range(int profile, std::size_t input) const {
  if (profile < 0 || profile >= profile_count_ || input >= inputs_.size()) {
    base::fail(ErrorCode::InvalidArgument,
               "{} has {} profiles and {} inputs; profile {} of input {} was asked for", what(),
               profile_count_, inputs_.size(), profile, input);
  }
  return ranges_[static_cast<std::size_t>(profile)][input];
}

void BuiltEngine::read_ranges() {
  for (int profile = 0; profile < profile_count_; ++profile) {
    std::vector<TensorRTRange>& of_profile = ranges_.emplace_back();
    for (const TensorRTTensor& input : inputs_) of_profile.push_back(read_range(profile, input));
  }
}

TensorRTRange BuiltEngine::read_range(int profile, const TensorRTTensor& tensor) const {
  const auto sizes = [&](abi::ProfileSelector which) {
    const char* const name = tensor.name.c_str();
    if (!tensor.on_host) return sizes_of(call<abi::Dims>(slots().profile_shape, name, profile, which));
    std::vector<std::int64_t> values;
    if (slots().profile_values == abi::kNone) return values;
    const auto* const first = call<const std::int64_t*>(slots().profile_values, name, profile, which);
    const std::size_t count =
        tensor.sizes.empty() ? 1 : static_cast<std::size_t>(std::max<std::int64_t>(tensor.sizes[0], 0));
    if (first != nullptr) values.assign(first, first + count);
    return values;
  };
  return {.least = sizes(abi::ProfileSelector::Min),
          .best = sizes(abi::ProfileSelector::Opt),
          .most = sizes(abi::ProfileSelector::Max)};
}

std::int64_t BuiltEngine::streamable_weight_bytes() const noexcept {
  return slots().set_weight_budget == abi::kNone ? 0 : call<std::int64_t>(slots().streamable_weights_bytes);
}

std::int64_t BuiltEngine::weight_budget() const noexcept {
  return streamable_weight_bytes() == 0 ? 0 : call<std::int64_t>(slots().weight_budget);
}

std::string BuiltEngine::layer_information() const {
  constexpr int kInformation = 6;
  const CollectedLog log;
  void* const inspector = call<void*>(slots().create_inspector);
  if (!abi::is_object(inspector))
    base::fail(ErrorCode::Unsupported, "{}: {} tells nothing of its layers{}", what(), library_->title(),
               log.text());
  const char* const text = abi::call<const char*>(inspector, kInformation, abi::InspectorFormat::Json);
  std::string information = text == nullptr ? "" : text;
  abi::destroy(inspector);
  return information;
}

void* BuiltEngine::create_context() const {
  const CollectedLog log;
  const auto strategy = slots().context_bytes == abi::kNone ? abi::AllocationStrategy::Static
                                                            : abi::AllocationStrategy::UserManaged;
  void* const context = call<void*>(slots().create_context, strategy);
  if (abi::is_object(context)) return context;
  base::fail(ErrorCode::OutOfMemory, "{}: TensorRT gives no execution context{}", what(), log.text());
}

}  // namespace penstock::tensorrt
