#pragma once

#include "cuda/resource_stream.hpp"
#include "tensorrt/built_engine.hpp"
#include "tensorrt/callbacks.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::tensorrt {

/// Auxiliary streams for an engine: in the execution resource that it runs in, so that its work stays there.
class AuxStreams {
 public:
  /// Errors: Cuda.
  AuxStreams(const cuda::ExecutionResource& resource,
             const std::shared_ptr<const cuda::PrimaryContext>& context, int count);
  [[nodiscard]] std::span<const cuda::StreamHandle> handles() const noexcept { return handles_; }

 private:
  std::vector<std::unique_ptr<cuda::ResourceStream>> streams_;
  std::vector<cuda::StreamHandle> handles_;
};

/// An input as an engine is to have it.
struct EngineInput {
  void* data = nullptr;  ///< On the device.
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> values;  ///< Of a tensor `on_host`; `data` is not used then.
  std::vector<std::byte> bytes;      ///< The same, as the engine reads them.
};

/// An IExecutionContext for one profile and the sizes of the inputs. TensorRT brings what a context has on
/// the device up to date when sizes change, which a graph that was captured of it would not see: so a context
/// that a graph holds keeps its sizes. Thread: one caller at a time. Lifetime: holds the engine.
class ExecutionContext {
 public:
  /// The device's context is current. Errors: OutOfMemory with TensorRT's words.
  ExecutionContext(std::shared_ptr<const BuiltEngine> engine, bool is_profiled);
  ~ExecutionContext();
  ExecutionContext(const ExecutionContext&) = delete;
  ExecutionContext& operator=(const ExecutionContext&) = delete;

  [[nodiscard]] const BuiltEngine& engine() const noexcept { return *engine_; }
  [[nodiscard]] bool is_profiled() const noexcept { return is_profiled_; }
  [[nodiscard]] int profile() const noexcept { return profile_; }
  [[nodiscard]] bool has(int profile, std::span<const EngineInput> inputs) const;

  /// Takes up profile and sizes. Stream-ordered. Errors: InvalidArgument with TensorRT's words; afterwards it
  /// has none.
  void set(int profile, std::span<const EngineInput> inputs, cuda::StreamHandle stream);

  /// Sizes of an output; -1 where the data decide. Errors: none.
  [[nodiscard]] const std::vector<std::int64_t>& output_sizes(std::size_t output) const {
    return output_sizes_[output];
  }

  /// Where inputs and outputs lie. TensorRT is told of what has changed. Errors: Internal with TensorRT's
  /// words, of each.
  void set_input_address(std::size_t input, void* data);
  void set_output_address(std::size_t output, void* data);
  /// Null: it has an address instead.
  void set_allocator(std::size_t output, OutputMemory* memory);
  void set_memory(void* data, std::int64_t bytes);
  void set_communicator(void* communicator);
  void use(const std::shared_ptr<AuxStreams>& streams);

  /// Puts the engine's work on the stream. Stream-ordered; where it is profiled, blocking. Errors: Internal
  /// with TensorRT's words, and what the allocator of outputs threw.
  void enqueue(cuda::StreamHandle stream);

  /// What was measured since the last time.
  [[nodiscard]] std::vector<TensorRTLayerTime> take_times() noexcept { return profiler_.take(); }

 private:
  template <class Result, class... Arguments>
  Result call(int slot, Arguments... arguments) const {
    return abi::call<Result>(context_, slot, arguments...);
  }
  [[nodiscard]] const abi::ContextSlots& slots() const noexcept {
    return engine_->library().numbering().context;
  }
  void set_input(std::size_t input, const EngineInput& given, const CollectedLog& log);
  void set_address(const TensorRTTensor& tensor, void* data, void*& known);
  [[nodiscard]] std::vector<std::int64_t> read_output_sizes(std::size_t output,
                                                            const CollectedLog& log) const;

  std::shared_ptr<const BuiltEngine> engine_;
  bool is_profiled_;
  OutputAllocator allocator_;
  Profiler profiler_;
  std::shared_ptr<AuxStreams> aux_;
  void* context_;
  int profile_ = 0;
  bool is_set_ = false;
  std::vector<EngineInput> inputs_;
  std::vector<std::vector<std::int64_t>> output_sizes_;
  // What TensorRT was told; null: nothing.
  std::vector<void*> input_addresses_;
  std::vector<void*> output_addresses_;
  std::vector<bool> allocated_;  ///< By output.
  void* memory_ = nullptr;
  std::int64_t memory_bytes_ = 0;
  void* communicator_ = nullptr;
};

}  // namespace penstock::tensorrt
