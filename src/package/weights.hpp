#pragma once

#include "package/elf_image.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace penstock::package {

/// How a weight lies in memory, in elements.
struct WeightLayout {
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
};

/// Where a model library has its weights.
struct EmbeddedWeights {
  std::uint64_t address = 0;  ///< Mapped address; 0 where they are appended to the file.
  std::uint64_t file_offset = 0;
  std::uint64_t bytes = 0;
  std::uint64_t magic = 0;  ///< The number behind weights that are appended.
};

/// The bytes between the symbols `_binary_constants_bin_start` and `_end`, which stand in .symtab; for
/// large weights these hold a size and a magic number, and the weights follow at the end of the file.
/// Nothing where the library is stripped of its symbols, or has no weights of its own.
/// Source: torch/csrc/inductor/aoti_runtime/model_base.h, torch/_inductor/codecache.py.
std::optional<EmbeddedWeights> find_embedded_weights(const ElfImage& image);

}  // namespace penstock::package
