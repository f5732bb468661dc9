#pragma once

#include "cuda/abi.hpp"

#include <string>

namespace penstock::cuda {

/// Takes all functions of a module to the device now, as a first launch would: that must not happen within a
/// run, which may be recorded. Nothing where the driver cannot (before CUDA 12.4). Blocking.
/// Errors: Cuda names `what` the module is.
void load_functions(ModuleHandle module, const std::string& what);

}  // namespace penstock::cuda
