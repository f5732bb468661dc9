#pragma once

#include "cuda/abi.hpp"
#include "cuda/cupti_abi.hpp"
#include "shim/table.hpp"
#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/custom_objects.hpp>
#include <penstock/session.hpp>
#include <penstock/system.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace penstock::shim {

/// What the operators of one lane keep between runs: plans, algorithms, workspaces.
/// Thread: one caller at a time.
class CudaLaneState {
 public:
  virtual ~CudaLaneState() = default;
  /// Bytes of device memory held. Errors: none.
  [[nodiscard]] virtual std::uint64_t held_bytes() const noexcept = 0;
};

/// What live objects keep for one lane, by object. Goes when the lane's last run is done, with the device's
/// context current. Thread: one caller at a time.
using KeptByObjects = std::map<const CustomObject*, std::shared_ptr<void>>;

struct CudaCall;

/// The operators of libpenstock_cuda, as the core sees them.
/// Thread: thread-safe. Lifetime: the process.
class CudaOperators {
 public:
  virtual ~CudaOperators() = default;

  /// The functions of PyTorch's C ABI that are there: "aoti_torch_cuda_addmm_out". Opens nothing.
  [[nodiscard]] virtual std::span<const TableEntry> functions() const noexcept = 0;

  /// The libraries that functions may need, each opened for that. Blocking. Errors: OutOfMemory.
  [[nodiscard]] virtual std::vector<OptionalLibrary> libraries() const = 0;

  /// Loads the kernels that the functions of these names need, and those of `copy` and `zero`, into the
  /// current context, once a context, and opens the libraries that they need. Each call takes one of
  /// `release`. Blocking. Errors: NotFound names a library, where it was looked for, and how to get it.
  virtual void prepare(std::span<const std::string_view> functions) = 0;

  /// Takes the kernels out of the current context with the last of those that had them loaded. Errors: none;
  /// the driver's answer is returned.
  virtual cuda::Result release() noexcept = 0;

  /// What the functions keep for one lane. The context is current. Errors: OutOfMemory, Cuda.
  [[nodiscard]] virtual std::unique_ptr<CudaLaneState> make_lane_state() = 0;

  /// Copies elements between device tensors of equal sizes, converting dtypes, or from one element to all.
  /// Stream-ordered on the call's stream.
  virtual void copy(const CudaCall& call, const tensor::TensorObject& to,
                    const tensor::TensorObject& from) = 0;

  /// Sets all bytes of all elements to zero. Stream-ordered on the call's stream.
  virtual void zero(const CudaCall& call, const tensor::TensorObject& to) = 0;

  /// CUPTI, which is opened at the first call: with the other libraries of NVIDIA. Errors: NotFound says
  /// where it was looked for, and how to get it.
  [[nodiscard]] virtual const cuda::cupti::Functions& cupti() = 0;
};

/// What an observer is told of the enqueue of a TensorRT engine, whose auxiliary streams are of the run too:
/// they are other streams of the same execution resource.
inline constexpr std::string_view kEngineCall = "TensorRT enqueueV3";

/// Who is told of each launch, copy, library call and registered operator of a run. For an audit; null where
/// there is none.
class CudaObserver {
 public:
  virtual ~CudaObserver() = default;
  enum class Kind { Kernel, Copy, Fill, Library, Operator };
  /// `name`: of the kernel, the library's function or the operator. Errors: none may leave it.
  virtual void launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept = 0;
};

/// The kernels of one model library, loaded on one device.
/// Thread: thread-safe.
class CudaCode {
 public:
  virtual ~CudaCode() = default;
  /// The module of the package's file of this name. Errors: NotFound.
  virtual cuda::ModuleHandle module(std::string_view file) = 0;
  /// The module of an image within the library. Errors: Cuda, Incompatible.
  virtual cuda::ModuleHandle module(const void* image) = 0;
};

/// The CUDA part of one call into a model library. Its context is current on the thread.
struct CudaCall {
  cuda::StreamHandle stream = nullptr;
  int device = 0;
  cuda::ContextHandle context = nullptr;
  unsigned sm_count = 0;              ///< Of the execution resource that the stream belongs to.
  tensor::Allocator* pool = nullptr;  ///< Device memory, ordered on the stream.
  CudaCode* code = nullptr;
  CudaOperators* operators = nullptr;
  CudaLaneState* lane = nullptr;  ///< Of the lane, or of the load.
  KeptByObjects* kept = nullptr;  ///< Null while loading.
  CudaNumerics numerics;
  CudaObserver* observer = nullptr;
  bool is_load = false;     ///< Weights are computed, which stay for all runs.
  bool is_capture = false;  ///< Nothing is executed: it is recorded into a graph.
  /// What has to live as long as the graph of a capture; null outside of one.
  std::vector<std::shared_ptr<const void>>* used_by_graph = nullptr;
  /// A host value was read in this run: what it did next cannot be recorded. The name of the function.
  mutable const char* read_by_host = nullptr;
};

/// The CUDA part of this thread's innermost call. Errors: Internal outside of one on a CUDA device; while
/// probing, as refuse_while_probing.
const CudaCall& cuda_call();

/// A new tensor on the device of the current call, not initialized. Errors: as make_result.
tensor::TensorObjectPtr make_cuda_result(DType dtype, std::span<const std::int64_t> sizes,
                                         std::span<const std::int64_t> strides);
tensor::TensorObjectPtr make_cuda_result(DType dtype, std::span<const std::int64_t> sizes);

/// The library with the operators: libpenstock_cuda.so beside libpenstock, or what PENSTOCK_CUDA_LIBRARY
/// names. Opened at the first call; needs no GPU for that. Null where it is not there or of another version.
CudaOperators* cuda_operators() noexcept;
/// Why there is none, and where it was looked for; empty where there is one.
const std::string& cuda_operators_missing();

}  // namespace penstock::shim
