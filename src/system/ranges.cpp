#include "system/ranges.hpp"

#include "system/nvtx_abi.hpp"

#include <dlfcn.h>

#include <array>
#include <cstdlib>

namespace penstock::system {
namespace {

/// The functions that a tool sets, all families of them: tools may ask for those that are not called here.
struct Slots {
  std::array<std::array<nvtx::Function, nvtx::kMostFunctions>, nvtx::kModuleCount> functions{};
  /// Their addresses, with a null behind the last.
  std::array<std::array<nvtx::Function*, nvtx::kMostFunctions + 1>, nvtx::kModuleCount> addresses{};
};

Slots& slots() noexcept {
  static Slots kept;
  return kept;
}

int functions_of_module(int module, nvtx::Function*** table, unsigned* count) {
  if (module < nvtx::kCore || module >= nvtx::kModuleCount) return 0;
  const unsigned most = nvtx::kFunctionCounts[module];
  auto& functions = slots().functions[static_cast<std::size_t>(module)];
  auto& addresses = slots().addresses[static_cast<std::size_t>(module)];
  for (unsigned i = 1; i < most; ++i) addresses[i] = &functions[i];
  if (count != nullptr) *count = most;
  if (table != nullptr) *table = addresses.data();
  return 1;
}

const void* table_for_tool(std::uint32_t table) {
  static constexpr nvtx::Callbacks kCallbacks{sizeof(nvtx::Callbacks), &functions_of_module};
  static constexpr nvtx::Version kVersion{sizeof(nvtx::Version), nvtx::kVersion, 0, [](std::uint32_t) {}};
  if (table == nvtx::kCallbacksTable) return &kCallbacks;
  return table == nvtx::kVersionTable ? &kVersion : nullptr;
}

struct Tool {
  nvtx::PushFunction push = nullptr;
  nvtx::PopFunction pop = nullptr;
};

/// Of no use unless it has both.
Tool open_tool() noexcept {
  const char* const path = std::getenv(nvtx::kVariable);
  if (path == nullptr || *path == '\0') return {};
  void* const library = ::dlopen(path, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) return {};
  const auto initialize = reinterpret_cast<nvtx::Initialize>(::dlsym(library, nvtx::kInitialize));
  if (initialize == nullptr || initialize(&table_for_tool) == 0) return {};
  const auto& core = slots().functions[nvtx::kCore];
  const Tool tool{reinterpret_cast<nvtx::PushFunction>(core[nvtx::kRangePush]),
                  reinterpret_cast<nvtx::PopFunction>(core[nvtx::kRangePop])};
  return tool.push != nullptr && tool.pop != nullptr ? tool : Tool{};
}

const Tool& tool() noexcept {
  static const Tool opened = open_tool();
  return opened;
}

}  // namespace

void push_range(const char* name) noexcept {
  if (const Tool& found = tool(); found.push != nullptr) found.push(name);
}

void pop_range() noexcept {
  if (const Tool& found = tool(); found.pop != nullptr) found.pop();
}

}  // namespace penstock::system
