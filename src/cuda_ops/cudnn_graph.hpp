#pragma once

#include "cuda_ops/cudnn_abi.hpp"
#include "cuda_ops/lane_state.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace penstock::cuda_ops {

/// Owns a descriptor of cuDNN's graphs. Errors of its functions: Cuda with cuDNN's own explanation.
class CudnnDescriptor {
 public:
  CudnnDescriptor() = default;
  explicit CudnnDescriptor(cudnn::DescriptorType type);
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor(const CudnnDescriptor&) = delete;
  CudnnDescriptor& operator=(const CudnnDescriptor&) = delete;
  ~CudnnDescriptor();

  [[nodiscard]] cudnn::Descriptor get() const noexcept { return descriptor_; }

  void set(cudnn::Attribute attribute, cudnn::AttributeType type, std::int64_t count, const void* values);
  template <class T>
  void set(cudnn::Attribute attribute, cudnn::AttributeType type, const T& value) {
    set(attribute, type, 1, &value);
  }
  void set(cudnn::Attribute attribute, std::span<const std::int64_t> values);
  void set(cudnn::Attribute attribute, const CudnnDescriptor& other);
  void finalize();
  /// The same, where a refusal is an answer.
  [[nodiscard]] bool try_finalize() noexcept;

 private:
  cudnn::Descriptor descriptor_ = nullptr;
};

/// A dense tensor of a graph. At most 16 bytes of alignment are of use.
struct CudnnTensor {
  std::int64_t id = 0;
  cudnn::DataType type = cudnn::kFloat32;
  std::span<const std::int64_t> sizes;
  std::span<const std::int64_t> strides;
  std::int64_t alignment = 16;
};
CudnnDescriptor make_tensor(const CudnnTensor& tensor);

/// What engines a plan may use.
struct EngineRules {
  bool tensor_cores = true;
  unsigned sm_count = 0;  ///< Of the partition; 0: the whole GPU.
};

/// Where the tensors of an operation are.
struct CudnnOperands {
  std::span<const std::int64_t> ids;
  std::span<void* const> data;  ///< In the order of the ids.
};

/// An operation with the engine that cuDNN's heuristic prefers of those that work and that keep to the stream
/// that they are given. Thread: one caller at a time.
class CudnnPlan {
 public:
  /// Takes what an operation is made of, and last the operation. Nothing is executed. Errors: Unsupported
  /// where no engine takes it; Cuda.
  CudnnPlan(const shim::CudaCall& call, cudnn::Handle handle, std::vector<CudnnDescriptor> parts,
            const EngineRules& rules, const CudnnOperands& operands);

  /// Puts the operation on the call's stream. Stream-ordered.
  void run(const shim::CudaCall& call, cudnn::Handle handle, const CudnnOperands& operands);

 private:
  class Choice;

  std::vector<CudnnDescriptor> parts_;
  CudnnDescriptor graph_;
  CudnnDescriptor config_;
  CudnnDescriptor plan_;
  std::int64_t workspace_bytes_ = 0;
  // The addresses of a model's tensors repeat, so the last pack is the one to use again.
  CudnnDescriptor pack_;
  std::vector<void*> packed_;
};

}  // namespace penstock::cuda_ops
