#pragma once

#include "cpu/op_state.hpp"
#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/error.hpp>

#include <optional>
#include <string>
#include <vector>

struct AOTIProxyExecutorOpaque;

namespace penstock::shim {

/// The first thing that went wrong inside a call of the model library.
struct Failure {
  ErrorCode code = ErrorCode::Internal;
  std::string message;
  int cuda_result = 0;  ///< As Error::cuda_result.
};

struct CudaCall;
struct WeightCopies;

/// How much memory that nobody uses lies on either side of a result. None by default.
struct ResultMargin {
  int doublings = 0;  ///< So many of the run's sizes count as if they were twice what they are.
  std::size_t of_nothing_bytes = 0;  ///< Around a result that has no elements.
  [[nodiscard]] bool none() const noexcept { return doublings == 0; }
};

/// What the shim functions of one call into a model library work with. The model library's C ABI has
/// no room for it, so it is found through the thread.
struct CallContext {
  enum class Purpose {
    Load,   ///< Tensors made from memory are weights.
    Probe,  ///< Only the library's own input checks may run: any work is refused.
    Run,
  };
  Purpose purpose = Purpose::Run;
  tensor::Allocator* pool = nullptr;  ///< Where results in host memory are made; null: plain host memory.
  const CudaCall* cuda = nullptr;     ///< Of a call on a CUDA device; null on the CPU.
  AOTIProxyExecutorOpaque* proxy = nullptr;  ///< Who answers calls by number; null: the package has none.
  cpu::OpState* operators = nullptr;         ///< Needed by operators; null while loading and probing.
  int threads = 1;                           ///< Upper bound on a team.
  bool exact_threads = false;                ///< A smaller team would leave work undone.
  /// Room to leave before and behind each result of a run: the model may touch more than it asks for.
  ResultMargin margin;
  std::optional<Failure> failure;
  std::string printed;  ///< What the library wrote to std::cerr.
  /// Load: handles of the weights in the order they were made.
  std::vector<tensor::TensorObjectPtr> weights;
  /// Load: where the weights really are; null: where the library says.
  WeightCopies* copies = nullptr;
  /// Probe: tensors whose rank was asked for, in that order. Checks of whole layouts begin so.
  std::vector<const tensor::TensorObject*> rank_queries;
  /// Probe: tensors whose address may be asked for once more. Generated checks wrap each input, and the
  /// wrapper asks; whoever asks again is about to work with the address.
  std::vector<const tensor::TensorObject*> addressable_once;
};

/// The context of this thread's innermost call into a model library; null outside of one.
CallContext* current_context() noexcept;

/// Makes `context` the current one until the end of the scope.
class ContextScope {
 public:
  explicit ContextScope(CallContext& context) noexcept;
  ~ContextScope();
  ContextScope(const ContextScope&) = delete;
  ContextScope& operator=(const ContextScope&) = delete;

 private:
  CallContext* previous_;
};

/// Keeps the message of the exception in flight for whoever made the call, and gives the ABI's code
/// for failure. To be called in a catch block.
std::int32_t record_failure() noexcept;

/// Runs `work` behind the C ABI: 0, or 1 with the failure recorded.
template <class Work>
std::int32_t guarded(Work&& work) noexcept {
  try {
    work();
    return 0;
  } catch (...) {
    return record_failure();
  }
}

/// Where the operators of the current run keep their state. Errors: Internal outside of a run; while
/// probing, as refuse_while_probing.
cpu::OpContext operator_context();

/// Where operators of the current run make what they need while they work; null: plain host memory.
/// Errors: while probing, as refuse_while_probing.
tensor::Allocator* operator_memory();

/// Throws where the current call may only run input checks.
void refuse_while_probing();

}  // namespace penstock::shim
