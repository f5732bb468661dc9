#include "package/weights.hpp"

#include "package/byte_reader.hpp"

#include <elf.h>

#include <string_view>

namespace penstock::package {
namespace {

constexpr std::string_view kStart = "_binary_constants_bin_start";
constexpr std::string_view kEnd = "_binary_constants_bin_end";

std::optional<Elf64_Shdr> section(const ElfImage& image, const Elf64_Ehdr& header, std::uint64_t index) {
  const auto offset = base::checked_add(header.e_shoff, index * sizeof(Elf64_Shdr));
  const auto found =
      offset && index < header.e_shnum ? read_at<Elf64_Shdr>(image.bytes(), *offset) : std::nullopt;
  if (!found || !base::fits(found->sh_offset, found->sh_size, image.bytes().size())) return std::nullopt;
  return found;
}

bool has_name(std::string_view strings, std::uint64_t offset, std::string_view name) {
  return base::fits(offset, name.size() + 1, strings.size()) && strings.substr(offset, name.size()) == name &&
         strings[offset + name.size()] == '\0';
}

struct Bounds {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
};

void search_table(const ElfImage& image, const Elf64_Shdr& table, std::string_view strings, Bounds& bounds) {
  for (std::uint64_t i = 0; i < table.sh_size / sizeof(Elf64_Sym); ++i) {
    const auto symbol = *read_at<Elf64_Sym>(image.bytes(), table.sh_offset + i * sizeof(Elf64_Sym));
    if (has_name(strings, symbol.st_name, kStart)) bounds.start = symbol.st_value;
    if (has_name(strings, symbol.st_name, kEnd)) bounds.end = symbol.st_value;
  }
}

Bounds find_bounds(const ElfImage& image) {
  Bounds bounds;
  for (const ElfSymbol& symbol : image.symbols()) {
    if (symbol.name == kStart) bounds.start = symbol.value;
    if (symbol.name == kEnd) bounds.end = symbol.value;
  }
  const auto header = read_at<Elf64_Ehdr>(image.bytes(), 0);
  if (bounds.start != 0 || !header || header->e_shentsize != sizeof(Elf64_Shdr)) return bounds;
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const auto table = section(image, *header, i);
    if (!table || table->sh_type != SHT_SYMTAB) continue;
    // There is one such table: more would only cost time.
    if (const auto strings = section(image, *header, table->sh_link)) {
      search_table(image, *table, as_text(image.bytes().subspan(strings->sh_offset, strings->sh_size)),
                   bounds);
    }
    break;
  }
  return bounds;
}

}  // namespace

std::optional<EmbeddedWeights> find_embedded_weights(const ElfImage& image) {
  const Bounds bounds = find_bounds(image);
  if (bounds.start == 0 || bounds.end <= bounds.start) return std::nullopt;
  const std::uint64_t bytes = bounds.end - bounds.start;
  const auto offset = image.file_offset(bounds.start, bytes);
  // Without weights of its own a library has one byte there, or a size for those in another file.
  constexpr std::uint64_t kPlaceholderBytes = sizeof(std::uint64_t);
  if (!offset || bytes <= kPlaceholderBytes) return std::nullopt;
  constexpr std::uint64_t kAppendedBytes = 2 * sizeof(std::uint64_t);  // size and magic number
  if (bytes == kAppendedBytes) {
    const std::uint64_t size = *read_at<std::uint64_t>(image.bytes(), *offset);
    const auto magic = *read_at<std::uint64_t>(image.bytes(), *offset + sizeof(std::uint64_t));
    const std::uint64_t total = image.bytes().size();
    if (size > sizeof(magic) && size <= total &&
        read_at<std::uint64_t>(image.bytes(), total - sizeof(magic)) == magic) {
      return EmbeddedWeights{0, total - size, size - sizeof(magic), magic};
    }
  }
  return EmbeddedWeights{bounds.start, *offset, bytes, 0};
}

}  // namespace penstock::package
