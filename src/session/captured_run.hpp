#pragma once

#include "cuda/graph.hpp"
#include "session/graph_addresses.hpp"
#include "session/graph_memory.hpp"
#include "shim/abi.hpp"
#include "shim/cuda_call.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/tensor.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::session {

/// What capturing a run needs.
struct CaptureRequest {
  /// Runs the model on these inputs, which are of the same sizes as the run's own, and leaves the results in
  /// `outputs`. Nothing of it is executed.
  const std::function<void(std::span<const TensorView>, const shim::CudaCall&)>& run_model;
  std::span<const TensorView> inputs;
  /// Where `run_model` leaves results. They are taken from there.
  std::span<AtenTensorHandle> outputs;
  const shim::CudaCall& call;  ///< Of the run that is to be captured.
  cuda::StreamHandle stream;   ///< To capture on: of the execution resource, and with nothing of others.
  cuda::ContextHandle node_context;  ///< That of the resource: a green context's own.
  std::shared_ptr<const cuda::PrimaryContext> context;
  GraphMemory& memory;
};

/// What a graph uses besides memory: plans of libraries. Has to live as long as the graph.
using GraphHoldings = std::vector<std::shared_ptr<const void>>;

/// Captures a run of these inputs, whose memory is the allocator's, and leaves its results in the outputs.
/// What it uses is added to `used`. Errors: what the run says, Unsupported where it needs the host; Cuda.
[[nodiscard]] cuda::Graph capture_run(const CaptureRequest& request, std::span<const TensorView> inputs,
                                      tensor::Allocator& allocator, GraphHoldings& used);

/// A run that was captured, to be replayed with inputs and outputs at any address.
/// Thread: one caller at a time. Lifetime: the memory's; may go while a replay is on its way.
class CapturedRun {
 public:
  /// Captures, twice: the second capture shows where addresses are. Host-only, but for memory that the driver
  /// has to give. Errors: what the run says, in particular where one of its calls cannot be captured; Cuda.
  explicit CapturedRun(const CaptureRequest& request);

  /// False where the run cannot be replayed with these inputs, since one lies elsewhere than at its capture
  /// and what holds its address could not be found.
  [[nodiscard]] bool can_take(std::span<const TensorView> inputs) const noexcept;
  /// Why addresses could not be found; empty where they were.
  [[nodiscard]] const std::string& obstacle() const noexcept { return addresses_.obstacle(); }

  /// Puts the run on the call's stream, and its results, which are ready once the stream has got there, into
  /// `outputs`. Gives the number of nodes that had to be told of another address. Errors: Cuda, OutOfMemory;
  /// after one nothing was put on the stream where `is_launched` is false.
  std::size_t replay(std::span<const TensorView> inputs, const shim::CudaCall& call,
                     std::span<AtenTensorHandle> outputs);

  /// Of the last replay. Errors: none.
  [[nodiscard]] bool is_launched() const noexcept { return launched_; }

  [[nodiscard]] const cuda::Graph& graph() const noexcept { return graph_; }
  /// Of what the graph holds; its nodes only where addresses could be found.
  [[nodiscard]] const GraphAddresses& addresses() const noexcept { return addresses_; }
  /// That of the execution resource that it was captured in.
  [[nodiscard]] cuda::ContextHandle node_context() const noexcept { return node_context_; }

 private:
  /// A result, as the capture left it.
  struct Result {
    enum class Place { Input, Memory, Weight, None };
    Place place = Place::Weight;
    std::size_t index = 0;   ///< Of the input, or in `memory_`.
    std::size_t offset = 0;  ///< In bytes, from the start of that memory.
    DType dtype = DType::Float32;
    std::vector<std::int64_t> sizes = {};
    std::vector<std::int64_t> strides = {};
    tensor::TensorObjectPtr weight = {};
  };
  /// An allocation that results lie in.
  struct ResultMemory {
    std::size_t allocation = 0;  ///< In the order of the capture.
    void* captured = nullptr;
    std::size_t bytes = 0;
    tensor::Storage* now = nullptr;  ///< Of the replay that is being made, which holds it.
  };

  void find_results(std::span<AtenTensorHandle> outputs, std::span<const TensorView> inputs,
                    std::span<const Allocation> allocations);
  bool find_in_inputs(const tensor::TensorObject& output, std::span<const TensorView> inputs, Result& result);
  bool find_in_memory(const tensor::TensorObject& output, std::span<const Allocation> allocations,
                      Result& result);
  struct Moved;
  [[nodiscard]] Moved move_elsewhere(const CaptureRequest& request,
                                     const std::vector<Allocation>& allocations) const;
  void move_to(std::span<const TensorView> inputs);
  std::size_t update();
  void copy_results(const shim::CudaCall& call) const;
  void drop_result_memory() noexcept;
  [[nodiscard]] tensor::TensorObjectPtr make_result(const Result& result,
                                                    std::span<const TensorView> inputs) const;

  GraphHoldings used_;  ///< Before what uses it.
  bool launched_ = false;
  cuda::Graph graph_;  ///< Before what was made of it: it goes last.
  cuda::GraphExec exec_;
  cuda::ContextHandle node_context_;
  std::vector<const void*> captured_inputs_;
  GraphAddresses addresses_;  ///< Inputs first, then `memory_`.
  std::vector<ResultMemory> memory_;
  std::vector<Result> results_;
};

}  // namespace penstock::session
