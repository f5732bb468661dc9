#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// An entry of the dynamic symbol table.
struct ElfSymbol {
  std::string_view name;
  std::uint64_t value = 0;
  std::uint64_t size = 0;
  std::uint16_t section = 0;  ///< 0: undefined, so an import.
  std::uint8_t info = 0;      ///< Binding and type, as in the file.
  std::uint8_t other = 0;     ///< Visibility, as in the file.
  [[nodiscard]] bool is_import() const noexcept { return section == 0 && !name.empty(); }
};

/// Versions that are needed of one library.
struct ElfVersionNeed {
  std::uint64_t offset = 0;  ///< File offset of its Elf64_Verneed.
  std::uint32_t next = 0;    ///< Bytes from this record to the next; 0: the last.
  std::string_view library;
  std::vector<std::string_view> versions;
};

/// A part of the file that the dynamic linker maps.
struct ElfSegment {
  std::uint32_t type = 0;
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;
  std::uint64_t address = 0;
  std::uint64_t file_bytes = 0;
  std::uint64_t memory_bytes = 0;
};

/// The architecture in the header of an ELF file, "aarch64", as `uname -m` has it; "" where there is none.
std::string elf_architecture(std::span<const std::byte> bytes);

/// A 64-bit little-endian shared object for this architecture, checked so that every table that
/// Penstock or the dynamic linker reads lies within the loaded segments, and that none which a rewrite
/// changes shares bytes with another. Views into the bytes it was parsed from.
/// Thread: thread-safe.
class ElfImage {
 public:
  /// Errors: Incompatible for another machine or kind of file; Corrupt for a table outside the file.
  /// `what` names the library in messages.
  static ElfImage parse(std::span<const std::byte> bytes, std::string_view what);

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::span<const ElfSegment> segments() const noexcept { return segments_; }
  [[nodiscard]] std::span<const ElfSymbol> symbols() const noexcept { return symbols_; }
  [[nodiscard]] std::span<const std::string_view> needed() const noexcept { return needed_; }
  [[nodiscard]] std::span<const ElfVersionNeed> version_needs() const noexcept { return version_needs_; }

  /// The import or export called `name`. Null: none.
  [[nodiscard]] const ElfSymbol* find(std::string_view name) const noexcept;

  /// File offset of a range of mapped addresses; nothing where the file does not hold all of it.
  [[nodiscard]] std::optional<std::uint64_t> file_offset(std::uint64_t address,
                                                         std::uint64_t size) const noexcept;

  /// File offsets of the tables that a rewrite changes. 0: not there.
  struct Tables {
    std::uint64_t dynamic = 0;  ///< Elf64_Dyn[dynamic_count]
    std::uint64_t dynamic_count = 0;
    std::uint64_t symbols = 0;  ///< Elf64_Sym[symbol_count]
    std::uint64_t symbol_count = 0;
    std::uint64_t symbol_versions = 0;  ///< uint16[symbol_count]
    std::uint64_t strings = 0;
    std::uint64_t strings_bytes = 0;
    std::uint64_t version_needs = 0;
    std::uint64_t program_headers = 0;  ///< Elf64_Phdr[segments().size()]
    std::uint64_t relocations = 0;      ///< Elf64_Rela[relocation_count]: DT_RELA
    std::uint64_t relocation_count = 0;
    std::uint64_t plt_relocations = 0;  ///< Elf64_Rela[plt_relocation_count]: DT_JMPREL
    std::uint64_t plt_relocation_count = 0;
    std::uint64_t init_array = 0;  ///< uint64[init_array_count]
    std::uint64_t init_array_count = 0;
  };
  [[nodiscard]] const Tables& tables() const noexcept { return tables_; }

 private:
  friend class ElfParser;
  /// The first byte that two of the tables which are changed or name what is changed share.
  [[nodiscard]] std::optional<std::uint64_t> overlap() const;

  std::span<const std::byte> bytes_;
  std::vector<ElfSegment> segments_;
  std::vector<ElfSymbol> symbols_;
  std::vector<std::string_view> needed_;
  std::vector<ElfVersionNeed> version_needs_;
  Tables tables_;
};

}  // namespace penstock::package
