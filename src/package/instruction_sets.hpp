#pragma once

#include "package/elf_image.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// Instruction sets beyond x86-64's first level that the code of a library uses, by the names of
/// system::instruction_sets(). Decodes every executable segment from end to end: a few milliseconds a
/// megabyte. Sorted. Errors: OutOfMemory.
std::vector<std::string> instruction_sets_of_code(const ElfImage& image);

/// The sets behind the metadata key AOTI_CPU_ISA: "AVX512 AMX_TILE" is what torch compiles kernels with.
std::vector<std::string> instruction_sets_of_metadata(std::string_view cpu_isa);

/// Whether code compiled with -march=`march` needs no more than that level, whose sets are then known.
bool is_portable_march(std::string_view march);
std::vector<std::string> instruction_sets_of_march(std::string_view march);

}  // namespace penstock::package
