#pragma once

#include "cuda/abi.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

// What of cuBLASLt's C interface Penstock uses, written down here so that no toolkit is needed to build it
// and either of the library's versions 12 and 13 can be opened. tests/abi compares it with cublasLt.h.
namespace penstock::cuda_ops::cublaslt {

using Status = int;
inline constexpr Status kSuccess = 0;
inline constexpr Status kNotSupported = 15;

using Handle = struct HandleOpaque*;
using MatmulDesc = struct MatmulDescOpaque*;
using MatrixLayout = struct MatrixLayoutOpaque*;
using Preference = struct PreferenceOpaque*;

/// cudaDataType_t.
enum DataType : int {
  kReal32 = 0,
  kReal64 = 1,
  kReal16 = 2,
  kComplex32 = 4,  ///< Of two 32-bit numbers.
  kComplex64 = 5,
  kBrain16 = 14,
};

/// cublasComputeType_t.
enum ComputeType : int { kCompute32 = 68, kCompute64 = 70, kCompute32Tf32 = 77 };

/// cublasOperation_t.
enum Operation : int { kAsIs = 0, kTransposed = 1 };

/// cublasLtEpilogue_t.
enum Epilogue : int { kEpilogueDefault = 1, kEpilogueBias = 4 };

/// cublasLtMatmulDescAttributes_t.
enum MatmulDescAttribute : int {
  kTransposeA = 3,      ///< Operation
  kTransposeB = 4,      ///< Operation
  kEpilogue = 7,        ///< Epilogue
  kBiasPointer = 8,     ///< void*
  kSmCountTarget = 15,  ///< int32
};

/// cublasLtMatrixLayoutAttribute_t.
enum MatrixLayoutAttribute : int {
  kBatchCount = 5,          ///< int32
  kStridedBatchOffset = 6,  ///< int64, in elements
};

/// cublasLtMatmulPreferenceAttributes_t.
enum PreferenceAttribute : int {
  kMaxWorkspaceBytes = 1,    ///< uint64
  kReductionSchemeMask = 3,  ///< uint32
  kMinAlignmentA = 5,        ///< uint32, in bytes; as the next three
  kMinAlignmentB = 6,
  kMinAlignmentC = 7,
  kMinAlignmentD = 8,
};

/// cublasLtReductionScheme_t.
enum ReductionScheme : std::uint32_t {
  kReduceInPlace = 1,
  kReduceInComputeType = 2,
  kReduceInOutputType = 4,
};

/// cublasLtMatmulAlgo_t.
struct Algorithm {
  std::array<std::uint64_t, 8> data;
};

/// cublasLtMatmulHeuristicResult_t.
struct HeuristicResult {
  Algorithm algorithm;
  std::size_t workspace_bytes;
  Status state;
  float waves;
  std::array<int, 4> reserved;
};

/// The functions, named as in the library without "cublasLt".
struct Functions {
  Status (*Create)(Handle* handle) = nullptr;
  Status (*Destroy)(Handle handle) = nullptr;
  std::size_t (*GetVersion)() = nullptr;
  const char* (*GetStatusName)(Status status) = nullptr;
  Status (*MatmulDescCreate)(MatmulDesc* desc, ComputeType compute, DataType scale) = nullptr;
  Status (*MatmulDescDestroy)(MatmulDesc desc) = nullptr;
  Status (*MatmulDescSetAttribute)(MatmulDesc desc, MatmulDescAttribute attribute, const void* value,
                                   std::size_t bytes) = nullptr;
  Status (*MatrixLayoutCreate)(MatrixLayout* layout, DataType type, std::uint64_t rows, std::uint64_t columns,
                               std::int64_t leading) = nullptr;
  Status (*MatrixLayoutDestroy)(MatrixLayout layout) = nullptr;
  Status (*MatrixLayoutSetAttribute)(MatrixLayout layout, MatrixLayoutAttribute attribute, const void* value,
                                     std::size_t bytes) = nullptr;
  Status (*MatmulPreferenceCreate)(Preference* preference) = nullptr;
  Status (*MatmulPreferenceDestroy)(Preference preference) = nullptr;
  Status (*MatmulPreferenceSetAttribute)(Preference preference, PreferenceAttribute attribute,
                                         const void* value, std::size_t bytes) = nullptr;
  Status (*MatmulAlgoGetHeuristic)(Handle handle, MatmulDesc desc, MatrixLayout a, MatrixLayout b,
                                   MatrixLayout c, MatrixLayout d, Preference preference, int wanted,
                                   HeuristicResult* results, int* count) = nullptr;
  Status (*Matmul)(Handle handle, MatmulDesc desc, const void* alpha, const void* a, MatrixLayout a_layout,
                   const void* b, MatrixLayout b_layout, const void* beta, const void* c,
                   MatrixLayout c_layout, void* d, MatrixLayout d_layout, const Algorithm* algorithm,
                   void* workspace, std::size_t workspace_bytes, cuda::StreamHandle stream) = nullptr;
};

// For whoever fills Functions, and for the test.
#define PENSTOCK_CUBLASLT_FUNCTIONS(use)                                                                   \
  use(Create) use(Destroy) use(GetVersion) use(GetStatusName) use(MatmulDescCreate) use(MatmulDescDestroy) \
      use(MatmulDescSetAttribute) use(MatrixLayoutCreate) use(MatrixLayoutDestroy)                         \
          use(MatrixLayoutSetAttribute) use(MatmulPreferenceCreate) use(MatmulPreferenceDestroy)           \
              use(MatmulPreferenceSetAttribute) use(MatmulAlgoGetHeuristic) use(Matmul)

}  // namespace penstock::cuda_ops::cublaslt
