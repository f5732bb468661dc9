#pragma once

#include <cstddef>
#include <cstdint>

// What of NVTX 3 Penstock uses, whose programs are handed to a tool by a table of functions that the tool
// fills. Written down here so that no header of it is needed; tests/abi compares it with nvtx3/nvToolsExt.h.
namespace penstock::system::nvtx {

inline constexpr std::uint32_t kVersion = 3;
/// Names the tool's library, whose function of the second name is to be called.
inline constexpr const char* kVariable = "NVTX_INJECTION64_PATH";
inline constexpr const char* kInitialize = "InitializeInjectionNvtx2";

/// NvtxCallbackModule: families of functions.
inline constexpr int kCore = 1;
inline constexpr int kModuleCount = 7;  ///< The first is none.
/// Numbers of functions that each family has, the invalid first one counted.
inline constexpr unsigned kFunctionCounts[kModuleCount] = {0, 16, 9, 15, 7, 16, 7};
inline constexpr unsigned kMostFunctions = 16;

/// NvtxCallbackIdCore.
inline constexpr int kRangePush = 9;  ///< int(const char* name)
inline constexpr int kRangePop = 11;  ///< int()

/// NvtxExportTableID.
inline constexpr std::uint32_t kCallbacksTable = 1;
inline constexpr std::uint32_t kVersionTable = 3;

using Function = void (*)();
using PushFunction = int (*)(const char* name);
using PopFunction = int (*)();

/// NvtxExportTableCallbacks.
struct Callbacks {
  std::size_t bytes;
  /// Gives the addresses of pointers for the tool to set; 0 where there is no such family.
  int (*functions_of_module)(int module, Function*** table, unsigned* count);
};

/// NvtxExportTableVersionInfo.
struct Version {
  std::size_t bytes;
  std::uint32_t version;
  std::uint32_t reserved;
  void (*set_version_of_tool)(std::uint32_t version);
};

using GetTable = const void* (*)(std::uint32_t table);
using Initialize = int (*)(GetTable get_table);

}  // namespace penstock::system::nvtx
