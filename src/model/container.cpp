#include "model/container.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"

#include <algorithm>
#include <utility>

namespace penstock::model {
namespace {

/// Older libraries print their errors and keep them nowhere, with this before each.
constexpr std::string_view kPrintedPrefix = "Error: ";

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return text;
}

}  // namespace

// The names and signatures are those of torch/csrc/inductor/aoti_runtime/interface.h.
Container::Container(const LoadedLibrary& library, const std::string& device, std::string what)
    : library_(library), what_(std::move(what)) {
  using Create = Status(Handle*, std::size_t, const char*, const char*);
  using Count = Status(Handle, std::size_t*);
  run_ = required<RunFunction>("AOTInductorModelContainerRunSingleThreaded");
  auto* const create = required<Create>("AOTInductorModelContainerCreateWithDevice");
  auto* const inputs = required<Count>("AOTInductorModelContainerGetNumInputs");
  auto* const outputs = required<Count>("AOTInductorModelContainerGetNumOutputs");
  required<Status(Handle)>("AOTInductorModelContainerDelete");

  shim::CallContext context;
  context.purpose = shim::CallContext::Purpose::Load;
  const shim::WeightReferences references{context};
  const shim::ContextScope scope(context);
  constexpr std::size_t kModels = 1;
  require(create(&handle_, kModels, device.c_str(), nullptr), context);
  try {
    require(inputs(handle_, &input_count_), context);
    require(outputs(handle_, &output_count_), context);
    sort_weights(context.weights);
  } catch (...) {
    drop_buffers();
    library_.find<Status(Handle)>("AOTInductorModelContainerDelete")(handle_);
    throw;
  }
}

/// For each weight in the order of their numbers: whether it is a parameter. Empty where that is not told.
std::vector<bool> Container::find_parameters() const {
  // ConstantType::Parameter. A buffer may be changed in place by a run: work derived from it goes stale.
  constexpr std::int32_t kParameter = 1;
  using Folded = Status(Handle, std::size_t, bool*);
  using Type = Status(Handle, std::size_t, std::int32_t*);
  auto* const count = library_.find<Status(Handle, std::size_t*)>("AOTInductorModelContainerGetNumConstants");
  auto* const folded = library_.find<Folded>("AOTInductorModelContainerGetConstantFromFolded");
  auto* const type = library_.find<Type>("AOTInductorModelContainerGetConstantType");
  std::size_t constants = 0;
  if (count == nullptr || folded == nullptr || type == nullptr || count(handle_, &constants) != 0) return {};
  std::vector<bool> is_parameter;
  for (std::size_t index = 0; index < constants; ++index) {
    bool from_folded = false;
    std::int32_t kind = 0;
    if (folded(handle_, index, &from_folded) != 0 || type(handle_, index, &kind) != 0) return {};
    if (!from_folded) is_parameter.push_back(kind == kParameter);
  }
  return is_parameter;
}

void Container::sort_weights(std::span<tensor::Storage* const> weights) {
  const std::vector<bool> is_parameter = find_parameters();
  // The library makes its weights in the order of their numbers; where it does not, any may be a buffer.
  const bool known = is_parameter.size() == weights.size();
  buffers_.reserve(weights.size());
  for (std::size_t index = 0; index < weights.size(); ++index) {
    tensor::Storage* storage = weights[index];
    storage->constant = known && is_parameter[index];
    if (storage->constant) continue;
    const auto* data = static_cast<const std::byte*>(storage->data);
    std::vector<std::byte> bytes(data, data + storage->bytes);
    storage->retain();
    buffers_.push_back({storage, std::move(bytes)});
  }
}

void Container::drop_buffers() noexcept {
  for (const Buffer& buffer : buffers_) buffer.storage->drop();
  std::vector<Buffer>().swap(buffers_);
}

void Container::restore_buffers() noexcept {
  for (const Buffer& buffer : buffers_)
    std::copy(buffer.bytes.begin(), buffer.bytes.end(), static_cast<std::byte*>(buffer.storage->data));
  drop_buffers();
}

Container::~Container() {
  drop_buffers();
  if (library_.find<Status(Handle)>("AOTInductorModelContainerDelete")(handle_) != 0) {
    base::log(LogLevel::Warning, what_ + ": the library could not delete its model");
  }
}

void Container::fold_constants() {
  using Fold = Status(Handle, bool, void*, void*);
  auto* const fold = library_.find<Fold>("AOTInductorModelContainerRunConstantFolding");
  // Libraries without it fold nothing.
  if (fold == nullptr) return;
  cpu::OpState operators;
  shim::CallContext context;
  context.purpose = shim::CallContext::Purpose::Load;
  context.operators = &operators;
  const shim::WeightReferences references{context};
  const shim::ContextScope scope(context);
  require(fold(handle_, /*use_inactive=*/false, /*stream=*/nullptr, /*proxy_executor=*/nullptr), context);
}

std::vector<ConstantInfo> Container::constants() const {
  std::vector<ConstantInfo> result;
  auto* const count = library_.find<Status(Handle, std::size_t*)>("AOTInductorModelContainerGetNumConstants");
  auto* const name = library_.find<Status(Handle, std::size_t, const char**)>(
      "AOTInductorModelContainerGetConstantOriginalFQN");
  auto* const dtype =
      library_.find<Status(Handle, std::size_t, std::int32_t*)>("AOTInductorModelContainerGetConstantDtype");
  auto* const bytes = library_.find<Status(Handle, std::size_t, std::size_t*)>(
      "AOTInductorModelContainerGetConstantDataSize");
  auto* const folded =
      library_.find<Status(Handle, std::size_t, bool*)>("AOTInductorModelContainerGetConstantFromFolded");
  std::size_t constants = 0;
  if (count == nullptr || name == nullptr || dtype == nullptr || count(handle_, &constants) != 0)
    return result;
  for (std::size_t index = 0; index < constants; ++index) {
    bool from_folded = false;
    if (folded != nullptr && folded(handle_, index, &from_folded) == 0 && from_folded) continue;
    const char* text = nullptr;
    std::int32_t number = 0;
    std::size_t size = 0;
    if (name(handle_, index, &text) != 0 || dtype(handle_, index, &number) != 0) continue;
    if (bytes != nullptr && bytes(handle_, index, &size) != 0) size = 0;
    result.push_back(
        {.name = text != nullptr ? text : "", .dtype = static_cast<DType>(number), .bytes = size});
  }
  std::sort(result.begin(), result.end(),
            [](const ConstantInfo& a, const ConstantInfo& b) { return a.name < b.name; });
  return result;
}

std::pair<std::string, std::string> Container::call_spec() const {
  using GetCallSpec = Status(Handle, const char**, const char**);
  auto* const get = library_.find<GetCallSpec>("AOTInductorModelContainerGetCallSpec");
  const char* in = nullptr;
  const char* out = nullptr;
  if (get == nullptr || get(handle_, &in, &out) != 0) return {};
  return {in != nullptr ? in : "", out != nullptr ? out : ""};
}

bool Container::run(std::span<AtenTensorHandle> inputs, std::span<AtenTensorHandle> outputs) const noexcept {
  return run_(handle_, inputs.data(), inputs.size(), outputs.data(), outputs.size(), nullptr, nullptr) == 0;
}

std::string Container::message(const shim::CallContext& context) const {
  using GetLastError = Status(const char**);
  const char* text = nullptr;
  if (auto* const get = library_.find<GetLastError>("AOTInductorGetLastError");
      get != nullptr && get(&text) == 0 && text != nullptr && *text != '\0') {
    return trimmed(text);
  }
  std::string_view printed = context.printed;
  if (const auto at = printed.rfind(kPrintedPrefix); at != std::string_view::npos) {
    printed.remove_prefix(at + kPrintedPrefix.size());
  }
  return trimmed(std::string(printed));
}

Error Container::error(const shim::CallContext& context) const {
  if (context.failure) return Error(context.failure->code, what_ + ": " + context.failure->message);
  std::string text = message(context);
  if (text.empty()) text = "the model library reports an error without saying which";
  // The generated checks of inputs speak of these.
  const bool about_inputs = text.find("input_handles[") != std::string::npos ||
                            text.find("Error in op: input") != std::string::npos;
  return Error(about_inputs ? ErrorCode::InvalidArgument : ErrorCode::Internal, what_ + ": " + text);
}

template <class Function>
Function* Container::required(std::string_view name) const {
  auto* const function = library_.find<Function>(name);
  if (function == nullptr) {
    base::fail(ErrorCode::Corrupt,
               "{} has no function {}: it is no AOTInductor model library, or one of a "
               "PyTorch older than 2.9",
               what_, name);
  }
  return function;
}

void Container::require(Status status, const shim::CallContext& context) const {
  if (status != 0) throw error(context);
}

}  // namespace penstock::model
