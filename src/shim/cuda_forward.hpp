#pragma once

#include "shim/context.hpp"
#include "shim/cuda_call.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

// For functions of PyTorch's C ABI whose tensors may lie on any device.
namespace penstock::shim {

/// Calls libpenstock_cuda's function of that name with the same arguments.
/// Errors: recorded as those of the function; Unsupported where there is none.
template <class... Arguments>
std::int32_t call_on_cuda(std::string_view name, Arguments... arguments) {
  void* address = nullptr;
  const std::int32_t missing = guarded([&] {
    const auto functions = cuda_call().operators->functions();
    const auto found = std::ranges::find(functions, name, &TableEntry::name);
    if (found == functions.end()) base::fail(ErrorCode::Unsupported, "{} of tensors on a GPU", name);
    address = found->address;
  });
  if (missing != 0) return missing;
  return reinterpret_cast<std::int32_t (*)(Arguments...)>(address)(arguments...);
}

}  // namespace penstock::shim
