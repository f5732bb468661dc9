#pragma once

#include "cuda/context.hpp"
#include "tensorrt/callbacks.hpp"
#include "tensorrt/engine_state.hpp"
#include "tensorrt/library.hpp"

#include <penstock/tensorrt.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::tensorrt {

/// What an engine is built of.
struct EngineSource {
  std::string what;  ///< For messages: "engine \"a\" of package p".
  std::shared_ptr<const cuda::PrimaryContext> context;
  std::vector<std::filesystem::path> libraries;  ///< To try; empty: those that are found.
  bool of_package = false;                       ///< Else it is a plan alone, which has an order of its own.
  /// Names of inputs and outputs in the order of calls. Both empty: the numbers in the plan's names tell.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<AliasedOutput> aliases;
  std::optional<std::int64_t> weight_budget;  ///< Bytes; nothing: what TensorRT holds right for the device.
};

/// An ICudaEngine, described. Nothing of it changes: what does is built anew.
/// Thread: thread-safe. Lifetime: holds the device's context; contexts of it hold it.
class BuiltEngine {
 public:
  /// Lets the libraries try the plan, the likeliest first. It is not needed afterwards. Blocking.
  /// Errors: NotFound where there is no TensorRT; Incompatible where none takes the plan, with the words of
  /// each; InvalidArgument for names that are not the plan's and for a budget that TensorRT refuses;
  /// Unsupported for a dtype that Penstock has not; Cuda.
  static std::shared_ptr<const BuiltEngine> make(EngineSource source, std::span<const std::byte> plan);
  ~BuiltEngine();
  BuiltEngine(const BuiltEngine&) = delete;
  BuiltEngine& operator=(const BuiltEngine&) = delete;

  [[nodiscard]] const EngineSource& source() const noexcept { return source_; }
  [[nodiscard]] const Library& library() const noexcept { return *library_; }
  [[nodiscard]] const std::string& what() const noexcept { return source_.what; }
  [[nodiscard]] std::span<const TensorRTTensor> inputs() const noexcept { return inputs_; }
  [[nodiscard]] std::span<const TensorRTTensor> outputs() const noexcept { return outputs_; }
  /// The input whose memory an output is; nothing: it has its own.
  [[nodiscard]] std::optional<std::size_t> aliased_input(std::size_t output) const noexcept {
    return aliased_[output];
  }
  [[nodiscard]] int profile_count() const noexcept { return profile_count_; }
  /// Errors: InvalidArgument.
  [[nodiscard]] const TensorRTRange& range(int profile, std::size_t input) const;
  [[nodiscard]] int aux_stream_count() const noexcept { return aux_streams_; }
  /// Device memory that a context needs while it runs; 0 where it has its own.
  [[nodiscard]] std::int64_t context_bytes() const noexcept { return context_bytes_; }
  [[nodiscard]] std::int64_t streamable_weight_bytes() const noexcept;
  [[nodiscard]] std::int64_t weight_budget() const noexcept;
  [[nodiscard]] std::string layer_information() const;

  /// A new IExecutionContext; the device's context is current. Errors: OutOfMemory with TensorRT's words.
  [[nodiscard]] void* create_context() const;

  /// Calls a function of the engine. Errors: none.
  template <class Result, class... Arguments>
  Result call(int slot, Arguments... arguments) const {
    return abi::call<Result>(engine_, slot, arguments...);
  }
  [[nodiscard]] const abi::EngineSlots& slots() const noexcept { return library_->numbering().engine; }

 private:
  explicit BuiltEngine(EngineSource source) : source_(std::move(source)) {}
  void deserialize(std::span<const std::byte> plan);
  void set_budget() const;
  void describe();
  void order_tensors();
  void find_aliases();
  void read_ranges();
  [[nodiscard]] TensorRTRange read_range(int profile, const TensorRTTensor& tensor) const;
  [[nodiscard]] TensorRTTensor describe_tensor(const char* name) const;

  EngineSource source_;
  Library* library_ = nullptr;
  void* engine_ = nullptr;
  std::vector<TensorRTTensor> inputs_;
  std::vector<TensorRTTensor> outputs_;
  std::vector<std::optional<std::size_t>> aliased_;
  std::vector<std::vector<TensorRTRange>> ranges_;  ///< By profile and input.
  int profile_count_ = 1;
  int aux_streams_ = 0;
  std::int64_t context_bytes_ = 0;
};

}  // namespace penstock::tensorrt
