// Compares our declarations of NVTX 3 with its own header. Compiled only: what differs does not compile.
#include "system/nvtx_abi.hpp"

#include <nvtx3/nvToolsExt.h>

#include <cstddef>
#include <type_traits>

namespace {

namespace ours = penstock::system::nvtx;

#define PENSTOCK_SAME(ours, theirs) static_assert(static_cast<long>(ours) == static_cast<long>(theirs))
PENSTOCK_SAME(ours::kVersion, NVTX_VERSION);
PENSTOCK_SAME(ours::kCore, NVTX_CB_MODULE_CORE);
PENSTOCK_SAME(ours::kModuleCount, NVTX_CB_MODULE_SIZE);
PENSTOCK_SAME(ours::kFunctionCounts[NVTX_CB_MODULE_CORE], NVTX_CBID_CORE_SIZE);
PENSTOCK_SAME(ours::kFunctionCounts[NVTX_CB_MODULE_CUDA], NVTX_CBID_CUDA_SIZE);
PENSTOCK_SAME(ours::kFunctionCounts[NVTX_CB_MODULE_OPENCL], NVTX_CBID_OPENCL_SIZE);
PENSTOCK_SAME(ours::kFunctionCounts[NVTX_CB_MODULE_CUDART], NVTX_CBID_CUDART_SIZE);
PENSTOCK_SAME(ours::kFunctionCounts[NVTX_CB_MODULE_CORE2], NVTX_CBID_CORE2_SIZE);
PENSTOCK_SAME(ours::kFunctionCounts[NVTX_CB_MODULE_SYNC], NVTX_CBID_SYNC_SIZE);
PENSTOCK_SAME(ours::kRangePush, NVTX_CBID_CORE_RangePushA);
PENSTOCK_SAME(ours::kRangePop, NVTX_CBID_CORE_RangePop);
PENSTOCK_SAME(ours::kCallbacksTable, NVTX_ETID_CALLBACKS);
PENSTOCK_SAME(ours::kVersionTable, NVTX_ETID_VERSIONINFO);
static_assert(sizeof(NvtxCallbackModule) == sizeof(int) &&
              sizeof(ours::Function) == sizeof(NvtxFunctionPointer));
static_assert(std::is_same_v<ours::PushFunction, nvtxRangePushA_impl_fntype>);
static_assert(std::is_same_v<ours::PopFunction, nvtxRangePop_impl_fntype>);
static_assert(std::is_same_v<ours::GetTable, NvtxGetExportTableFunc_t>);
static_assert(std::is_same_v<ours::Initialize, NvtxInitializeInjectionNvtxFunc_t>);
static_assert(sizeof(ours::Callbacks) == sizeof(NvtxExportTableCallbacks) &&
              offsetof(ours::Callbacks, functions_of_module) ==
                  offsetof(NvtxExportTableCallbacks, GetModuleFunctionTable));
static_assert(sizeof(ours::Version) == sizeof(NvtxExportTableVersionInfo) &&
              offsetof(ours::Version, version) == offsetof(NvtxExportTableVersionInfo, version) &&
              offsetof(ours::Version, set_version_of_tool) ==
                  offsetof(NvtxExportTableVersionInfo, SetInjectionNvtxVersion));

}  // namespace
