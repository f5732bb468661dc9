#include "package/elf_image.hpp"

#include "base/fail.hpp"
#include "package/byte_reader.hpp"

#include <elf.h>

#include <algorithm>
#include <map>

// Everything is found as the dynamic linker finds it, from program headers and the dynamic section:
// section headers can be stripped or lie without harm to a load.
namespace penstock::package {
namespace {

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kAddressEnd = std::uint64_t{1} << 47;  // of user space
constexpr std::size_t kMaxVersions = 10'000;
constexpr std::uint64_t kMaxProgramHeaders = 256;
// Names may share bytes, so a small file can state a great many long ones.
constexpr std::size_t kMaxNameBytes = std::size_t{1} << 20;
constexpr std::size_t kMaxNamesBytes = std::size_t{256} << 20;

std::string_view tag_name(std::int64_t tag) {
  switch (tag) {
    case DT_STRTAB: return "string table";
    case DT_SYMTAB: return "symbol table";
    case DT_GNU_HASH: return "GNU hash table";
    case DT_HASH: return "hash table";
    case DT_VERSYM: return "symbol version table";
    case DT_VERNEED: return "version needs";
    case DT_RELA: return "relocation table";
    case DT_JMPREL: return "PLT relocation table";
    case DT_RELR: return "relative relocation table";
    case DT_INIT_ARRAY:
    case DT_FINI_ARRAY: return "array of start or end functions";
    default: return "table";
  }
}

}  // namespace

/// Fills an ElfImage step by step; each step may rely on what the ones before it have checked.
class ElfParser {
 public:
  ElfParser(std::span<const std::byte> bytes, std::string_view what) : what_(what) { image_.bytes_ = bytes; }

  ElfImage parse() {
    read_header();
    read_segments();
    read_dynamic();
    read_strings();
    read_relocations();
    read_symbols();
    check_relocations(image_.tables_.relocations, image_.tables_.relocation_count);
    check_relocations(image_.tables_.plt_relocations, image_.tables_.plt_relocation_count);
    read_needed();
    read_version_needs();
    if (const auto byte = image_.overlap()) corrupt("its tables overlap at byte {}", *byte);
    return std::move(image_);
  }

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: {}; the library is damaged: copy or export the package again", what_,
               fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  T read(std::uint64_t offset, std::string_view record) const {
    const auto value = read_at<T>(image_.bytes_, offset);
    if (!value) corrupt("{} lies outside the file", record);
    return *value;
  }

  void check_magic() const {
    const auto bytes = image_.bytes_;
    const auto magic = read_at<std::uint32_t>(bytes, 0);
    if (magic == 0xfeedfacfU || magic == 0xcafebabeU || magic == 0xbebafecaU) {
      base::fail(ErrorCode::Incompatible, "{} is a macOS library; export the package on Linux", what_);
    }
    if (bytes.size() >= 2 && as_text(bytes).substr(0, 2) == "MZ") {
      base::fail(ErrorCode::Incompatible, "{} is a Windows library; export the package on Linux", what_);
    }
    if (bytes.size() < SELFMAG || as_text(bytes).substr(0, SELFMAG) != ELFMAG) {
      corrupt("is not an ELF library");
    }
    if (bytes.size() < sizeof(Elf64_Ehdr)) {
      corrupt("truncated: {} bytes are less than an ELF header", bytes.size());
    }
  }

  void read_header() {
    check_magic();
    header_ = read<Elf64_Ehdr>(0, "header");
    const bool little = header_.e_ident[EI_DATA] == ELFDATA2LSB;
    if (header_.e_ident[EI_CLASS] != ELFCLASS64 || !little) {
      base::fail(ErrorCode::Incompatible, "{} is a {} library; this machine takes 64-bit little-endian ones",
                 what_, little ? "32-bit" : "big-endian");
    }
    if (header_.e_machine != EM_X86_64) {
      base::fail(ErrorCode::Incompatible, "{} is for {}; this machine is x86_64: export the package for it",
                 what_, elf_architecture(image_.bytes_));
    }
    if (header_.e_type != ET_DYN) {
      base::fail(ErrorCode::Incompatible, "{} is not a shared library (ELF type {})", what_, header_.e_type);
    }
    if (header_.e_phentsize != sizeof(Elf64_Phdr) || header_.e_phnum == 0 ||
        header_.e_phnum > kMaxProgramHeaders) {
      corrupt("it has {} program headers of {} bytes", header_.e_phnum, header_.e_phentsize);
    }
    image_.tables_.program_headers = header_.e_phoff;
  }

  void read_segments() {
    std::uint64_t last_end = 0;  // of the pages of loaded segments so far
    for (std::uint64_t i = 0; i < header_.e_phnum; ++i) {
      const auto offset = base::checked_add(header_.e_phoff, i * sizeof(Elf64_Phdr));
      if (!offset) corrupt("program headers lie outside the file");
      const auto header = read<Elf64_Phdr>(*offset, "a program header");
      image_.segments_.push_back(
          {header.p_type, header.p_flags, header.p_offset, header.p_vaddr, header.p_filesz, header.p_memsz});
      if (header.p_type == PT_LOAD) last_end = check_load(header, last_end);
      if (header.p_type == PT_TLS && (header.p_filesz > header.p_memsz ||
                                      !base::fits(header.p_offset, header.p_filesz, image_.bytes_.size()))) {
        corrupt("the thread-local segment lies outside the file");
      }
    }
    if (last_end == 0) corrupt("no segment is loaded");
  }

  /// The end of the segment's pages, which the next one may not reach into.
  std::uint64_t check_load(const Elf64_Phdr& header, std::uint64_t last_end) const {
    if (!base::fits(header.p_offset, header.p_filesz, image_.bytes_.size())) {
      corrupt("truncated: a segment of {} bytes at {} ends after the file of {} bytes", header.p_filesz,
              header.p_offset, image_.bytes_.size());
    }
    if (header.p_filesz > header.p_memsz || !base::fits(header.p_vaddr, header.p_memsz, kAddressEnd)) {
      corrupt("a segment at address {:#x} has {} bytes of {}", header.p_vaddr, header.p_filesz,
              header.p_memsz);
    }
    if (header.p_vaddr % kPageBytes != header.p_offset % kPageBytes) {
      corrupt("a segment at address {:#x} is at offset {:#x}, which cannot be mapped", header.p_vaddr,
              header.p_offset);
    }
    if (header.p_vaddr / kPageBytes * kPageBytes < last_end) {
      corrupt("the segment at address {:#x} overlaps the one before it", header.p_vaddr);
    }
    return (header.p_vaddr + header.p_memsz + kPageBytes - 1) / kPageBytes * kPageBytes;
  }

  void read_dynamic() {
    const auto is_dynamic = [](const ElfSegment& segment) { return segment.type == PT_DYNAMIC; };
    const auto& segments = image_.segments_;
    const auto segment = std::find_if(segments.begin(), segments.end(), is_dynamic);
    if (segment == segments.end() || std::count_if(segments.begin(), segments.end(), is_dynamic) != 1) {
      corrupt("it has no dynamic section, or several");
    }
    const auto offset = image_.file_offset(segment->address, segment->file_bytes);
    if (!offset || *offset != segment->offset)
      corrupt("the dynamic section lies outside the loaded segments");
    image_.tables_.dynamic = *offset;
    const std::uint64_t most = segment->file_bytes / sizeof(Elf64_Dyn);
    for (std::uint64_t i = 0; i < most; ++i) {
      const auto entry = read<Elf64_Dyn>(*offset + i * sizeof(Elf64_Dyn), "a dynamic entry");
      image_.tables_.dynamic_count = i + 1;
      if (entry.d_tag == DT_NULL) return;
      if (entry.d_tag == DT_NEEDED) {
        needed_offsets_.push_back(entry.d_un.d_val);
      } else if (!dynamic_.emplace(entry.d_tag, entry.d_un.d_val).second && entry.d_tag != DT_AUXILIARY) {
        corrupt("dynamic entry {:#x} is there twice", entry.d_tag);
      }
    }
    corrupt("the dynamic section has no end");
  }

  [[nodiscard]] std::optional<std::uint64_t> dynamic(std::int64_t tag) const {
    const auto found = dynamic_.find(tag);
    if (found == dynamic_.end()) return std::nullopt;
    return found->second;
  }

  /// File offset of the table at dynamic entry `tag`, of `size` bytes.
  std::uint64_t table(std::int64_t tag, std::uint64_t size) const {
    const auto offset = image_.file_offset(dynamic_.at(tag), size);
    if (!offset) corrupt("the {} of {} bytes lies outside the loaded segments", tag_name(tag), size);
    return *offset;
  }

  struct Range {
    std::uint64_t offset = 0;
    std::uint64_t count = 0;
  };

  /// A table whose size in bytes is a dynamic entry too. Nothing of either: an empty one.
  Range sized_table(std::int64_t tag, std::int64_t size_tag, std::uint64_t entry_bytes) const {
    const auto size = dynamic(size_tag).value_or(0);
    if (size == 0) return {};
    if (!dynamic(tag) || size % entry_bytes != 0) {
      corrupt("the {} has a size of {} bytes", tag_name(tag), size);
    }
    return {table(tag, size), size / entry_bytes};
  }

  void read_strings() {
    const Range strings = dynamic(DT_STRTAB) ? sized_table(DT_STRTAB, DT_STRSZ, 1) : Range{};
    if (strings.count == 0) corrupt("it has no string table");
    image_.tables_.strings = strings.offset;
    image_.tables_.strings_bytes = strings.count;
    strings_ = as_text(image_.bytes_.subspan(strings.offset, strings.count));
    // The last byte ends whatever string is last, so no name can run out of the table.
    if (strings_.back() != '\0') corrupt("the string table is not terminated");
  }

  [[nodiscard]] std::string_view string_at(std::uint64_t offset) {
    if (offset >= strings_.size()) corrupt("a name lies outside the string table");
    const std::string_view rest = strings_.substr(offset, kMaxNameBytes);
    const std::size_t length = rest.find('\0');
    if (length == std::string_view::npos || (names_bytes_ += length) > kMaxNamesBytes) {
      corrupt("its names are longer than any compiler writes");
    }
    return rest.substr(0, length);
  }

  void read_relocations() {
    if (dynamic(DT_REL).has_value() || dynamic(DT_PLTREL).value_or(DT_RELA) != DT_RELA ||
        dynamic(DT_RELAENT).value_or(sizeof(Elf64_Rela)) != sizeof(Elf64_Rela)) {
      corrupt("it has relocations of a form that x86_64 does not use");
    }
    auto& tables = image_.tables_;
    const Range relocations = sized_table(DT_RELA, DT_RELASZ, sizeof(Elf64_Rela));
    tables.relocations = relocations.offset;
    tables.relocation_count = relocations.count;
    const Range plt = sized_table(DT_JMPREL, DT_PLTRELSZ, sizeof(Elf64_Rela));
    tables.plt_relocations = plt.offset;
    tables.plt_relocation_count = plt.count;
    const Range init = sized_table(DT_INIT_ARRAY, DT_INIT_ARRAYSZ, sizeof(std::uint64_t));
    tables.init_array = init.offset;
    tables.init_array_count = init.count;
    sized_table(DT_FINI_ARRAY, DT_FINI_ARRAYSZ, sizeof(std::uint64_t));
    sized_table(DT_RELR, DT_RELRSZ, sizeof(std::uint64_t));
  }

  [[nodiscard]] bool is_in_memory(std::uint64_t address, std::uint64_t size) const {
    return std::any_of(image_.segments_.begin(), image_.segments_.end(), [&](const ElfSegment& segment) {
      return segment.type == PT_LOAD && address >= segment.address &&
             base::fits(address - segment.address, size, segment.memory_bytes);
    });
  }

  void check_relocations(std::uint64_t offset, std::uint64_t count) const {
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto entry = read<Elf64_Rela>(offset + i * sizeof(Elf64_Rela), "a relocation");
      if (ELF64_R_SYM(entry.r_info) >= image_.tables_.symbol_count) {
        corrupt("relocation {} is to symbol {} of {}", i, ELF64_R_SYM(entry.r_info),
                image_.tables_.symbol_count);
      }
      if (ELF64_R_TYPE(entry.r_info) != R_X86_64_NONE && !is_in_memory(entry.r_offset, 4)) {
        corrupt("relocation {} changes address {:#x}, which is not loaded", i, entry.r_offset);
      }
    }
  }

  /// Symbols that the GNU hash table reaches; nothing where it is not there or empty, for it leaves
  /// out the imports then.
  [[nodiscard]] std::optional<std::uint64_t> gnu_hash_count() const {
    if (!dynamic(DT_GNU_HASH)) return std::nullopt;
    struct Head {
      std::uint32_t bucket_count, first_symbol, bloom_words, bloom_shift;
    };
    const std::uint64_t start = table(DT_GNU_HASH, sizeof(Head));
    const auto head = read<Head>(start, "the GNU hash table");
    const std::uint64_t buckets = start + sizeof(Head) + std::uint64_t{head.bloom_words} * 8;
    const std::uint64_t chains = buckets + std::uint64_t{head.bucket_count} * 4;
    table(DT_GNU_HASH, chains - start);
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < head.bucket_count; ++i) {
      last = std::max<std::uint64_t>(last, read<std::uint32_t>(buckets + i * 4, "a hash bucket"));
    }
    if (last == 0) return std::nullopt;
    if (last < head.first_symbol) corrupt("the GNU hash table names symbol {} before its first", last);
    // The chain of the highest bucket ends at the last symbol, whose hash has the lowest bit set.
    while ((read<std::uint32_t>(chains + (last - head.first_symbol) * 4, "a hash chain") & 1U) == 0) ++last;
    return last + 1;
  }

  [[nodiscard]] std::optional<std::uint64_t> section_symbol_count() const {
    if (header_.e_shentsize != sizeof(Elf64_Shdr)) return std::nullopt;
    for (std::uint64_t i = 0; i < header_.e_shnum; ++i) {
      const auto offset = base::checked_add(header_.e_shoff, i * sizeof(Elf64_Shdr));
      const auto section = offset ? read_at<Elf64_Shdr>(image_.bytes_, *offset) : std::nullopt;
      if (!section) return std::nullopt;
      if (section->sh_type == SHT_DYNSYM && section->sh_addr == dynamic(DT_SYMTAB)) {
        return section->sh_size / sizeof(Elf64_Sym);
      }
    }
    return std::nullopt;
  }

  [[nodiscard]] std::uint64_t symbol_count() const {
    if (const auto count = gnu_hash_count()) return *count;
    if (dynamic(DT_HASH)) {
      // Two words: buckets and chains, one chain a symbol.
      return read<std::uint32_t>(table(DT_HASH, 8) + 4, "the hash table");
    }
    if (const auto count = section_symbol_count()) return *count;
    corrupt("the size of its symbol table cannot be told");
  }

  void read_symbols() {
    if (!dynamic(DT_SYMTAB) || dynamic(DT_SYMENT).value_or(sizeof(Elf64_Sym)) != sizeof(Elf64_Sym)) {
      corrupt("it has no symbol table");
    }
    const std::uint64_t count = symbol_count();
    const auto size = base::checked_mul<std::uint64_t>(count, sizeof(Elf64_Sym));
    if (!size) corrupt("it has {} symbols", count);
    auto& tables = image_.tables_;
    tables.symbols = table(DT_SYMTAB, *size);
    tables.symbol_count = count;
    if (dynamic(DT_VERSYM)) tables.symbol_versions = table(DT_VERSYM, count * sizeof(Elf64_Half));
    image_.symbols_.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto symbol = read<Elf64_Sym>(tables.symbols + i * sizeof(Elf64_Sym), "a symbol");
      image_.symbols_.push_back({string_at(symbol.st_name), symbol.st_value, symbol.st_size, symbol.st_shndx,
                                 symbol.st_info, symbol.st_other});
    }
  }

  void read_needed() {
    for (const std::uint64_t offset : needed_offsets_) image_.needed_.push_back(string_at(offset));
  }

  /// A record of the version needs, at an address that the dynamic linker gets to by the ones before it.
  template <class T>
  std::pair<std::uint64_t, T> version_record(std::uint64_t address) const {
    const auto offset = image_.file_offset(address, sizeof(T));
    if (!offset) corrupt("the version needs reach out of the loaded segments");
    return {*offset, read<T>(*offset, "a version need")};
  }

  void read_version_needs() {
    if (!dynamic(DT_VERNEED)) return;
    std::uint64_t address = dynamic_.at(DT_VERNEED);
    image_.tables_.version_needs = table(DT_VERNEED, sizeof(Elf64_Verneed));
    std::size_t total = 0;
    // Links only go forward, so a chain ends at the end of memory at the latest; chains that share
    // their links could still be long together.
    for (;;) {
      const auto [offset, need] = version_record<Elf64_Verneed>(address);
      ElfVersionNeed& library = image_.version_needs_.emplace_back();
      library.offset = offset;
      library.next = need.vn_next;
      library.library = string_at(need.vn_file);
      std::uint64_t version_address = address + need.vn_aux;
      for (std::uint32_t i = 0; i < need.vn_cnt; ++i) {
        const Elf64_Vernaux version = version_record<Elf64_Vernaux>(version_address).second;
        library.versions.push_back(string_at(version.vna_name));
        version_address += version.vna_next;
        if (++total > kMaxVersions || (version.vna_next == 0 && i + 1 != need.vn_cnt)) {
          corrupt("the versions needed of {} form a loop", library.library);
        }
      }
      if (need.vn_next == 0) break;
      address += need.vn_next;
      if (++total > kMaxVersions) corrupt("the version needs form a loop");
    }
    if (dynamic(DT_VERNEEDNUM).value_or(0) != image_.version_needs_.size()) {
      corrupt("it has {} version needs and says {}", image_.version_needs_.size(),
              dynamic(DT_VERNEEDNUM).value_or(0));
    }
  }

  std::string_view what_;
  ElfImage image_;
  Elf64_Ehdr header_{};
  std::map<std::int64_t, std::uint64_t> dynamic_;
  std::vector<std::uint64_t> needed_offsets_;
  std::string_view strings_;
  std::size_t names_bytes_ = 0;
};

ElfImage ElfImage::parse(std::span<const std::byte> bytes, std::string_view what) {
  return ElfParser(bytes, what).parse();
}

}  // namespace penstock::package
