#include "base/checked.hpp"
#include "package/elf_image.hpp"

#include <elf.h>

#include <algorithm>
#include <utility>

namespace penstock::package {

const ElfSymbol* ElfImage::find(std::string_view name) const noexcept {
  const auto found = std::find_if(symbols_.begin(), symbols_.end(),
                                  [&](const ElfSymbol& symbol) { return symbol.name == name; });
  return found == symbols_.end() ? nullptr : &*found;
}

std::optional<std::uint64_t> ElfImage::file_offset(std::uint64_t address, std::uint64_t size) const noexcept {
  for (const ElfSegment& segment : segments_) {
    if (segment.type != PT_LOAD || address < segment.address) continue;
    const std::uint64_t within = address - segment.address;
    if (base::fits(within, size, segment.file_bytes)) return segment.offset + within;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> ElfImage::overlap() const {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;  // [from, to)
  const auto add = [&](std::uint64_t offset, std::uint64_t count, std::uint64_t entry_bytes) {
    if (count != 0) ranges.emplace_back(offset, offset + count * entry_bytes);
  };
  add(0, 1, sizeof(Elf64_Ehdr));
  add(tables_.program_headers, segments_.size(), sizeof(Elf64_Phdr));
  add(tables_.dynamic, tables_.dynamic_count, sizeof(Elf64_Dyn));
  add(tables_.symbols, tables_.symbol_count, sizeof(Elf64_Sym));
  add(tables_.strings, tables_.strings_bytes, 1);
  if (tables_.symbol_versions != 0) add(tables_.symbol_versions, tables_.symbol_count, sizeof(Elf64_Half));
  for (const ElfVersionNeed& need : version_needs_) add(need.offset, 1, sizeof(Elf64_Verneed));
  std::sort(ranges.begin(), ranges.end());
  for (std::size_t i = 1; i < ranges.size(); ++i) {
    if (ranges[i].first < ranges[i - 1].second) return ranges[i].first;
  }
  return std::nullopt;
}

}  // namespace penstock::package
