#pragma once

#include <penstock/package.hpp>

#include <string>
#include <vector>

namespace penstock::model {

/// One sentence for each thing that keeps a model for CUDA from running on this machine: no driver, no GPU
/// that its kernels are for. Opens the driver. Empty for a model for the CPU.
std::vector<std::string> cuda_obstacles(const ModelInfo& info, bool has_portable_kernels);

/// The compute capability that kernels are for: 90 is 9.0. 0 where the package does not state it.
int stated_capability(const ModelInfo& info);

/// True where kernels for `wanted` run on a device of capability `major`.`minor`.
bool runs_on(int wanted, int major, int minor) noexcept;

}  // namespace penstock::model
