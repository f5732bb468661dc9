#include "model/container.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"
#include "cuda/driver.hpp"
#include "model/library_call.hpp"
#include "shim/weight_copies.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <unordered_map>
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
Container::Container(std::shared_ptr<const LoadedLibrary> library, Place place, std::string what,
                     const WeightSource& source)
    : library_(std::move(library)),
      place_(std::move(place)),
      what_(std::move(what)),
      copies_are_seen_(source.copies_are_seen) {
  using Count = Status(Handle, std::size_t*);
  run_ = required<RunFunction>("AOTInductorModelContainerRunSingleThreaded");
  auto* const inputs = required<Count>("AOTInductorModelContainerGetNumInputs");
  auto* const outputs = required<Count>("AOTInductorModelContainerGetNumOutputs");
  auto* const remove = required<Status(Handle)>("AOTInductorModelContainerDelete");
  try {
    create(source);
    const shim::CallContext context;
    require(inputs(handle_, &input_count_), context);
    require(outputs(handle_, &output_count_), context);
  } catch (...) {
    drop_buffers();
    weights_.clear();
    if (handle_ != nullptr) {
      const LibraryCall call(place_);
      remove(handle_);
    }
    throw;
  }
}

Container::Container(RunFunction* code, Counts counts, Place place, std::string what)
    : library_(std::make_shared<LoadedLibrary>()),
      place_(std::move(place)),
      what_(std::move(what)),
      run_(code),
      input_count_(counts.inputs),
      output_count_(counts.outputs) {}

void Container::create(const WeightSource& source) {
  using Create = Status(Handle*, std::size_t, const char*, const char*);
  auto* const create = required<Create>("AOTInductorModelContainerCreateWithDevice");
  shim::WeightCopies copies;
  copies.stand_in = lay_stand_in(source);
  copies.weights = source.weights.get();
  copies.appended = source.kind == WeightSource::Kind::Appended;
  LibraryCall call(place_);
  shim::CallContext& context = call.context;
  if (source.kind != WeightSource::Kind::Library) context.copies = &copies;
  constexpr std::size_t kModels = 1;
  const std::string device = to_string(place_.device);
  require(create(&handle_, kModels, device.c_str(), nullptr), context);
  slots_ = read_slots();
  if (source.kind == WeightSource::Kind::Blob && source.weights != nullptr) load_blob(source, context);
  const bool are_there = source.kind == WeightSource::Kind::Library || source.weights != nullptr;
  if (are_there) sort_weights(std::move(context.weights));
}

/// The addresses that the library is going to copy its weights from.
std::span<const std::byte> Container::lay_stand_in(const WeightSource& source) {
  switch (source.kind) {
    case WeightSource::Kind::Library: return {};
    case WeightSource::Kind::Embedded:
      return {static_cast<const std::byte*>(library_->at(source.address)), source.bytes};
    case WeightSource::Kind::Blob:
      if (source.weights == nullptr) return {};
      return {static_cast<const std::byte*>(source.weights->data), source.bytes};
    case WeightSource::Kind::Appended: break;
  }
  const std::uint64_t bytes = source.bytes + sizeof(source.magic);
  void* const memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    base::fail(ErrorCode::OutOfMemory, "{}: {} bytes of addresses cannot be had", what_, bytes);
  }
  stand_in_ = base::UniqueMapping(memory, bytes);
  std::memcpy(stand_in_.bytes().data() + source.bytes, &source.magic, sizeof(source.magic));
  return stand_in_.bytes();
}

void Container::load_blob(const WeightSource& source, shim::CallContext& context) {
  using Load = Status(Handle, const std::uint8_t*);
  auto* const load = required<Load>("AOTInductorModelUpdateConstantsFromBlob");
  require(load(handle_, static_cast<const std::uint8_t*>(source.weights->data)), context);
}

std::vector<WeightSlot> Container::read_slots() const {
  // Of torch/csrc/inductor/aoti_runtime/constant_type.h. A buffer may be changed in place by a run: work
  // derived from it goes stale. torch does not tell what a weight is whose name starts with a digit.
  constexpr std::int32_t kParameter = 1;
  constexpr std::int32_t kBuffer = 2;
  constexpr std::int32_t kTensorConstant = 3;
  using Text = Status(Handle, std::size_t, const char**);
  using Number = Status(Handle, std::size_t, std::int32_t*);
  using Size = Status(Handle, std::size_t, std::size_t*);
  auto* const count =
      library_->find<Status(Handle, std::size_t*)>("AOTInductorModelContainerGetNumConstants");
  auto* const folded =
      library_->find<Status(Handle, std::size_t, bool*)>("AOTInductorModelContainerGetConstantFromFolded");
  auto* const name = library_->find<Text>("AOTInductorModelContainerGetConstantName");
  auto* const full_name = library_->find<Text>("AOTInductorModelContainerGetConstantOriginalFQN");
  auto* const dtype = library_->find<Number>("AOTInductorModelContainerGetConstantDtype");
  auto* const type = library_->find<Number>("AOTInductorModelContainerGetConstantType");
  auto* const bytes = library_->find<Size>("AOTInductorModelContainerGetConstantDataSize");
  std::size_t constants = 0;
  if (count == nullptr || folded == nullptr || name == nullptr || full_name == nullptr || dtype == nullptr ||
      type == nullptr || bytes == nullptr || count(handle_, &constants) != 0) {
    return {};
  }
  std::vector<WeightSlot> slots;
  for (std::size_t index = 0; index < constants; ++index) {
    bool from_folded = false;
    std::int32_t number = 0;
    std::int32_t kind = 0;
    std::size_t size = 0;
    const char* own = nullptr;
    const char* full = nullptr;
    if (folded(handle_, index, &from_folded) != 0) return {};
    if (from_folded) continue;
    if (name(handle_, index, &own) != 0 || full_name(handle_, index, &full) != 0 ||
        dtype(handle_, index, &number) != 0 || type(handle_, index, &kind) != 0 ||
        bytes(handle_, index, &size) != 0 || own == nullptr || full == nullptr) {
      return {};
    }
    slots.push_back({.name = own,
                     .full_name = full,
                     .dtype = static_cast<DType>(number),
                     .bytes = size,
                     .is_parameter = kind == kParameter,
                     .is_required = kind != kBuffer && kind != kTensorConstant});
  }
  return slots;
}

void Container::sort_weights(std::vector<tensor::TensorObjectPtr> weights) {
  // The library makes its weights in the order of their numbers; where it does not, any may be a buffer.
  const bool known = slots_.size() == weights.size();
  for (std::size_t index = 0; index < weights.size(); ++index)
    weights[index]->storage->constant = known && slots_[index].is_parameter;
  weights_ = std::move(weights);
  if (!known && !weights_.empty()) slots_.clear();
  note_places();
}

void Container::keep_buffers() {
  for (const tensor::TensorObjectPtr& weight : weights_) {
    tensor::Storage* const storage = weight->storage;
    if (storage->device != Device{}) continue;
    if (storage->constant || storage->data == nullptr) continue;
    const auto* data = static_cast<const std::byte*>(storage->data);
    std::vector<std::byte> bytes;
    // The file keeps the others.
    if (!storage->of_file) bytes.assign(data, data + storage->bytes);
    buffers_.push_back({storage, std::move(bytes)});
    storage->retain();
  }
}

void Container::assign(std::vector<tensor::TensorObjectPtr> weights) {
  struct Pair {
    const char* name;
    AtenTensorHandle handle;
  };
  using UpdatePairs = Status(Handle, const Pair*, std::size_t, bool, bool);
  using HandlesByName = std::unordered_map<std::string, AtenTensorHandle>;
  using UpdateMap = Status(Handle, HandlesByName*, bool, bool);
  // The library copies each weight and makes a tensor of the copy: it gets the weight itself for that. There
  // is a function without copies, but libraries before torch 2.15 never delete the handles that they make in
  // it.
  const std::string name = copies_are_seen_ || place_.cuda != nullptr
                               ? "AOTInductorModelContainerUpdateConstantBuffer"
                               : "AOTInductorModelContainerUpdateUserManagedConstantBuffer";
  auto* const by_pairs = library_->find<UpdatePairs>(name + "Pairs");
  auto* const by_map = library_->find<UpdateMap>(name);
  if (by_pairs == nullptr && by_map == nullptr) {
    base::fail(ErrorCode::Unsupported,
               "{}: the library has no function to take weights; compile it with torch 2.9 or later", what_);
  }
  shim::WeightCopies copies;
  copies.given = weights;
  LibraryCall call(place_);
  shim::CallContext& context = call.context;
  // On a device the library keeps memory of its own for its weights, and copies them there.
  const bool on_cuda = place_.cuda != nullptr;
  if (on_cuda) weights = on_device(std::move(weights), *context.cuda);
  if (copies_are_seen_ && !on_cuda) context.copies = &copies;
  // Neither the inactive set of weights, nor a check for completeness: there is one tensor a slot.
  if (by_pairs != nullptr) {
    std::vector<Pair> pairs;
    for (std::size_t i = 0; i < slots_.size(); ++i)
      pairs.push_back({slots_[i].name.c_str(), weights[i].get()});
    require(by_pairs(handle_, pairs.data(), pairs.size(), false, false), context);
  } else {
    HandlesByName handles;
    for (std::size_t i = 0; i < slots_.size(); ++i) handles.emplace(slots_[i].name, weights[i].get());
    require(by_map(handle_, &handles, false, false), context);
  }
  weights_ = on_cuda ? std::move(context.weights) : std::move(weights);
  note_places();
}

void Container::note_places() noexcept {
  if (place_.cuda == nullptr || slots_.size() != weights_.size()) return;
  for (std::size_t i = 0; i < slots_.size(); ++i)
    slots_[i].on_host = weights_[i]->storage->device == Device{};
}

void Container::take_places_of(const Container& other) noexcept {
  for (std::size_t i = 0; i < slots_.size() && i < other.slots_.size(); ++i)
    slots_[i].on_host = other.slots_[i].on_host;
}

/// The library takes weights of a device from that device only.
std::vector<tensor::TensorObjectPtr> Container::on_device(std::vector<tensor::TensorObjectPtr> weights,
                                                          const shim::CudaCall& call) const {
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const tensor::TensorObject& weight = *weights[i];
    const bool stays = i < slots_.size() && slots_[i].on_host;
    if (stays || weight.storage->device.type == DeviceType::Cuda) continue;
    const std::size_t bytes = weight.storage->bytes;
    const tensor::StorageReference memory(call.pool->allocate(bytes));
    const auto to = reinterpret_cast<cuda::DevicePointer>(memory->data);
    if (bytes != 0) {
      cuda::check(cuda::driver().memcpy_htod_async(to, weight.storage->data, bytes, call.stream),
                  "cuMemcpyHtoDAsync", slots_[i].full_name);
      // The host's memory goes right after.
      cuda::check(cuda::driver().stream_synchronize(call.stream), "cuStreamSynchronize", slots_[i].full_name);
    }
    weights[i] =
        tensor::TensorObjectPtr(tensor::make_tensor(memory.get(), {.dtype = weight.dtype,
                                                                   .sizes = weight.sizes(),
                                                                   .strides = weight.strides(),
                                                                   .storage_offset = weight.storage_offset}));
  }
  return weights;
}

void Container::drop_buffers() noexcept {
  for (const Buffer& buffer : buffers_) buffer.storage->drop();
  std::vector<Buffer>().swap(buffers_);
}

void Container::restore_buffers() noexcept {
  for (const Buffer& buffer : buffers_) {
    // All weights are as they were at first, so those beside it are too.
    tensor::forget_pages(*buffer.storage, tensor::PagesAround::Forget);
    std::copy(buffer.bytes.begin(), buffer.bytes.end(), static_cast<std::byte*>(buffer.storage->data));
  }
  drop_buffers();
}

Container::~Container() {
  drop_buffers();
  weights_.clear();
  if (handle_ == nullptr) return;
  bool deleted = false;
  try {
    const LibraryCall call(place_);
    deleted = library_->find<Status(Handle)>("AOTInductorModelContainerDelete")(handle_) == 0;
  } catch (const Error& error) {
    base::log(LogLevel::Warning, error.what());
  }
  if (!deleted) {
    base::log(LogLevel::Warning, what_ + ": the library could not delete its model");
  }
}

void Container::fold_constants() {
  using Fold = Status(Handle, bool, void*, void*);
  auto* const fold = library_->find<Fold>("AOTInductorModelContainerRunConstantFolding");
  // Libraries without it fold nothing.
  if (fold == nullptr) return;
  cpu::OpState operators;
  LibraryCall call(place_);
  call.context.operators = &operators;
  const auto proxy = objects::make_session(place_.executor);
  require(fold(handle_, /*use_inactive=*/false, call.stream(), proxy.get()), call.context);
  if (place_.cuda == nullptr) return;
  // Runs are on other streams.
  cuda::check(cuda::driver().stream_synchronize(call.stream()), "cuStreamSynchronize", what_);
}

std::vector<ConstantInfo> Container::constants() const {
  std::vector<ConstantInfo> result;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    ConstantInfo info{
        .name = slots_[i].full_name, .dtype = slots_[i].dtype, .bytes = slots_[i].bytes, .sizes = {}};
    if (i < weights_.size()) {
      const tensor::TensorObject& weight = *weights_[i];
      info.bytes = static_cast<std::uint64_t>(weight.numel) * element_bytes(weight.dtype);
      info.sizes.assign(weight.sizes().begin(), weight.sizes().end());
    }
    result.push_back(std::move(info));
  }
  std::sort(result.begin(), result.end(),
            [](const ConstantInfo& a, const ConstantInfo& b) { return a.name < b.name; });
  return result;
}

std::pair<std::string, std::string> Container::call_spec() const {
  using GetCallSpec = Status(Handle, const char**, const char**);
  auto* const get = library_->find<GetCallSpec>("AOTInductorModelContainerGetCallSpec");
  const char* in = nullptr;
  const char* out = nullptr;
  if (get == nullptr || get(handle_, &in, &out) != 0) return {};
  return {in != nullptr ? in : "", out != nullptr ? out : ""};
}

bool Container::run(std::span<AtenTensorHandle> inputs, std::span<AtenTensorHandle> outputs) const noexcept {
  const shim::CallContext* const context = shim::current_context();
  void* const stream = context->cuda != nullptr ? context->cuda->stream : nullptr;
  return run_(handle_, inputs.data(), inputs.size(), outputs.data(), outputs.size(), stream,
              context->proxy) == 0;
}

std::string Container::message(const shim::CallContext& context) const {
  using GetLastError = Status(const char**);
  const char* text = nullptr;
  if (auto* const get = library_->find<GetLastError>("AOTInductorGetLastError");
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
  if (context.failure) {
    // What the caller gave was found right before: in a run it is the model that asks for what cannot be.
    const bool is_run = context.purpose == shim::CallContext::Purpose::Run;
    const ErrorCode code = context.failure->code;
    std::string message = what_ + ": " + context.failure->message;
    if (!context.margin.none()) {
      message += " (a size of 0 or 1 was given where the library was generated for 2 and more)";
    }
    return Error(is_run && code == ErrorCode::InvalidArgument ? ErrorCode::Internal : code, message,
                 context.failure->cuda_result);
  }
  std::string text = message(context);
  if (text.empty()) text = "the model library reports an error without saying which";
  // The generated checks of inputs speak of these.
  const bool about_inputs = text.find("input_handles[") != std::string::npos ||
                            text.find("Error in op: input") != std::string::npos;
  return Error(about_inputs ? ErrorCode::InvalidArgument : ErrorCode::Internal, what_ + ": " + text);
}

template <class Function>
Function* Container::required(std::string_view name) const {
  auto* const function = library_->find<Function>(name);
  if (function == nullptr) {
    base::fail(ErrorCode::Corrupt,
               "{} has no function {}: it is no AOTInductor model library, or one of a "
               "PyTorch older than 2.9",
               what_, name);
  }
  return function;
}

void Container::require(Status status, const shim::CallContext& context) const {
  if (status != 0 || context.failure) throw error(context);
}

}  // namespace penstock::model
