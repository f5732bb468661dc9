#include "package/byte_reader.hpp"
#include "package/elf_image.hpp"

#include <fmt/format.h>

#include <elf.h>

namespace penstock::package {

std::string elf_architecture(std::span<const std::byte> bytes) {
  // The same place in files of 32 and of 64 bits.
  const auto stored = read_at<std::uint16_t>(bytes, offsetof(Elf64_Ehdr, e_machine));
  if (!stored || as_text(bytes).substr(0, SELFMAG) != ELFMAG) return "";
  const bool is_big = static_cast<unsigned char>(bytes[EI_DATA]) == ELFDATA2MSB;
  const std::uint16_t machine = is_big ? __builtin_bswap16(*stored) : *stored;
  switch (machine) {
    case EM_X86_64: return "x86_64";
    case EM_AARCH64: return "aarch64";
    case EM_386: return "i686";
    case EM_ARM: return "arm";
    case EM_PPC64: return is_big ? "ppc64" : "ppc64le";
    case EM_RISCV: return "riscv64";
    case EM_S390: return "s390x";
    default: return fmt::format("ELF machine {}", machine);
  }
}

}  // namespace penstock::package
