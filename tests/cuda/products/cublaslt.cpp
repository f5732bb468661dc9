#include "cuda_ops/cublaslt_abi.hpp"
#include "entries.hpp"

#include <cstdlib>

// Stands in for cuBLASLt on the recording driver: a product is a host function on its stream, which the log
// so names, and computes nothing.
namespace lt = penstock::cuda_ops::cublaslt;

#define PENSTOCK_CUBLASLT_API extern "C" __attribute__((visibility("default"))) lt::Status

namespace {

/// What stands for a handle, a description, a layout or a preference.
template <class Handle>
lt::Status make(Handle* handle) {
  *handle = reinterpret_cast<Handle>(std::malloc(1));
  return lt::kSuccess;
}

template <class Handle>
lt::Status drop(Handle handle) {
  std::free(handle);
  return lt::kSuccess;
}

}  // namespace

PENSTOCK_CUBLASLT_API cublasLtCreate(lt::Handle* handle) { return make(handle); }
PENSTOCK_CUBLASLT_API cublasLtDestroy(lt::Handle handle) { return drop(handle); }

extern "C" __attribute__((visibility("default"))) std::size_t cublasLtGetVersion() {
  constexpr std::size_t kVersion = 130000;
  return kVersion;
}

extern "C" __attribute__((visibility("default"))) const char* cublasLtGetStatusName(lt::Status) {
  return "status";
}

PENSTOCK_CUBLASLT_API cublasLtMatmulDescCreate(lt::MatmulDesc* desc, lt::ComputeType, lt::DataType) {
  return make(desc);
}
PENSTOCK_CUBLASLT_API cublasLtMatmulDescDestroy(lt::MatmulDesc desc) { return drop(desc); }
PENSTOCK_CUBLASLT_API cublasLtMatmulDescSetAttribute(lt::MatmulDesc, lt::MatmulDescAttribute, const void*,
                                                     std::size_t) {
  return lt::kSuccess;
}

PENSTOCK_CUBLASLT_API cublasLtMatrixLayoutCreate(lt::MatrixLayout* layout, lt::DataType, std::uint64_t,
                                                 std::uint64_t, std::int64_t) {
  return make(layout);
}
PENSTOCK_CUBLASLT_API cublasLtMatrixLayoutDestroy(lt::MatrixLayout layout) { return drop(layout); }
PENSTOCK_CUBLASLT_API cublasLtMatrixLayoutSetAttribute(lt::MatrixLayout, lt::MatrixLayoutAttribute,
                                                       const void*, std::size_t) {
  return lt::kSuccess;
}

PENSTOCK_CUBLASLT_API cublasLtMatmulPreferenceCreate(lt::Preference* preference) { return make(preference); }
PENSTOCK_CUBLASLT_API cublasLtMatmulPreferenceDestroy(lt::Preference preference) { return drop(preference); }
PENSTOCK_CUBLASLT_API cublasLtMatmulPreferenceSetAttribute(lt::Preference, lt::PreferenceAttribute,
                                                           const void*, std::size_t) {
  return lt::kSuccess;
}

PENSTOCK_CUBLASLT_API cublasLtMatmulAlgoGetHeuristic(lt::Handle, lt::MatmulDesc, lt::MatrixLayout,
                                                     lt::MatrixLayout, lt::MatrixLayout, lt::MatrixLayout,
                                                     lt::Preference, int, lt::HeuristicResult* results,
                                                     int* count) {
  constexpr std::size_t kWorkspaceBytes = 4096;
  results[0] = {};
  results[0].workspace_bytes = kWorkspaceBytes;
  *count = 1;
  return lt::kSuccess;
}

PENSTOCK_CUBLASLT_API cublasLtMatmul(lt::Handle, lt::MatmulDesc, const void*, const void*, lt::MatrixLayout,
                                     const void*, lt::MatrixLayout, const void*, const void*,
                                     lt::MatrixLayout, void*, lt::MatrixLayout, const lt::Algorithm*, void*,
                                     std::size_t, penstock::cuda::StreamHandle stream) {
  constexpr lt::Status kExecutionFailed = 13;
  const auto nothing = [](void*) {};
  return cuLaunchHostFunc(stream, nothing, nullptr) == penstock::cuda::kSuccess ? lt::kSuccess
                                                                                : kExecutionFailed;
}
