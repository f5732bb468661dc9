#include "system/nvtx_abi.hpp"

#include <cstdio>
#include <cstdlib>

// Stands in for a tool of NVTX, where NVTX_INJECTION64_PATH names it: it writes the ranges to the file that
// PENSTOCK_RECORDING_RANGES names. Without that it refuses to serve.
namespace nvtx = penstock::system::nvtx;

namespace {

std::FILE* log_file = nullptr;

int push(const char* name) {
  std::fprintf(log_file, "push %s\n", name);
  std::fflush(log_file);
  return 0;
}

int pop() {
  std::fprintf(log_file, "pop\n");
  std::fflush(log_file);
  return 0;
}

/// As tools do: all families, each with the number of functions that it is known to have.
bool all_modules_are_there(const nvtx::Callbacks& callbacks) {
  for (int module = nvtx::kCore; module < nvtx::kModuleCount; ++module) {
    nvtx::Function** table = nullptr;
    unsigned count = 0;
    if (callbacks.functions_of_module(module, &table, &count) != 1) return false;
    if (count != nvtx::kFunctionCounts[module] || table[0] != nullptr || table[count] != nullptr)
      return false;
    for (unsigned i = 1; i < count; ++i) {
      if (table[i] == nullptr) return false;
    }
  }
  nvtx::Function** table = nullptr;
  unsigned count = 0;
  return callbacks.functions_of_module(nvtx::kModuleCount, &table, &count) == 0;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int InitializeInjectionNvtx2(nvtx::GetTable get_table) {
  const char* const path = std::getenv("PENSTOCK_RECORDING_RANGES");
  if (path == nullptr) return 0;
  log_file = std::fopen(path, "a");
  const auto* const version = static_cast<const nvtx::Version*>(get_table(nvtx::kVersionTable));
  const auto* const callbacks = static_cast<const nvtx::Callbacks*>(get_table(nvtx::kCallbacksTable));
  if (log_file == nullptr || version->version != nvtx::kVersion || !all_modules_are_there(*callbacks))
    return 0;
  version->set_version_of_tool(nvtx::kVersion);
  nvtx::Function** core = nullptr;
  unsigned count = 0;
  callbacks->functions_of_module(nvtx::kCore, &core, &count);
  *core[nvtx::kRangePush] = reinterpret_cast<nvtx::Function>(&push);
  *core[nvtx::kRangePop] = reinterpret_cast<nvtx::Function>(&pop);
  return 1;
}
