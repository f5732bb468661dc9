#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace penstock::system {

/// Instruction sets that CPU and kernel offer, by the names that packages use: "AVX2", "FMA",
/// "AVX512F", "AVX512_VNNI", "AMX_TILE", ... Sorted.
const std::vector<std::string>& instruction_sets();

/// True where `name` is offered.
bool has_instruction_set(std::string_view name);

/// "2.36".
std::string glibc_version();

/// Highest GLIBCXX version that the loaded libstdc++ defines: "3.4.30".
std::string libstdcxx_version();

/// True where the library `soname`, as loaded or found by the dynamic linker, defines version
/// `version` (such as "GLIBCXX_3.4.30", "GLIBC_2.34"). Opens the library.
bool defines_version(const std::string& soname, const std::string& version);

/// True where the dynamic linker finds `soname`.
bool finds_library(const std::string& soname);

/// "x86_64".
std::string architecture();

/// CPU's model name.
std::string cpu_name();

/// Threads that this process may use (its affinity mask).
int available_threads();

}  // namespace penstock::system
