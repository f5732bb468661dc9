#pragma once

#include "base/unique_handle.hpp"
#include "package/elf_image.hpp"
#include "shim/imports.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::model {

/// A function of PyTorch's container interface and where it lies in the library.
struct EntryPoint {
  std::string name;
  std::uint64_t address = 0;
};

/// A part of a file.
struct FileRange {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// A copy of a model library that has been made ready for this process. docs/design/0001-binding.md
/// says why it is done so.
struct LibraryImage {
  base::UniqueMapping memory;
  std::span<std::byte> bytes;            ///< All of `memory`.
  FileRange left_out;                    ///< Zeros that take no memory.
  std::vector<EntryPoint> entry_points;  ///< All exports that start with "AOTInductor".
};

/// Rewrites a model library so that it is bound to our functions and to no one else's, and can be
/// unloaded:
/// - an import that we answer becomes a hidden absolute symbol whose value is our function's address;
/// - every export becomes hidden, unique symbols (which glibc shares across libraries, and which pin
///   them) among them; entry points are found through `entry_points`, not by the dynamic linker;
/// - needs of libtorch, CUDA and libgomp go, with their version needs;
/// - the flag that asks for an executable stack is cleared;
/// - `left_out` is not copied.
/// Errors: Unsupported names every import that nothing answers; Incompatible where nothing says what stacks
/// it wants; Corrupt.
LibraryImage prepare_library(const package::ElfImage& elf, std::string_view what,
                             const shim::ImportOptions& options, const FileRange& left_out = {});

}  // namespace penstock::model
