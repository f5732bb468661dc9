#pragma once

#include "abi.hpp"
#include "control.hpp"
#include "device.hpp"
#include "plan.hpp"

#include <atomic>
#include <memory>

namespace penstock::trt_double {

/// What contexts have of an engine, also where a host destroys it before them.
struct EngineState {
  Plan plan;
  HostObject* logger = nullptr;
  int device = 0;
  std::string name;  ///< "engine#1"
  Face* face = nullptr;
  std::atomic<int> contexts = 0;
  std::atomic<std::int64_t> weights_budget = 0;
};

/// VCudaEngine.
struct Engine {
  Engine(Plan plan, HostObject* logger, int device, std::shared_ptr<std::atomic<int>> siblings);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const VtableEntry* vtable;
  Face face;
  Counted counted{Kind::Engine};
  std::shared_ptr<EngineState> state = std::make_shared<EngineState>();
  std::shared_ptr<std::atomic<int>> siblings;
  cuda::DevicePointer weights = 0;
};

/// An IExecutionContext. Throws CudaProblem.
Face* create_context(const std::shared_ptr<EngineState>& engine, AllocationStrategy strategy);

/// The memory that a context of the engine works in.
inline std::int64_t context_bytes(const Plan& plan) { return plan.device_memory; }

/// An IEngineInspector.
Face* create_inspector(const std::shared_ptr<EngineState>& engine);
/// An IRuntimeConfig, and what is chosen in one.
Face* create_runtime_config();
AllocationStrategy strategy_of(const Face& runtime_config);
/// An IHostMemory.
Face* create_host_memory(const std::string& data);

}  // namespace penstock::trt_double
