#pragma once

// Where the functions of TensorRT's classes are in their tables.
// PENSTOCK_DOUBLE_NUMBERING is 10 (10.16), 11 (11.1) or 1 (TensorRT-RTX 1.7.1).
namespace penstock::trt_double {

inline constexpr int kNumbering = PENSTOCK_DOUBLE_NUMBERING;
inline constexpr bool kIs10 = kNumbering == 10;
inline constexpr bool kIsRtx = kNumbering == 1;
static_assert(kIs10 || kIsRtx || kNumbering == 11);

inline constexpr int kVersion = kIs10 ? 101600 : kIsRtx ? 10701 : 110100;
inline constexpr int kMajor = kVersion / 10000;
inline constexpr int kMinor = kVersion / 100 % 100;
inline constexpr int kPatch = kVersion % 100;
inline constexpr int kBuild = 116;

/// RTX counts as 11.x does, but for what is named.
constexpr int slot(int of_10, int of_11) { return kIs10 ? of_10 : of_11; }
constexpr int slot(int of_10, int of_11, int of_rtx) { return kIsRtx ? of_rtx : slot(of_10, of_11); }

namespace of_runtime {
inline constexpr int kDeserializeCudaEngine = 3;
inline constexpr int kSetDlaCore = slot(5, 4);
inline constexpr int kGetDlaCore = slot(6, 5);
inline constexpr int kGetNbDlaCores = slot(7, 6);
inline constexpr int kSetGpuAllocator = slot(8, 7);
inline constexpr int kSetErrorRecorder = slot(9, 8);
inline constexpr int kGetErrorRecorder = slot(10, 9);
inline constexpr int kGetLogger = slot(11, 10);
inline constexpr int kSetMaxThreads = slot(12, 11);
inline constexpr int kGetMaxThreads = slot(13, 12);
inline constexpr int kSetTemporaryDirectory = slot(14, 13);
inline constexpr int kGetTemporaryDirectory = slot(15, 14);
inline constexpr int kSetTempfileControlFlags = slot(16, 15);
inline constexpr int kGetTempfileControlFlags = slot(17, 16);
inline constexpr int kGetPluginRegistry = slot(18, 17);
inline constexpr int kSetEngineHostCodeAllowed = slot(21, 20);
inline constexpr int kGetEngineHostCodeAllowed = slot(22, 21);
}  // namespace of_runtime

namespace of_engine {
inline constexpr int kSerialize = 4;
inline constexpr int kCreateExecutionContext = 5;
inline constexpr int kIsRefittable = slot(8, 6);
inline constexpr int kGetName = slot(9, 7);
inline constexpr int kGetNbOptimizationProfiles = slot(10, 8);
inline constexpr int kCreateEngineInspector = slot(18, 14);
inline constexpr int kGetTensorShape = slot(19, 15);
inline constexpr int kGetTensorDataType = slot(20, 16);
inline constexpr int kGetTensorLocation = slot(21, 17);
inline constexpr int kIsShapeInferenceIo = slot(22, 18);
inline constexpr int kGetTensorIoMode = slot(23, 19);
inline constexpr int kGetTensorFormat = slot(26, 22);
inline constexpr int kGetProfileShape = slot(29, 25);
inline constexpr int kGetNbIoTensors = slot(30, 26);
inline constexpr int kGetIoTensorName = slot(31, 27);
inline constexpr int kGetNbAuxStreams = slot(33, 29);
inline constexpr int kGetStreamableWeightsSize = slot(46, 38);
inline constexpr int kSetWeightStreamingBudgetV2 = slot(48, 40);
inline constexpr int kGetWeightStreamingBudgetV2 = slot(49, 41);
inline constexpr int kGetWeightStreamingAutomaticBudget = slot(50, 42);
inline constexpr int kGetDeviceMemorySizeV2 = slot(52, 44);
inline constexpr int kGetDeviceMemorySizeForProfileV2 = slot(53, 45);
inline constexpr int kGetProfileTensorValuesV2 = slot(54, 46);
inline constexpr int kCreateExecutionContextWithRuntimeConfig = slot(55, 47);
inline constexpr int kCreateRuntimeConfig = slot(56, 48);
inline constexpr int kGetAliasedInputTensor = slot(58, 50);
}  // namespace of_engine

namespace of_context {
inline constexpr int kSetDebugSync = 3;
inline constexpr int kGetDebugSync = 4;
inline constexpr int kSetProfiler = 5;
inline constexpr int kGetProfiler = 6;
inline constexpr int kGetEngine = 7;
inline constexpr int kSetName = 8;
inline constexpr int kGetName = 9;
inline constexpr int kSetDeviceMemory = 10;
inline constexpr int kGetOptimizationProfile = 11;
inline constexpr int kAllInputDimensionsSpecified = 12;
inline constexpr int kSetErrorRecorder = slot(14, 13);
inline constexpr int kGetErrorRecorder = slot(15, 14);
inline constexpr int kSetOptimizationProfileAsync = slot(17, 16);
inline constexpr int kSetInputShape = slot(21, 20);
inline constexpr int kGetTensorShape = slot(22, 21);
inline constexpr int kGetTensorStrides = slot(23, 22);
inline constexpr int kSetTensorAddress = slot(24, 23);
inline constexpr int kGetTensorAddress = slot(25, 24);
inline constexpr int kSetInputTensorAddress = slot(26, 25);
inline constexpr int kSetOutputTensorAddress = slot(27, 26);
inline constexpr int kInferShapes = slot(28, 27);
inline constexpr int kSetInputConsumedEvent = slot(29, 28);
inline constexpr int kGetOutputTensorAddress = slot(31, 30);
inline constexpr int kSetOutputAllocator = slot(32, 31);
inline constexpr int kGetOutputAllocator = slot(33, 32);
inline constexpr int kGetMaxOutputSize = slot(34, 33);
inline constexpr int kSetTemporaryStorageAllocator = slot(35, 34);
inline constexpr int kEnqueueV3 = slot(37, 36);
inline constexpr int kSetPersistentCacheLimit = slot(38, 37);
inline constexpr int kSetNvtxVerbosity = slot(40, 39);
inline constexpr int kSetAuxStreams = slot(42, 41);
inline constexpr int kUpdateDeviceMemorySizeForShapes = slot(48, 47);
inline constexpr int kSetDeviceMemoryV2 = slot(49, 48);
inline constexpr int kSetCommunicator = slot(53, 52, 53);
}  // namespace of_context

// The rest has not been renumbered.
namespace of_inspector {
inline constexpr int kSetExecutionContext = 3;
inline constexpr int kGetEngineInformation = 6;
}  // namespace of_inspector

namespace of_runtime_config {
inline constexpr int kSetExecutionContextAllocationStrategy = 3;
inline constexpr int kGetExecutionContextAllocationStrategy = 4;
}  // namespace of_runtime_config

namespace of_host_memory {
inline constexpr int kData = 2;
inline constexpr int kSize = 3;
inline constexpr int kType = 4;
}  // namespace of_host_memory

// What the host implements. Loggers and profilers had no version before 11.
inline constexpr int kLog = slot(0, 4);
inline constexpr int kReportLayerTime = slot(0, 4);
inline constexpr int kReallocateOutputAsync = 5;
inline constexpr int kNotifyShape = 6;

}  // namespace penstock::trt_double
