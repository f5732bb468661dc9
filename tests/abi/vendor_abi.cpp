// Compares our declarations of cuBLASLt and cuDNN with a toolkit's own headers. Compiled only: what differs
// does not compile.
#include "cuda_ops/cublaslt_abi.hpp"
#include "cuda_ops/cudnn_abi.hpp"

#include <cublasLt.h>
#include <cudnn.h>

#include <cstddef>
#include <type_traits>

namespace {

namespace lt = penstock::cuda_ops::cublaslt;
namespace dnn = penstock::cuda_ops::cudnn;

/// What a value is to the calling convention: an address, or an integer or number of some size.
template <class T>
constexpr int passing() {
  if constexpr (std::is_void_v<T>) {
    return 0;
  } else if constexpr (std::is_pointer_v<T>) {
    return 1;
  } else if constexpr (std::is_enum_v<T> || std::is_integral_v<T>) {
    return 2 + static_cast<int>(sizeof(T));
  } else {
    return 100 + static_cast<int>(sizeof(T));
  }
}

template <class Ours, class Theirs>
struct SameCall : std::false_type {};
template <class R1, class... A1, class R2, class... A2>
requires(sizeof...(A1) == sizeof...(A2)) struct SameCall<R1(A1...), R2(A2...)>
    : std::bool_constant<passing<R1>() == passing<R2>() && (... && (passing<A1>() == passing<A2>()))> {
};

template <class Ours, class Theirs>
inline constexpr bool same_call = SameCall<std::remove_pointer_t<Ours>, Theirs>::value;

#define PENSTOCK_COMPARE(name) \
  static_assert(same_call<decltype(lt::Functions::name), decltype(cublasLt##name)>);
PENSTOCK_CUBLASLT_FUNCTIONS(PENSTOCK_COMPARE)
#undef PENSTOCK_COMPARE
#define PENSTOCK_COMPARE(name) \
  static_assert(same_call<decltype(dnn::Functions::name), decltype(cudnn##name)>);
PENSTOCK_CUDNN_FUNCTIONS(PENSTOCK_COMPARE)
#undef PENSTOCK_COMPARE

static_assert(!same_call<void (*)(int), void(void*)> && !same_call<void (*)(int), void(long)>);

#define PENSTOCK_SAME(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs))

PENSTOCK_SAME(lt::kSuccess, CUBLAS_STATUS_SUCCESS);
PENSTOCK_SAME(lt::kNotSupported, CUBLAS_STATUS_NOT_SUPPORTED);
PENSTOCK_SAME(lt::kReal32, CUDA_R_32F);
PENSTOCK_SAME(lt::kReal64, CUDA_R_64F);
PENSTOCK_SAME(lt::kReal16, CUDA_R_16F);
PENSTOCK_SAME(lt::kComplex32, CUDA_C_32F);
PENSTOCK_SAME(lt::kComplex64, CUDA_C_64F);
PENSTOCK_SAME(lt::kBrain16, CUDA_R_16BF);
PENSTOCK_SAME(lt::kCompute32, CUBLAS_COMPUTE_32F);
PENSTOCK_SAME(lt::kCompute64, CUBLAS_COMPUTE_64F);
PENSTOCK_SAME(lt::kCompute32Tf32, CUBLAS_COMPUTE_32F_FAST_TF32);
PENSTOCK_SAME(lt::kAsIs, CUBLAS_OP_N);
PENSTOCK_SAME(lt::kTransposed, CUBLAS_OP_T);
PENSTOCK_SAME(lt::kEpilogueDefault, CUBLASLT_EPILOGUE_DEFAULT);
PENSTOCK_SAME(lt::kEpilogueBias, CUBLASLT_EPILOGUE_BIAS);
PENSTOCK_SAME(lt::kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
PENSTOCK_SAME(lt::kTransposeB, CUBLASLT_MATMUL_DESC_TRANSB);
PENSTOCK_SAME(lt::kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
PENSTOCK_SAME(lt::kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
PENSTOCK_SAME(lt::kSmCountTarget, CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET);
PENSTOCK_SAME(lt::kBatchCount, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
PENSTOCK_SAME(lt::kStridedBatchOffset, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
PENSTOCK_SAME(lt::kMaxWorkspaceBytes, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
PENSTOCK_SAME(lt::kReductionSchemeMask, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
PENSTOCK_SAME(lt::kMinAlignmentA, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
PENSTOCK_SAME(lt::kMinAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
PENSTOCK_SAME(lt::kMinAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
PENSTOCK_SAME(lt::kMinAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
PENSTOCK_SAME(lt::kReduceInPlace, CUBLASLT_REDUCTION_SCHEME_INPLACE);
PENSTOCK_SAME(lt::kReduceInComputeType, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
PENSTOCK_SAME(lt::kReduceInOutputType, CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE);
static_assert(sizeof(lt::Algorithm) == sizeof(cublasLtMatmulAlgo_t));
static_assert(sizeof(lt::HeuristicResult) == sizeof(cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(lt::HeuristicResult, workspace_bytes) ==
              offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(lt::HeuristicResult, state) == offsetof(cublasLtMatmulHeuristicResult_t, state));

PENSTOCK_SAME(dnn::kSuccess, CUDNN_STATUS_SUCCESS);
PENSTOCK_SAME(dnn::kFloat32, CUDNN_DATA_FLOAT);
PENSTOCK_SAME(dnn::kFloat64, CUDNN_DATA_DOUBLE);
PENSTOCK_SAME(dnn::kFloat16, CUDNN_DATA_HALF);
PENSTOCK_SAME(dnn::kBFloat16, CUDNN_DATA_BFLOAT16);
PENSTOCK_SAME(dnn::kCrossCorrelation, CUDNN_CROSS_CORRELATION);
PENSTOCK_SAME(dnn::kHeuristicFallback, CUDNN_HEUR_MODE_FALLBACK);
PENSTOCK_SAME(dnn::kHeuristicA, CUDNN_HEUR_MODE_A);
PENSTOCK_SAME(dnn::kNoteTensorCore, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
PENSTOCK_SAME(dnn::kNoteDownConvertInputs, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS);
PENSTOCK_SAME(dnn::kConvolution, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
PENSTOCK_SAME(dnn::kEngine, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
PENSTOCK_SAME(dnn::kEngineConfig, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
PENSTOCK_SAME(dnn::kEngineHeuristic, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
PENSTOCK_SAME(dnn::kExecutionPlan, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
PENSTOCK_SAME(dnn::kConvolutionForward, CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR);
PENSTOCK_SAME(dnn::kConvolutionBackwardData, CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR);
PENSTOCK_SAME(dnn::kOperationGraph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
PENSTOCK_SAME(dnn::kVariantPack, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
PENSTOCK_SAME(dnn::kTensor, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
PENSTOCK_SAME(dnn::kConvolutionComputeType, CUDNN_ATTR_CONVOLUTION_COMP_TYPE);
PENSTOCK_SAME(dnn::kConvolutionConvMode, CUDNN_ATTR_CONVOLUTION_CONV_MODE);
PENSTOCK_SAME(dnn::kConvolutionDilations, CUDNN_ATTR_CONVOLUTION_DILATIONS);
PENSTOCK_SAME(dnn::kConvolutionStrides, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
PENSTOCK_SAME(dnn::kConvolutionPostPaddings, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS);
PENSTOCK_SAME(dnn::kConvolutionPrePaddings, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
PENSTOCK_SAME(dnn::kConvolutionSpatialDims, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS);
PENSTOCK_SAME(dnn::kHeuristicMode, CUDNN_ATTR_ENGINEHEUR_MODE);
PENSTOCK_SAME(dnn::kHeuristicOperationGraph, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH);
PENSTOCK_SAME(dnn::kHeuristicResults, CUDNN_ATTR_ENGINEHEUR_RESULTS);
PENSTOCK_SAME(dnn::kHeuristicSmCountTarget, CUDNN_ATTR_ENGINEHEUR_SM_COUNT_TARGET);
PENSTOCK_SAME(dnn::kConfigEngine, CUDNN_ATTR_ENGINECFG_ENGINE);
PENSTOCK_SAME(dnn::kPlanHandle, CUDNN_ATTR_EXECUTION_PLAN_HANDLE);
PENSTOCK_SAME(dnn::kPlanEngineConfig, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
PENSTOCK_SAME(dnn::kPlanWorkspaceSize, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE);
PENSTOCK_SAME(dnn::kForwardAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA);
PENSTOCK_SAME(dnn::kForwardBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA);
PENSTOCK_SAME(dnn::kForwardConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC);
PENSTOCK_SAME(dnn::kForwardW, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W);
PENSTOCK_SAME(dnn::kForwardX, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X);
PENSTOCK_SAME(dnn::kForwardY, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y);
PENSTOCK_SAME(dnn::kBackwardDataAlpha, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA);
PENSTOCK_SAME(dnn::kBackwardDataBeta, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA);
PENSTOCK_SAME(dnn::kBackwardDataConvolution, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC);
PENSTOCK_SAME(dnn::kBackwardDataW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W);
PENSTOCK_SAME(dnn::kBackwardDataDx, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX);
PENSTOCK_SAME(dnn::kBackwardDataDy, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY);
PENSTOCK_SAME(dnn::kGraphHandle, CUDNN_ATTR_OPERATIONGRAPH_HANDLE);
PENSTOCK_SAME(dnn::kGraphOperations, CUDNN_ATTR_OPERATIONGRAPH_OPS);
PENSTOCK_SAME(dnn::kTensorAlignment, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
PENSTOCK_SAME(dnn::kTensorDataType, CUDNN_ATTR_TENSOR_DATA_TYPE);
PENSTOCK_SAME(dnn::kTensorDimensions, CUDNN_ATTR_TENSOR_DIMENSIONS);
PENSTOCK_SAME(dnn::kTensorStrides, CUDNN_ATTR_TENSOR_STRIDES);
PENSTOCK_SAME(dnn::kTensorUniqueId, CUDNN_ATTR_TENSOR_UNIQUE_ID);
PENSTOCK_SAME(dnn::kPackUniqueIds, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
PENSTOCK_SAME(dnn::kPackDataPointers, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
PENSTOCK_SAME(dnn::kPackWorkspace, CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
PENSTOCK_SAME(dnn::kEngineNumericalNotes, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE);
PENSTOCK_SAME(dnn::kTypeHandle, CUDNN_TYPE_HANDLE);
PENSTOCK_SAME(dnn::kTypeDataType, CUDNN_TYPE_DATA_TYPE);
PENSTOCK_SAME(dnn::kTypeInt64, CUDNN_TYPE_INT64);
PENSTOCK_SAME(dnn::kTypeFloat, CUDNN_TYPE_FLOAT);
PENSTOCK_SAME(dnn::kTypeDouble, CUDNN_TYPE_DOUBLE);
PENSTOCK_SAME(dnn::kTypePointer, CUDNN_TYPE_VOID_PTR);
PENSTOCK_SAME(dnn::kTypeConvolutionMode, CUDNN_TYPE_CONVOLUTION_MODE);
PENSTOCK_SAME(dnn::kTypeHeuristicMode, CUDNN_TYPE_HEUR_MODE);
PENSTOCK_SAME(dnn::kTypeNumericalNote, CUDNN_TYPE_NUMERICAL_NOTE);
PENSTOCK_SAME(dnn::kTypeDescriptor, CUDNN_TYPE_BACKEND_DESCRIPTOR);
PENSTOCK_SAME(dnn::kTypeInt32, CUDNN_TYPE_INT32);

}  // namespace
