#include "runtime.hpp"

#include "device.hpp"
#include "engine.hpp"
#include "guard.hpp"
#include "slots.hpp"
#include "vtable.hpp"

#include <cstdlib>
#include <utility>

#define PENSTOCK_DOUBLE_API extern "C" __attribute__((visibility("default")))

namespace penstock::trt_double {
namespace {

struct RuntimeName {
  static constexpr const char* kText = "IRuntime";
};
struct VRuntimeName {
  static constexpr const char* kText = "VRuntime";
};

void check_device(const Plan& plan, int device) {
  if (plan.compute_capability.empty()) return;
  int major = 0;
  int minor = 0;
  check(driver().device_get_attribute(&major, cuda::kComputeCapabilityMajor, device), "cuDeviceGetAttribute");
  check(driver().device_get_attribute(&minor, cuda::kComputeCapabilityMinor, device), "cuDeviceGetAttribute");
  const std::string has = std::to_string(major) + "." + std::to_string(minor);
  if (has == plan.compute_capability) return;
  refuse_call("the engine was built for a GPU of compute capability " + plan.compute_capability +
              ", and this GPU has compute capability " + has);
}

Face* deserialize(Runtime* runtime, const void* blob, std::size_t bytes) {
  constexpr const char* kFunction = "IRuntime::deserializeCudaEngine";
  return guarded<Face*>(runtime->logger, kFunction, nullptr, [&]() -> Face* {
    fail_where_wanted("deserializeCudaEngine");
    if (blob == nullptr || bytes == 0) refuse_call("there is no engine");
    try {
      Plan plan = read_plan({static_cast<const char*>(blob), bytes});
      const int device = current_device();
      check_device(plan, device);
      // As TensorRT allocates for weights: where a thread captures, that has to be allowed.
      constexpr std::size_t kWeightBytes = 256;
      cuda::DevicePointer weights = 0;
      check(driver().mem_alloc(&weights, kWeightBytes), "cuMemAlloc");
      auto* const engine = new Engine(std::move(plan), runtime->logger, device, runtime->engines);
      engine->weights = weights;
      note("deserializeCudaEngine " + engine->counted.name() + " " + engine->state->plan.name);
      log(runtime->logger, Severity::Info, "Loaded engine size: " + std::to_string(bytes) + " bytes");
      return &engine->face;
    } catch (const PlanProblem& problem) {
      throw Refusal{problem.code, problem.text};
    }
  });
}

const VtableEntry* runtime_vtable() {
  using namespace of_runtime;
  static const Vtable<VRuntimeName> table = [] {
    Vtable<VRuntimeName> made;
    made.set(2, &get_pimpl<Runtime>).set(kDeserializeCudaEngine, &deserialize);
    made.set(
        kSetDlaCore, +[](Runtime* self, std::int32_t core) { self->dla_core = core; });
    made.set(
        kGetDlaCore, +[](Runtime* self) { return self->dla_core; });
    made.set(
        kGetNbDlaCores, +[](Runtime*) -> std::int32_t { return 0; });
    made.set(
        kSetGpuAllocator, +[](Runtime* self, void* allocator) { self->gpu_allocator = allocator; });
    made.set(
        kSetErrorRecorder, +[](Runtime* self, void* recorder) { self->error_recorder = recorder; });
    made.set(
        kGetErrorRecorder, +[](Runtime* self) { return self->error_recorder; });
    made.set(
        kGetLogger, +[](Runtime* self) { return self->logger; });
    made.set(
        kSetMaxThreads, +[](Runtime* self, std::int32_t threads) {
          if (threads > 0) self->max_threads = threads;
          return threads > 0;
        });
    made.set(
        kGetMaxThreads, +[](Runtime* self) { return self->max_threads; });
    made.set(
        kSetTemporaryDirectory,
        +[](Runtime* self, const char* path) { self->temporary_directory = path == nullptr ? "" : path; });
    made.set(
        kGetTemporaryDirectory, +[](Runtime* self) { return self->temporary_directory.c_str(); });
    made.set(
        kSetTempfileControlFlags, +[](Runtime* self, std::uint32_t flags) { self->tempfile_flags = flags; });
    made.set(
        kGetTempfileControlFlags, +[](Runtime* self) { return self->tempfile_flags; });
    made.set(
        kGetPluginRegistry, +[](Runtime*) -> void* { return nullptr; });
    made.set(
        kSetEngineHostCodeAllowed,
        +[](Runtime* self, bool allowed) { self->engine_host_code_allowed = allowed; });
    made.set(
        kGetEngineHostCodeAllowed, +[](Runtime* self) { return self->engine_host_code_allowed; });
    return made;
  }();
  return table.entries();
}

Face* create_runtime(HostObject* logger, std::int32_t version) {
  constexpr const char* kFunction = "createInferRuntime";
  // Where the offset of the object is applied to none. Measured of a lean runtime of 11.4.
  Face* const failed = kNumbering == 11 ? reinterpret_cast<Face*>(0x228) : nullptr;
  if (logger == nullptr) return nullptr;
  if (!kIs10 && !is_interface(logger, "ILogger")) {
    // It cannot be told what it would be called by.
    note("violation: createInferRuntime with what is no ILogger of version 1.0");
    return nullptr;
  }
  return guarded(logger, kFunction, failed, [&]() -> Face* {
    fail_where_wanted(kFunction);
    if (!kIsRtx && version / 10000 != kMajor) {
      refuse_call("this library is of version " + std::to_string(kVersion) + ", and " +
                  std::to_string(version) + " is wanted");
    }
    static_cast<void>(driver());
    auto* const runtime = new Runtime(logger, version);
    return &runtime->face;
  });
}

}  // namespace

Runtime::Runtime(HostObject* host_logger, std::int32_t version)
    : vtable(runtime_vtable()), face(face_of<Runtime, RuntimeName>(*this)), logger(host_logger) {
  note("createInferRuntime " + counted.name() + " version " + std::to_string(version));
}

Runtime::~Runtime() {
  if (*engines > 0) note("violation: " + counted.name() + " is destroyed before its engines");
}

}  // namespace penstock::trt_double

using namespace penstock::trt_double;

PENSTOCK_DOUBLE_API void* createInferRuntime_INTERNAL(void* logger, std::int32_t version) {
  return create_runtime(static_cast<HostObject*>(logger), version);
}

PENSTOCK_DOUBLE_API std::int32_t getInferLibVersion() { return kVersion; }
/// Another one where PENSTOCK_DOUBLE_MAJOR says so, as of a version that nobody knows.
PENSTOCK_DOUBLE_API std::int32_t getInferLibMajorVersion() {
  const char* const said = std::getenv("PENSTOCK_DOUBLE_MAJOR");
  return said == nullptr ? kMajor : std::atoi(said);
}
PENSTOCK_DOUBLE_API std::int32_t getInferLibMinorVersion() { return kMinor; }
PENSTOCK_DOUBLE_API std::int32_t getInferLibPatchVersion() { return kPatch; }
PENSTOCK_DOUBLE_API std::int32_t getInferLibBuildVersion() { return kBuild; }
