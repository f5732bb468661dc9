#include "model/generated_checks.hpp"

#include "base/checked.hpp"
#include "model/input_probe.hpp"

#include <elf.h>

#include <cstring>
#include <string_view>

namespace penstock::model {
namespace {

/// The function static in which generated code keeps the answer of getenv("AOTI_RUNTIME_CHECK_INPUTS").
/// The same in libraries of torch 2.9 to 2.15.
constexpr std::string_view kSwitch =
    "_ZZN5torch12aot_inductorL36_check_aoti_runtime_check_inputs_envEvE6result";

template <class T>
std::optional<T> load(std::span<const std::byte> bytes, std::uint64_t offset) {
  if (!base::fits(offset, sizeof(T), bytes.size())) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

bool is_named(std::span<const std::byte> bytes, const Elf64_Shdr& names, const Elf64_Sym& symbol) {
  if (!base::fits(names.sh_offset, names.sh_size, bytes.size())) return false;
  if (!base::fits(symbol.st_name, kSwitch.size() + 1, names.sh_size)) return false;
  const auto* name = reinterpret_cast<const char*>(bytes.data() + names.sh_offset + symbol.st_name);
  return std::memcmp(name, kSwitch.data(), kSwitch.size()) == 0 && name[kSwitch.size()] == '\0';
}

/// True where the variable lies in memory that the library may write to.
bool is_writable(const package::ElfImage& elf, std::uint64_t address) {
  for (const package::ElfSegment& segment : elf.segments()) {
    if (segment.type == PT_LOAD && (segment.flags & PF_W) != 0 && address >= segment.address &&
        address - segment.address < segment.memory_bytes) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::uint64_t> find_check_switch(const package::ElfImage& elf) {
  const std::span<const std::byte> bytes = elf.bytes();
  const auto header = load<Elf64_Ehdr>(bytes, 0);
  if (!header || header->e_shentsize != sizeof(Elf64_Shdr)) return std::nullopt;
  for (std::uint64_t index = 0; index < header->e_shnum; ++index) {
    const auto table = load<Elf64_Shdr>(bytes, header->e_shoff + index * sizeof(Elf64_Shdr));
    if (!table || table->sh_type != SHT_SYMTAB || !base::fits(table->sh_offset, table->sh_size, bytes.size()))
      continue;
    const auto names = load<Elf64_Shdr>(bytes, header->e_shoff + table->sh_link * sizeof(Elf64_Shdr));
    if (!names) continue;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= table->sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = load<Elf64_Sym>(bytes, table->sh_offset + at);
      if (symbol->st_size == sizeof(bool) && is_named(bytes, *names, *symbol) &&
          is_writable(elf, symbol->st_value)) {
        return symbol->st_value;
      }
    }
  }
  return std::nullopt;
}

bool turn_off_checks(const LoadedLibrary& library, const Container& container, std::uint64_t check_switch) {
  auto* const on = static_cast<volatile bool*>(library.at(check_switch));
  if (!*on) return false;
  *on = false;
  if (takes_anything(container)) return true;
  *on = true;
  return false;
}

}  // namespace penstock::model
