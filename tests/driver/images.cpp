#include "images.hpp"

#include <elf.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

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

/// What .nv.info sections say is a list of attributes: how the value is given, which it is, and a value of
/// two bytes or, where it is given by its size, behind that.
constexpr unsigned char kValueBySize = 4;
constexpr unsigned char kParameterBytes = 0x19;
constexpr unsigned char kParameterInfo = 0x17;

struct ParameterInfo {
  std::uint32_t index;
  std::uint16_t ordinal;
  std::uint16_t offset;
  std::uint32_t flags;  ///< The size is from bit 18 on.
};

/// Null where what it says of single parameters and of all does not fit together.
std::shared_ptr<const Layout> read_layout(const unsigned char* info, std::size_t bytes) {
  std::map<unsigned, Parameter> parameters;
  std::size_t end = 0;
  std::size_t total = 0;
  for (std::size_t at = 0; at + 4 <= bytes;) {
    const unsigned char attribute = info[at + 1];
    const auto value = read<std::uint16_t>(info + at + 2);
    const bool by_size = info[at] == kValueBySize;
    if (attribute == kParameterBytes && !by_size) total = value;
    if (attribute == kParameterInfo && by_size) {
      const auto found = read<ParameterInfo>(info + at + 4);
      const Parameter parameter{.offset = found.offset, .bytes = found.flags >> 18U};
      parameters[found.ordinal] = parameter;
      end = std::max(end, parameter.offset + parameter.bytes);
    }
    at += 4 + (by_size ? value : 0U);
  }
  if (end != total) return nullptr;
  auto layout = std::make_shared<Layout>();
  for (const auto& [ordinal, parameter] : parameters) layout->push_back(parameter);
  return layout;
}

/// The sections and symbols of an image.
class Elf {
 public:
  explicit Elf(const unsigned char* image) : image_(image), header_(read<Elf64_Ehdr>(image)) {}

  void add_kernels(ImageKernels& found) const {
    for (unsigned i = 0; i < header_.e_shnum; ++i) add_names(section(i), found);
    const Elf64_Shdr names = section(header_.e_shstrndx);
    constexpr std::string_view kInfo = ".nv.info.";
    for (unsigned i = 0; i < header_.e_shnum; ++i) {
      const Elf64_Shdr each = section(i);
      const std::string name = text(names, each.sh_name);
      if (name.starts_with(kInfo)) {
        const auto layout = read_layout(image_ + each.sh_offset, each.sh_size);
        if (layout != nullptr) found.kernels[name.substr(kInfo.size())] = layout;
      }
    }
  }

 private:
  [[nodiscard]] Elf64_Shdr section(std::size_t index) const {
    return read<Elf64_Shdr>(image_ + header_.e_shoff + index * header_.e_shentsize);
  }
  [[nodiscard]] const char* text(const Elf64_Shdr& strings, std::size_t offset) const {
    return reinterpret_cast<const char*>(image_ + strings.sh_offset + offset);
  }

  void add_names(const Elf64_Shdr& symbols, ImageKernels& found) const {
    if (symbols.sh_type != SHT_SYMTAB || symbols.sh_entsize == 0) return;
    const Elf64_Shdr strings = section(symbols.sh_link);
    for (std::uint64_t at = 0; at < symbols.sh_size; at += symbols.sh_entsize) {
      const auto symbol = read<Elf64_Sym>(image_ + symbols.sh_offset + at);
      if (ELF64_ST_TYPE(symbol.st_info) != STT_FUNC || symbol.st_shndx == SHN_UNDEF) continue;
      found.kernels.emplace(text(strings, symbol.st_name), nullptr);
    }
  }

  const unsigned char* image_;
  Elf64_Ehdr header_;
};

/// A fat binary is a header and entries, of which those that are not compressed are ELF images.
void add_fatbin_kernels(const unsigned char* image, ImageKernels& found) {
  const auto header_bytes = read<std::uint16_t>(image + 6);
  const auto bytes = read<std::uint64_t>(image + 8);
  for (std::uint64_t at = header_bytes; at < header_bytes + bytes;) {
    const unsigned char* const entry = image + at;
    const auto entry_header = read<std::uint32_t>(entry + 4);
    if (is_elf(entry + entry_header)) {
      Elf(entry + entry_header).add_kernels(found);
    } else {
      found.any_name = true;
    }
    const auto entry_bytes = read<std::uint64_t>(entry + 8);
    if (entry_header == 0) return;
    at += entry_header + entry_bytes;
  }
}

}  // namespace

ImageKernels kernels_in_image(const void* data) {
  const auto* const image = static_cast<const unsigned char*>(data);
  ImageKernels found;
  if (is_elf(image)) {
    Elf(image).add_kernels(found);
  } else if (read<std::uint32_t>(image) == kFatbinMagic) {
    add_fatbin_kernels(image, found);
  } else {
    add_ptx_kernels(reinterpret_cast<const char*>(image), found);
  }
  if (found.kernels.empty()) found.any_name = true;
  return found;
}

}  // namespace penstock::recording
