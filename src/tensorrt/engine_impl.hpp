#pragma once

#include "tensorrt/built_engine.hpp"

#include <penstock/tensorrt.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace penstock {

/// What runs of an engine use of it: replaced as a whole.
struct TensorRTEngineState {
  std::shared_ptr<const tensorrt::BuiltEngine> built;
  std::optional<StreamView> stream;
  unsigned long long stream_id = 0;  ///< Tells it from a later one with the same handle.
  std::shared_ptr<const void> stream_owner;
  std::optional<int> profile;
  bool profiling = false;
  bool output_allocator = false;
  bool reused_outputs = false;
  void* communicator = nullptr;

  [[nodiscard]] bool operator==(const TensorRTEngineState&) const = default;
  [[nodiscard]] bool has_stream_of(const TensorRTEngineState& other) const noexcept {
    return stream == other.stream && stream_id == other.stream_id;
  }
};

struct TensorRTEngine::Impl {
  VersionedObject<TensorRTEngineState> state;
  // The same however often it is built anew.
  std::string name;
  std::vector<TensorRTTensor> inputs;
  std::vector<TensorRTTensor> outputs;
  bool requires_output_allocator = false;
  bool uses_collectives = false;
  Value serialized;  ///< As the package has it.
  mutable std::mutex times_mutex;
  std::vector<TensorRTLayerTime> times;

  Impl(TensorRTEngineState from, std::string called)
      : state(std::move(from)),
        name(std::move(called)),
        inputs(built()->inputs().begin(), built()->inputs().end()),
        outputs(built()->outputs().begin(), built()->outputs().end()) {}

  [[nodiscard]] std::shared_ptr<const tensorrt::BuiltEngine> built() const { return state.state()->built; }

  void set_times(std::vector<TensorRTLayerTime> measured) {
    const std::lock_guard lock(times_mutex);
    times = std::move(measured);
  }
};

}  // namespace penstock
