#include "images.hpp"

#include <elf.h>

#include <cctype>
#include <cstdint>
#include <cstring>

namespace penstock::recording {
namespace {

constexpr std::uint32_t kFatbinMagic = 0xba55ed50;

/// Images come as an address alone, so what is read is what their own headers say, and they are trusted: only
/// tests load them.
template <class T>
T read(const unsigned char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

bool is_elf(const unsigned char* image) { return std::memcmp(image, ELFMAG, SELFMAG) == 0; }

void add_elf_names(const unsigned char* image, ImageNames& found) {
  const auto header = read<Elf64_Ehdr>(image);
  for (unsigned i = 0; i < header.e_shnum; ++i) {
    const auto section = read<Elf64_Shdr>(image + header.e_shoff + i * header.e_shentsize);
    if (section.sh_type != SHT_SYMTAB || section.sh_entsize == 0) continue;
    const auto strings =
        read<Elf64_Shdr>(image + header.e_shoff + std::size_t{section.sh_link} * header.e_shentsize);
    for (std::uint64_t at = 0; at < section.sh_size; at += section.sh_entsize) {
      const auto symbol = read<Elf64_Sym>(image + section.sh_offset + at);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      found.names.insert(reinterpret_cast<const char*>(image + strings.sh_offset + symbol.st_name));
    }
  }
}

/// A fat binary is a header and entries, of which those that are not compressed are ELF images.
void add_fatbin_names(const unsigned char* image, ImageNames& found) {
  const auto header_bytes = read<std::uint16_t>(image + 6);
  const auto bytes = read<std::uint64_t>(image + 8);
  for (std::uint64_t at = header_bytes; at < header_bytes + bytes;) {
    const unsigned char* const entry = image + at;
    const auto entry_header = read<std::uint32_t>(entry + 4);
    if (is_elf(entry + entry_header)) {
      add_elf_names(entry + entry_header, found);
    } else {
      found.any_name = true;
    }
    const auto entry_bytes = read<std::uint64_t>(entry + 8);
    if (entry_header == 0) return;
    at += entry_header + entry_bytes;
  }
}

void add_ptx_names(const char* text, ImageNames& found) {
  constexpr const char* kEntry = ".entry";
  for (const char* at = std::strstr(text, kEntry); at != nullptr; at = std::strstr(at, kEntry)) {
    at += std::strlen(kEntry);
    while (std::isspace(static_cast<unsigned char>(*at)) != 0) ++at;
    const char* const begin = at;
    while (std::isalnum(static_cast<unsigned char>(*at)) != 0 || *at == '_' || *at == '$') ++at;
    found.names.insert(std::string(begin, at));
  }
}

}  // namespace

ImageNames names_in_image(const void* data) {
  const auto* const image = static_cast<const unsigned char*>(data);
  ImageNames found;
  if (is_elf(image)) {
    add_elf_names(image, found);
  } else if (read<std::uint32_t>(image) == kFatbinMagic) {
    add_fatbin_names(image, found);
  } else {
    add_ptx_names(reinterpret_cast<const char*>(image), found);
  }
  if (found.names.empty()) found.any_name = true;
  return found;
}

}  // namespace penstock::recording
