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

/// Whether version "2.9" is less than "2.38": compared by number. An empty one is the least.
bool version_less(const std::string& left, const std::string& right);

/// True where the library `soname`, as loaded or found by the dynamic linker, defines version
/// `version` (such as "GLIBCXX_3.4.30", "GLIBC_2.34"). Opens the library.
bool defines_version(const std::string& soname, const std::string& version);

/// True where `soname` is loaded, or lies where the dynamic linker looks. Loads and runs nothing: the
/// name comes from a package. A name with a '/' is never found.
bool finds_library(const std::string& soname);

/// "x86_64".
std::string architecture();

/// CPU's model name.
std::string cpu_name();

/// Threads that this process may use (its affinity mask).
int available_threads();

}  // namespace penstock::system
