#include "cuda_ops/cudnn_graph.hpp"

#include "base/fail.hpp"
#include "cuda_ops/operator.hpp"
#include "cuda_ops/stream_trial.hpp"
#include "cuda_ops/vendor_library.hpp"
#include "system/ranges.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace penstock::cuda_ops {
namespace {

// Where every engine wants more, the least is taken.
constexpr std::int64_t kMuchWorkspace = 256 << 20;

void check(cudnn::Status status, const char* function) {
  if (status == cudnn::kSuccess) return;
  const cudnn::Functions& dnn = cudnn_functions();
  std::array<char, 512> reason{};
  dnn.GetLastErrorString(reason.data(), reason.size() - 1);
  base::fail(ErrorCode::Cuda, "cudnn{}: {} ({}), of cuDNN {}: {}", function, dnn.GetErrorString(status),
             status, dnn.GetVersion(), reason.data());
}

std::vector<CudnnDescriptor> engine_configs(const CudnnDescriptor& heuristic) {
  const cudnn::Functions& dnn = cudnn_functions();
  std::int64_t count = 0;
  check(dnn.BackendGetAttribute(heuristic.get(), cudnn::kHeuristicResults, cudnn::kTypeDescriptor, 0, &count,
                                nullptr),
        "BackendGetAttribute");
  std::vector<CudnnDescriptor> configs;
  std::vector<cudnn::Descriptor> handles;
  for (std::int64_t i = 0; i < count; ++i) {
    handles.push_back(configs.emplace_back(cudnn::kEngineConfig).get());
  }
  check(dnn.BackendGetAttribute(heuristic.get(), cudnn::kHeuristicResults, cudnn::kTypeDescriptor, count,
                                &count, handles.data()),
        "BackendGetAttribute");
  configs.resize(static_cast<std::size_t>(count));
  return configs;
}

/// Source of what PyTorch does not take: filterEngineConfigs in aten/src/ATen/native/cudnn/Conv_v8.cpp.
bool is_allowed(const CudnnDescriptor& config, const EngineRules& rules) {
  const cudnn::Functions& dnn = cudnn_functions();
  const CudnnDescriptor engine(cudnn::kEngine);
  cudnn::Descriptor handle = engine.get();
  std::int64_t count = 0;
  if (dnn.BackendGetAttribute(config.get(), cudnn::kConfigEngine, cudnn::kTypeDescriptor, 1, &count,
                              &handle) != cudnn::kSuccess) {
    return false;
  }
  // Newer versions may know more notes.
  std::array<cudnn::NumericalNote, 4 * cudnn::kNoteCount> notes{};
  count = 0;
  if (dnn.BackendGetAttribute(handle, cudnn::kEngineNumericalNotes, cudnn::kTypeNumericalNote,
                              cudnn::kNoteCount, &count, notes.data()) != cudnn::kSuccess) {
    return false;
  }
  const std::span<const cudnn::NumericalNote> used(
      notes.data(), static_cast<std::size_t>(std::min<std::int64_t>(count, cudnn::kNoteCount)));
  const auto has = [&](cudnn::NumericalNote note) { return std::ranges::find(used, note) != used.end(); };
  return !has(cudnn::kNoteDownConvertInputs) && (rules.tensor_cores || !has(cudnn::kNoteTensorCore));
}

}  // namespace

CudnnDescriptor::CudnnDescriptor(cudnn::DescriptorType type) {
  check(cudnn_functions().BackendCreateDescriptor(type, &descriptor_), "BackendCreateDescriptor");
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ != nullptr) cudnn_functions().BackendDestroyDescriptor(descriptor_);
}

void CudnnDescriptor::set(cudnn::Attribute attribute, cudnn::AttributeType type, std::int64_t count,
                          const void* values) {
  check(cudnn_functions().BackendSetAttribute(descriptor_, attribute, type, count, values),
        "BackendSetAttribute");
}

void CudnnDescriptor::set(cudnn::Attribute attribute, std::span<const std::int64_t> values) {
  set(attribute, cudnn::kTypeInt64, static_cast<std::int64_t>(values.size()), values.data());
}

void CudnnDescriptor::set(cudnn::Attribute attribute, const CudnnDescriptor& other) {
  set(attribute, cudnn::kTypeDescriptor, 1, &other.descriptor_);
}

void CudnnDescriptor::finalize() { check(cudnn_functions().BackendFinalize(descriptor_), "BackendFinalize"); }

bool CudnnDescriptor::try_finalize() noexcept {
  return cudnn_functions().BackendFinalize(descriptor_) == cudnn::kSuccess;
}

CudnnDescriptor make_tensor(const CudnnTensor& tensor) {
  CudnnDescriptor made(cudnn::kTensor);
  made.set(cudnn::kTensorDataType, cudnn::kTypeDataType, tensor.type);
  made.set(cudnn::kTensorDimensions, tensor.sizes);
  made.set(cudnn::kTensorStrides, tensor.strides);
  made.set(cudnn::kTensorUniqueId, cudnn::kTypeInt64, tensor.id);
  made.set(cudnn::kTensorAlignment, cudnn::kTypeInt64, tensor.alignment);
  made.finalize();
  return made;
}

namespace {

/// The addresses of an execution.
CudnnDescriptor make_pack(const CudnnOperands& operands, void* workspace) {
  CudnnDescriptor pack(cudnn::kVariantPack);
  pack.set(cudnn::kPackUniqueIds, operands.ids);
  pack.set(cudnn::kPackDataPointers, cudnn::kTypePointer, static_cast<std::int64_t>(operands.data.size()),
           operands.data.data());
  pack.set(cudnn::kPackWorkspace, cudnn::kTypePointer, workspace);
  pack.finalize();
  return pack;
}

/// Lends a handle to another stream for as long as it lives.
class HandleOnStream {
 public:
  HandleOnStream(cudnn::Handle handle, cuda::StreamHandle stream, cuda::StreamHandle back)
      : handle_(handle), back_(back) {
    check(cudnn_functions().SetStream(handle, stream), "SetStream");
  }
  ~HandleOnStream() { cudnn_functions().SetStream(handle_, back_); }
  HandleOnStream(const HandleOnStream&) = delete;
  HandleOnStream& operator=(const HandleOnStream&) = delete;

 private:
  cudnn::Handle handle_;
  cuda::StreamHandle back_;
};

}  // namespace

/// The search for a plan's engine.
class CudnnPlan::Choice {
 public:
  Choice(CudnnPlan& plan, const shim::CudaCall& call, cudnn::Handle handle, const CudnnOperands& operands)
      : plan_(plan), call_(call), handle_(handle), operands_(operands), trial_(call) {}

  /// True where there is a plan of little workspace.
  bool choose(cudnn::HeuristicMode mode, const EngineRules& rules) {
    CudnnDescriptor heuristic(cudnn::kEngineHeuristic);
    heuristic.set(cudnn::kHeuristicOperationGraph, plan_.graph_);
    heuristic.set(cudnn::kHeuristicMode, cudnn::kTypeHeuristicMode, mode);
    if (rules.sm_count != 0) {
      // Since cuDNN 8.9; older ones answer that they do not know it, and size for the whole GPU.
      const auto count = static_cast<std::int32_t>(rules.sm_count);
      cudnn_functions().BackendSetAttribute(heuristic.get(), cudnn::kHeuristicSmCountTarget,
                                            cudnn::kTypeInt32, 1, &count);
    }
    if (!heuristic.try_finalize()) return false;
    for (CudnnDescriptor& config : engine_configs(heuristic)) {
      if (!is_allowed(config, rules) || !take(config)) continue;
      plan_.config_ = std::move(config);
      if (plan_.workspace_bytes_ <= kMuchWorkspace) return true;
    }
    return false;
  }

 private:
  /// Makes a plan of the engine, unless it cannot be, one with less workspace is there, or it leaves the
  /// stream.
  bool take(const CudnnDescriptor& config) {
    CudnnDescriptor made(cudnn::kExecutionPlan);
    made.set(cudnn::kPlanHandle, cudnn::kTypeHandle, handle_);
    made.set(cudnn::kPlanEngineConfig, config);
    if (!made.try_finalize()) return false;
    std::int64_t bytes = 0;
    std::int64_t count = 0;
    check(cudnn_functions().BackendGetAttribute(made.get(), cudnn::kPlanWorkspaceSize, cudnn::kTypeInt64, 1,
                                                &count, &bytes),
          "BackendGetAttribute");
    if (plan_.plan_.get() != nullptr && bytes >= plan_.workspace_bytes_) return false;
    if (!stays(made, bytes)) return false;
    plan_.plan_ = std::move(made);
    plan_.workspace_bytes_ = bytes;
    return true;
  }

  bool stays(const CudnnDescriptor& made, std::int64_t workspace_bytes) {
    const cudnn::Functions& dnn = cudnn_functions();
    const Workspace workspace(call_, static_cast<std::size_t>(workspace_bytes));
    const CudnnDescriptor pack = make_pack(operands_, workspace.data());
    const HandleOnStream on_trial(handle_, trial_.stream(), call_.stream);
    return trial_.stays(
        [&] { return dnn.BackendExecute(handle_, made.get(), pack.get()) == cudnn::kSuccess; });
  }

  CudnnPlan& plan_;
  const shim::CudaCall& call_;
  cudnn::Handle handle_;
  const CudnnOperands& operands_;
  StreamTrial trial_;
};

CudnnPlan::CudnnPlan(const shim::CudaCall& call, cudnn::Handle handle, std::vector<CudnnDescriptor> parts,
                     const EngineRules& rules, const CudnnOperands& operands)
    : parts_(std::move(parts)), graph_(cudnn::kOperationGraph) {
  graph_.set(cudnn::kGraphHandle, cudnn::kTypeHandle, handle);
  graph_.set(cudnn::kGraphOperations, parts_.back());
  graph_.finalize();
  Choice choice(*this, call, handle, operands);
  if (choice.choose(cudnn::kHeuristicA, rules) || choice.choose(cudnn::kHeuristicFallback, rules)) return;
  if (plan_.get() == nullptr && rules.sm_count != 0) {
    // Not every engine can be sized for a partition: one for the whole GPU runs there too.
    EngineRules whole = rules;
    whole.sm_count = 0;
    if (choice.choose(cudnn::kHeuristicA, whole) || choice.choose(cudnn::kHeuristicFallback, whole)) return;
  }
  if (plan_.get() == nullptr) {
    base::fail(ErrorCode::Unsupported, "cuDNN {} has no engine for the operation that keeps to one stream",
               cudnn_functions().GetVersion());
  }
}

void CudnnPlan::run(const shim::CudaCall& call, cudnn::Handle handle, const CudnnOperands& operands) {
  const Workspace workspace(call, static_cast<std::size_t>(workspace_bytes_));
  std::vector<void*> addresses(operands.data.begin(), operands.data.end());
  addresses.push_back(workspace.data());
  if (addresses != packed_) {
    pack_ = make_pack(operands, workspace.data());
    packed_ = std::move(addresses);
  }
  if (call.observer != nullptr) {
    call.observer->launched(shim::CudaObserver::Kind::Library, "cudnnBackendExecute", call.stream);
  }
  const system::Range range("cudnnBackendExecute");
  scrub_in_capture(call);
  check(cudnn_functions().BackendExecute(handle, plan_.get(), pack_.get()), "BackendExecute");
}

}  // namespace penstock::cuda_ops
