#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

// What of the CUDA driver's C interface Penstock uses, written down here so that the core can be built
// where there is no CUDA toolkit. tests/abi compares it with cuda.h where there is one.
namespace penstock::cuda {

using Result = int;
inline constexpr Result kSuccess = 0;
inline constexpr Result kInvalidValue = 1;
inline constexpr Result kOutOfMemory = 2;
inline constexpr Result kNotInitialized = 3;
inline constexpr Result kDeinitialized = 4;
inline constexpr Result kNoDevice = 100;
inline constexpr Result kInvalidDevice = 101;
inline constexpr Result kInvalidImage = 200;
inline constexpr Result kInvalidContext = 201;
inline constexpr Result kNoBinaryForGpu = 209;
inline constexpr Result kUnsupportedPtxVersion = 222;
inline constexpr Result kInvalidHandle = 400;
inline constexpr Result kContextIsDestroyed = 709;
inline constexpr Result kIllegalState = 401;
inline constexpr Result kNotFound = 500;
inline constexpr Result kNotReady = 600;
inline constexpr Result kIllegalAddress = 700;
inline constexpr Result kNotSupported = 801;
inline constexpr Result kStreamCaptureUnsupported = 900;
inline constexpr Result kStreamCaptureInvalidated = 901;
inline constexpr Result kStreamCaptureUnmatched = 903;
inline constexpr Result kStreamCaptureUnjoined = 904;
inline constexpr Result kStreamCaptureIsolation = 905;
inline constexpr Result kStreamCaptureImplicit = 906;
inline constexpr Result kCapturedEvent = 907;
inline constexpr Result kStreamCaptureWrongThread = 908;
inline constexpr Result kInvalidResourceType = 914;
inline constexpr Result kInvalidResourceConfiguration = 915;
inline constexpr Result kUnknown = 999;

using DeviceNumber = int;
using DevicePointer = unsigned long long;
using ContextHandle = struct ContextOpaque*;
using StreamHandle = struct StreamOpaque*;
using EventHandle = struct EventOpaque*;
using ModuleHandle = struct ModuleOpaque*;
using FunctionHandle = struct FunctionOpaque*;
using GreenContextHandle = struct GreenContextOpaque*;
using ResourceDescHandle = struct ResourceDescOpaque*;
using GraphHandle = struct GraphOpaque*;
using GraphExecHandle = struct GraphExecOpaque*;
using GraphNodeHandle = struct GraphNodeOpaque*;
using KernelHandle = struct KernelOpaque*;
using UserObjectHandle = struct UserObjectOpaque*;

/// The default streams, which the driver names by numbers instead of handles.
inline constexpr std::uintptr_t kLegacyStream = 1;
inline constexpr std::uintptr_t kPerThreadStream = 2;

/// CUdevResource: `type` says which part of the rest is valid.
struct Resource {
  enum Type : int { Invalid = 0, Sm = 1, WorkqueueConfig = 1000, Workqueue = 10000 };
  int type = Invalid;
  std::array<unsigned char, 92> internal{};
  union {
    struct {
      unsigned sm_count;
      unsigned min_sm_partition_size;     ///< Told by drivers of CUDA 13.
      unsigned sm_coscheduled_alignment;  ///< The same.
      unsigned flags;
    } sm;
    std::array<unsigned char, 40> padding;
  };
  Resource* next_resource = nullptr;
  Resource() noexcept : padding{} {}
};

enum StreamFlags : unsigned { kStreamDefault = 0, kStreamNonBlocking = 1 };
enum EventFlags : unsigned { kEventDefault = 0, kEventBlockingSync = 1, kEventDisableTiming = 2 };
enum GreenContextFlags : unsigned { kGreenContextDefaultStream = 1 };
enum CaptureStatus : int { kCaptureNone = 0, kCaptureActive = 1, kCaptureInvalidated = 2 };
enum CaptureMode : int { kCaptureGlobal = 0, kCaptureThreadLocal = 1, kCaptureRelaxed = 2 };

enum DeviceAttribute : int {
  kMaxThreadsPerBlock = 1,
  kMaxSharedMemoryPerBlock = 8,
  kMultiprocessorCount = 16,
  kComputeCapabilityMajor = 75,
  kComputeCapabilityMinor = 76,
  kMaxSharedMemoryPerBlockOptin = 97,
};

enum FunctionAttribute : int { kFunctionMaxDynamicSharedBytes = 8 };

enum PointerAttribute : int {
  kPointerContext = 1,
  kPointerMemoryType = 2,
  kPointerDevicePointer = 3,
  kPointerIsManaged = 8,
  kPointerDeviceOrdinal = 9,
  kPointerRangeStart = 11,
  kPointerRangeSize = 12,
};

enum MemoryType : unsigned { kMemoryHost = 1, kMemoryDevice = 2, kMemoryArray = 3, kMemoryUnified = 4 };

enum HostMemoryFlags : unsigned { kHostPortable = 1, kHostDeviceMap = 2 };

using HostFunction = void (*)(void*);

enum GraphNodeType : int {
  kGraphKernel = 0,
  kGraphMemcpy = 1,
  kGraphMemset = 2,
  kGraphHost = 3,
  kGraphChild = 4,
  kGraphEmpty = 5,
  kGraphWaitEvent = 6,
  kGraphEventRecord = 7,
  kGraphMemAlloc = 10,
  kGraphMemFree = 11,
};

/// CUDA_KERNEL_NODE_PARAMS of CUDA 12.0 on: `kernel` counts where `function` is null.
struct KernelNodeParams {
  FunctionHandle function = nullptr;
  std::array<unsigned, 3> grid{};
  std::array<unsigned, 3> block{};
  unsigned shared_bytes = 0;
  void** parameters = nullptr;
  void** extra = nullptr;
  KernelHandle kernel = nullptr;
  ContextHandle context = nullptr;
};

/// One side of a CUDA_MEMCPY3D.
struct MemcpySide {
  std::size_t x_bytes = 0;
  std::size_t y = 0;
  std::size_t z = 0;
  std::size_t lod = 0;
  MemoryType memory_type = kMemoryDevice;
  void* host = nullptr;
  DevicePointer device = 0;
  void* array = nullptr;
  void* reserved = nullptr;
  std::size_t pitch = 0;
  std::size_t height = 0;
};

/// CUDA_MEMCPY3D.
struct MemcpyNodeParams {
  MemcpySide from;
  MemcpySide to;
  std::size_t width_bytes = 0;
  std::size_t height = 0;
  std::size_t depth = 0;
};

/// CUDA_MEMSET_NODE_PARAMS.
struct MemsetNodeParams {
  DevicePointer to = 0;
  std::size_t pitch = 0;
  unsigned value = 0;
  unsigned element_bytes = 0;
  std::size_t width = 0;
  std::size_t height = 0;
};

enum CaptureDependencies : unsigned { kSetCaptureDependencies = 1 };
enum UserObjectFlags : unsigned { kUserObjectNoDestructorSync = 1 };
enum UserObjectRetainFlags : unsigned { kGraphUserObjectMove = 1 };

}  // namespace penstock::cuda
