#pragma once

#include "cuda/abi.hpp"

#include <cstddef>
#include <cstdint>

// What of cuDNN 9's C interface (its graphs, or "backend") Penstock uses, written down here so that no
// toolkit is needed to build it. tests/abi compares it with cudnn.h.
namespace penstock::cuda_ops::cudnn {

using Status = int;
inline constexpr Status kSuccess = 0;

using Handle = struct HandleOpaque*;
using Descriptor = void*;

/// cudnnDataType_t.
enum DataType : int { kFloat32 = 0, kFloat64 = 1, kFloat16 = 2, kBFloat16 = 9 };

/// cudnnConvolutionMode_t.
enum ConvolutionMode : int { kCrossCorrelation = 1 };

/// cudnnBackendHeurMode_t.
enum HeuristicMode : int { kHeuristicFallback = 2, kHeuristicA = 3 };

/// cudnnBackendNumericalNote_t.
enum NumericalNote : int { kNoteTensorCore = 0, kNoteDownConvertInputs = 1, kNoteCount = 10 };

/// cudnnBackendDescriptorType_t.
enum DescriptorType : int {
  kConvolution = 1,
  kEngine = 2,
  kEngineConfig = 3,
  kEngineHeuristic = 4,
  kExecutionPlan = 5,
  kConvolutionForward = 10,
  kConvolutionBackwardData = 12,
  kOperationGraph = 15,
  kVariantPack = 16,
  kTensor = 17,
};

/// cudnnBackendAttributeName_t.
enum Attribute : int {
  kConvolutionComputeType = 100,
  kConvolutionConvMode = 101,
  kConvolutionDilations = 102,
  kConvolutionStrides = 103,
  kConvolutionPostPaddings = 104,
  kConvolutionPrePaddings = 105,
  kConvolutionSpatialDims = 106,
  kHeuristicMode = 200,
  kHeuristicOperationGraph = 201,
  kHeuristicResults = 202,
  kHeuristicSmCountTarget = 203,
  kConfigEngine = 300,
  kPlanHandle = 400,
  kPlanEngineConfig = 401,
  kPlanWorkspaceSize = 402,
  kForwardAlpha = 700,
  kForwardBeta = 701,
  kForwardConvolution = 702,
  kForwardW = 703,
  kForwardX = 704,
  kForwardY = 705,
  kBackwardDataAlpha = 706,
  kBackwardDataBeta = 707,
  kBackwardDataConvolution = 708,
  kBackwardDataW = 709,
  kBackwardDataDx = 710,
  kBackwardDataDy = 711,
  kGraphHandle = 800,
  kGraphOperations = 801,
  kTensorAlignment = 900,
  kTensorDataType = 901,
  kTensorDimensions = 902,
  kTensorStrides = 903,
  kTensorUniqueId = 906,
  kPackUniqueIds = 1000,
  kPackDataPointers = 1001,
  kPackWorkspace = 1003,
  kEngineNumericalNotes = 1303,
};

/// cudnnBackendAttributeType_t.
enum AttributeType : int {
  kTypeHandle = 0,
  kTypeDataType = 1,
  kTypeInt64 = 3,
  kTypeFloat = 4,
  kTypeDouble = 5,
  kTypePointer = 6,
  kTypeConvolutionMode = 7,
  kTypeHeuristicMode = 8,
  kTypeNumericalNote = 11,
  kTypeDescriptor = 15,
  kTypeInt32 = 23,
};

/// The functions, named as in the library without "cudnn".
struct Functions {
  std::size_t (*GetVersion)() = nullptr;
  const char* (*GetErrorString)(Status status) = nullptr;
  void (*GetLastErrorString)(char* message, std::size_t most) = nullptr;
  Status (*Create)(Handle* handle) = nullptr;
  Status (*Destroy)(Handle handle) = nullptr;
  Status (*SetStream)(Handle handle, cuda::StreamHandle stream) = nullptr;
  Status (*BackendCreateDescriptor)(DescriptorType type, Descriptor* descriptor) = nullptr;
  Status (*BackendDestroyDescriptor)(Descriptor descriptor) = nullptr;
  Status (*BackendFinalize)(Descriptor descriptor) = nullptr;
  Status (*BackendSetAttribute)(Descriptor descriptor, Attribute attribute, AttributeType type,
                                std::int64_t count, const void* values) = nullptr;
  Status (*BackendGetAttribute)(Descriptor descriptor, Attribute attribute, AttributeType type,
                                std::int64_t room, std::int64_t* count, void* values) = nullptr;
  Status (*BackendExecute)(Handle handle, Descriptor plan, Descriptor pack) = nullptr;
};

// For whoever fills Functions, and for the test.
#define PENSTOCK_CUDNN_FUNCTIONS(use)                                                                 \
  use(GetVersion) use(GetErrorString) use(GetLastErrorString) use(Create) use(Destroy) use(SetStream) \
      use(BackendCreateDescriptor) use(BackendDestroyDescriptor) use(BackendFinalize)                 \
          use(BackendSetAttribute) use(BackendGetAttribute) use(BackendExecute)

}  // namespace penstock::cuda_ops::cudnn
