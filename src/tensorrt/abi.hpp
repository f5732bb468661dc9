#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

// TensorRT's C++ interface as its libraries have it in memory (Itanium ABI, 64 bits), by the numbers of
// virtual functions: no header of TensorRT is needed, and one program serves all versions.
// docs/design/0016-tensorrt.md says where the numbers come from and what they were checked with.
namespace penstock::tensorrt::abi {

/// `Dims`: at most 8 sizes.
struct Dims {
  static constexpr int kMost = 8;
  std::int32_t count = 0;
  std::int64_t sizes[kMost]{};

  [[nodiscard]] std::span<const std::int64_t> all() const noexcept {
    return {sizes, static_cast<std::size_t>(count < 0 || count > kMost ? 0 : count)};
  }
};
static_assert(sizeof(Dims) == 72);

struct InterfaceInfo {
  const char* kind;
  std::int32_t major;
  std::int32_t minor;
};

enum class DataType : std::int32_t {
  Float = 0,
  Half = 1,
  Int8 = 2,
  Int32 = 3,
  Bool = 4,
  UInt8 = 5,
  Fp8 = 6,
  BFloat16 = 7,
  Int64 = 8,
};
enum class IoMode : std::int32_t { None = 0, Input = 1, Output = 2 };
enum class Location : std::int32_t { Device = 0, Host = 1 };
enum class ProfileSelector : std::int32_t { Min = 0, Opt = 1, Max = 2 };
enum class AllocationStrategy : std::int32_t { Static = 0, OnProfileChange = 1, UserManaged = 2 };
enum class InspectorFormat : std::int32_t { OneLine = 0, Json = 1 };
enum class Severity : std::int32_t { InternalError = 0, Error = 1, Warning = 2, Info = 3, Verbose = 4 };

/// No such function in this numbering or version.
inline constexpr int kNone = -1;

/// Numbers of virtual functions of what a public object points to.
struct RuntimeSlots {
  int deserialize;
  int logger;  ///< Getter.
};

struct EngineSlots {
  int create_context;
  int profile_count;
  int create_inspector;
  int tensor_shape;
  int tensor_dtype;
  int tensor_location;
  int tensor_mode;
  int profile_shape;
  int tensor_count;
  int tensor_name;
  int aux_stream_count;
  int streamable_weights_bytes;
  int set_weight_budget;
  int weight_budget;
  int automatic_weight_budget;
  int context_bytes;
  int profile_values;
  int aliased_input;
};

struct ContextSlots {
  int set_profiler;
  int set_profile;
  int set_input_shape;
  int tensor_shape;
  int set_tensor_address;
  int infer_shapes;
  int set_output_allocator;
  int enqueue;
  int set_aux_streams;
  int set_device_memory_v2;
  int set_communicator;
};

struct Numbering {
  const char* name;  ///< "10.x"
  RuntimeSlots runtime;
  EngineSlots engine;
  ContextSlots context;
  bool versioned_callbacks;  ///< ILogger and IProfiler begin with what IVersionedInterface has.
};

/// Of TensorRT 10.x, which only ever adds functions at the end.
inline constexpr Numbering kNumbering10{.name = "10.x",
                                        .runtime = {.deserialize = 3, .logger = 11},
                                        .engine = {.create_context = 5,
                                                   .profile_count = 10,
                                                   .create_inspector = 18,
                                                   .tensor_shape = 19,
                                                   .tensor_dtype = 20,
                                                   .tensor_location = 21,
                                                   .tensor_mode = 23,
                                                   .profile_shape = 29,
                                                   .tensor_count = 30,
                                                   .tensor_name = 31,
                                                   .aux_stream_count = 33,
                                                   .streamable_weights_bytes = 46,
                                                   .set_weight_budget = 48,
                                                   .weight_budget = 49,
                                                   .automatic_weight_budget = 50,
                                                   .context_bytes = 52,
                                                   .profile_values = 54,
                                                   .aliased_input = 58},
                                        .context = {.set_profiler = 5,
                                                    .set_profile = 17,
                                                    .set_input_shape = 21,
                                                    .tensor_shape = 22,
                                                    .set_tensor_address = 24,
                                                    .infer_shapes = 28,
                                                    .set_output_allocator = 32,
                                                    .enqueue = 37,
                                                    .set_aux_streams = 42,
                                                    .set_device_memory_v2 = 49,
                                                    .set_communicator = 53},
                                        .versioned_callbacks = false};

/// Of TensorRT 11.x.
inline constexpr Numbering kNumbering11{.name = "11.x",
                                        .runtime = {.deserialize = 3, .logger = 10},
                                        .engine = {.create_context = 5,
                                                   .profile_count = 8,
                                                   .create_inspector = 14,
                                                   .tensor_shape = 15,
                                                   .tensor_dtype = 16,
                                                   .tensor_location = 17,
                                                   .tensor_mode = 19,
                                                   .profile_shape = 25,
                                                   .tensor_count = 26,
                                                   .tensor_name = 27,
                                                   .aux_stream_count = 29,
                                                   .streamable_weights_bytes = 38,
                                                   .set_weight_budget = 40,
                                                   .weight_budget = 41,
                                                   .automatic_weight_budget = 42,
                                                   .context_bytes = 44,
                                                   .profile_values = 46,
                                                   .aliased_input = 50},
                                        .context = {.set_profiler = 5,
                                                    .set_profile = 16,
                                                    .set_input_shape = 20,
                                                    .tensor_shape = 21,
                                                    .set_tensor_address = 23,
                                                    .infer_shapes = 27,
                                                    .set_output_allocator = 31,
                                                    .enqueue = 36,
                                                    .set_aux_streams = 41,
                                                    .set_device_memory_v2 = 48,
                                                    .set_communicator = 52},
                                        .versioned_callbacks = true};

/// Of TensorRT-RTX 1.7: that of 11.x but for one function.
inline constexpr Numbering kNumberingRtx = [] {
  Numbering numbering = kNumbering11;
  numbering.name = "RTX 1.x";
  numbering.context.set_communicator = 53;
  return numbering;
}();

/// Calls a virtual function of what a public object points to: its second word. The number has to be that of
/// a function of this type.
template <class Result, class... Arguments>
Result call(void* object, int slot, Arguments... arguments) {
  void* const implementation = static_cast<void**>(object)[1];
  void** const functions = *static_cast<void***>(implementation);
  return reinterpret_cast<Result (*)(void*, Arguments...)>(functions[slot])(implementation, arguments...);
}

/// Destroys a public object: its second destructor also frees it.
inline void destroy(void* object) noexcept {
  void** const functions = *static_cast<void***>(object);
  reinterpret_cast<void (*)(void*)>(functions[1])(object);
}

/// A library may answer with an offset to null, where it means null.
inline bool is_object(const void* object) noexcept {
  constexpr std::uintptr_t kPage = 4096;
  return reinterpret_cast<std::uintptr_t>(object) >= kPage;
}

}  // namespace penstock::tensorrt::abi
