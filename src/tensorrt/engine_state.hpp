#pragma once

#include <penstock/value.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::tensorrt {

/// The GPU that an engine was built on, as Torch-TensorRT writes it.
struct EngineDevice {
  int ordinal = 0;
  int major = 0;  ///< Compute capability.
  int minor = 0;
  bool is_dla = false;
  std::string name;
};

/// An output that is the memory of an input: a key-value cache that the engine changes in place.
struct AliasedOutput {
  std::string output;
  std::string input;
};

/// What `torch.classes.tensorrt.Engine` writes into a package: a list of texts, by position. Format versions
/// 7 to 10, of Torch-TensorRT 2.9 and later; what an older one does not have is as it was before there was a
/// choice. docs/formats/tensorrt-engine.md has the table.
struct EngineState {
  int version = 0;
  std::string name;
  EngineDevice device;
  std::string_view plan;  ///< Base64. Lifetime: the value's.
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;  ///< Both empty: the plan's own names tell the order.
  bool hardware_compatible = false;  ///< Runs on newer GPUs too.
  std::string platform;              ///< "linux_x86_64"
  bool requires_output_allocator = false;
  bool dynamic_memory = false;  ///< Asks for its memory at each run.
  bool uses_collectives = false;
  std::vector<AliasedOutput> aliases;
};

/// Reads it. Host-only. Errors: Unsupported for a version that is not one of these; Corrupt for a state that
/// is none, with the position and what is wrong there; Incompatible for another platform.
EngineState read_engine_state(const Value& state);

/// A plan, and its memory where it had to be decoded. Lifetime: else that of the value.
struct Plan {
  std::vector<std::byte> decoded;
  std::span<const std::byte> bytes;
};

/// The plan of an engine's state, or of one that is in no package, whose state is the plan's bytes.
/// Errors: as read_engine_state; Corrupt where it is no base64; OutOfMemory.
Plan plan_of(const Value& state);

/// The first bytes of a plan, as many as tell who wrote it, and the size of all. Errors: as plan_of, but for
/// what is no base64 further on.
struct PlanStart {
  std::vector<std::byte> bytes;
  std::uint64_t size = 0;
};
PlanStart start_of_plan(const EngineState& state);

}  // namespace penstock::tensorrt
