#pragma once

#include "model/container.hpp"
#include "package/elf_image.hpp"

#include <cstdint>
#include <optional>

namespace penstock::model {

/// Address, within a library, of the variable that keeps whether its generated input checks run.
/// Nothing where the library carries no symbol table.
std::optional<std::uint64_t> find_check_switch(const package::ElfImage& elf);

/// Turns the generated checks off in a loaded library that was asked with them on, and sees that it
/// worked. False where it did not. No other thread may be in the library.
bool turn_off_checks(const LoadedLibrary& library, const Container& container, std::uint64_t check_switch);

}  // namespace penstock::model
