#pragma once

#include "abi.hpp"
#include "control.hpp"
#include "device.hpp"
#include "engine.hpp"
#include "plan.hpp"

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::trt_double {

/// What a host said of a tensor.
struct Binding {
  std::optional<Shape> shape;   ///< Of an input.
  std::optional<Shape> values;  ///< Of a shape input, when they were read last.
  void* address = nullptr;
  HostObject* allocator = nullptr;
};

/// VExecutionContext.
struct Context {
  Context(std::shared_ptr<EngineState> of_engine, AllocationStrategy with_strategy);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  [[nodiscard]] const Plan& plan() const { return engine->plan; }
  /// Null for a name that no tensor of the engine has.
  Binding* find(const char* tensor);

  const VtableEntry* vtable;
  Face face;
  std::shared_ptr<EngineState> engine;
  HostObject* logger;
  Counted counted{Kind::Context};
  std::shared_ptr<const DeviceCode> code;
  AllocationStrategy strategy;
  std::string name;
  std::int32_t profile = 0;
  std::vector<Binding> bindings;  ///< A tensor of the plan each.

  Memory own_memory;  ///< Empty where the host manages it.
  cuda::DevicePointer memory = 0;
  std::int64_t memory_bytes = 0;
  Memory found_count;  ///< Of nonzero layers.

  Event fork;
  std::vector<Event> layer_events;              ///< Recorded behind a layer that another stream waits for.
  std::vector<Event> joins;                     ///< One an auxiliary stream.
  std::vector<cuda::StreamHandle> aux_streams;  ///< The host's.
  std::vector<OwnStream> own_streams;           ///< Where it gave too few.
  cuda::EventHandle consumed = nullptr;

  HostObject* profiler = nullptr;
  std::vector<std::pair<Event, Event>> timers;  ///< One pair a layer, where there is a profiler.
  void* communicator = nullptr;
  std::atomic<bool> busy = false;

  // What is only kept.
  void* error_recorder = nullptr;
  void* temporary_allocator = nullptr;
  bool debug_sync = false;
};

/// The shapes of all tensors, -1 where they are not known.
std::vector<Shape> known_shapes(const Context& context);
/// What a layer's output has as its shape, as far as those of its inputs tell.
Shape output_shape(const Context& context, const LayerPlan& layer, const std::vector<Shape>& shapes);
/// The bytes that an output can need in the active profile; -1 where there is no end to them.
std::int64_t most_bytes(const Context& context, const TensorPlan& output);
/// Reads the values of shape inputs and says which inputs are not specified. Throws Refusal.
std::vector<const char*> infer_shapes(Context& context);
/// Throws Refusal for a shape that the active profile does not allow.
void check_input_shape(const Context& context, const TensorPlan& tensor, const Shape& shape);

/// enqueueV3. Throws Refusal and CudaProblem.
void enqueue(Context& context, cuda::StreamHandle stream);

}  // namespace penstock::trt_double
