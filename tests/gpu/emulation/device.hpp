#pragma once

#include <string>

namespace penstock::emulation {

/// True for a kernel that is compiled in.
bool has_kernel(const std::string& name);

/// Runs all blocks of a kernel, one after the other. `arguments` are addresses, as cuLaunchKernel takes them.
void run_kernel(const std::string& name, unsigned blocks, unsigned threads, void** arguments);

}  // namespace penstock::emulation
