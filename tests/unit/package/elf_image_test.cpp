#include "package/elf_image.hpp"

#include "package_builder.hpp"

#include <elf.h>

#include <algorithm>

namespace penstock::package::test {
namespace {

const std::string& library() {
  static const std::string bytes = real_entry("torch-2.15/mlp.pt2", ".wrapper.so");
  return bytes;
}

ElfImage parse(const std::string& bytes) {
  return ElfImage::parse(std::as_bytes(std::span(bytes)), "lib.so");
}

template <class T>
T get(const std::string& bytes, std::size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

/// Where the entry of this tag is in the library.
std::size_t dynamic_entry(std::int64_t tag) {
  const ElfImage image = parse(library());
  for (std::uint64_t i = 0; i < image.tables().dynamic_count; ++i) {
    const std::size_t offset = image.tables().dynamic + i * sizeof(Elf64_Dyn);
    if (get<Elf64_Dyn>(library(), offset).d_tag == tag) return offset;
  }
  ADD_FAILURE() << "no dynamic entry " << tag;
  return 0;
}

/// The library with the value of one dynamic entry changed.
std::string with_dynamic(std::int64_t tag, std::uint64_t value) {
  std::string bytes = library();
  const ElfImage image = parse(library());
  for (std::uint64_t i = 0; i < image.tables().dynamic_count; ++i) {
    const std::size_t offset = image.tables().dynamic + i * sizeof(Elf64_Dyn);
    if (get<Elf64_Dyn>(bytes, offset).d_tag == tag) patch(bytes, offset + 8, value, 8);
  }
  EXPECT_NE(bytes, library());
  return bytes;
}

void expect_corrupt(const std::string& bytes, std::string_view words) {
  expect_error(ErrorCode::Corrupt, words, [&] { parse(bytes); });
}

void expect_incompatible(const std::string& bytes, std::string_view words) {
  expect_error(ErrorCode::Incompatible, words, [&] { parse(bytes); });
}

TEST(ElfImage, ReadsAModelLibrary) {
  const ElfImage image = parse(library());
  const auto needed = image.needed();
  EXPECT_NE(std::find(needed.begin(), needed.end(), "libtorch_cpu.so"), needed.end());
  const ElfSymbol* import = image.find("aoti_torch_cpu_addmm_out");
  ASSERT_NE(import, nullptr);
  EXPECT_TRUE(import->is_import());
  const ElfSymbol* run = image.find("AOTInductorModelContainerRun");
  ASSERT_NE(run, nullptr);
  EXPECT_FALSE(run->is_import());
  EXPECT_TRUE(image.file_offset(run->value, run->size));
  EXPECT_EQ(image.find("no_such_symbol"), nullptr);
  EXPECT_EQ(image.bytes().size(), library().size());
  bool has_glibc = false;
  for (const ElfVersionNeed& need : image.version_needs())
    has_glibc = has_glibc || need.library == "libc.so.6";
  EXPECT_TRUE(has_glibc);
  const auto segments = image.segments();
  EXPECT_TRUE(std::any_of(segments.begin(), segments.end(), [](auto& s) { return s.type == PT_GNU_STACK; }));
  EXPECT_TRUE(std::any_of(segments.begin(), segments.end(), [](auto& s) { return s.type == PT_TLS; }));
  const auto& tables = image.tables();
  EXPECT_EQ(get<Elf64_Sym>(library(), tables.symbols).st_name, 0U);
  EXPECT_GT(tables.relocation_count, 0U);
  EXPECT_GT(tables.plt_relocation_count, 0U);
  EXPECT_GT(tables.init_array_count, 0U);
  EXPECT_GT(tables.symbol_versions, 0U);
}

TEST(ElfImage, AgreesWithTheSectionHeadersOnTheSymbolCount) {
  const auto header = get<Elf64_Ehdr>(library(), 0);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const auto section = get<Elf64_Shdr>(library(), header.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type == SHT_DYNSYM) count = section.sh_size / sizeof(Elf64_Sym);
  }
  EXPECT_EQ(parse(library()).symbols().size(), count);
}

TEST(ElfImage, NeedsNoSectionHeaders) {
  std::string bytes = library();
  patch(bytes, offsetof(Elf64_Ehdr, e_shoff), UINT64_MAX, 8);
  EXPECT_EQ(parse(bytes).symbols().size(), parse(library()).symbols().size());
}

TEST(ElfImage, FindsFileOffsetsOnlyInsideOfASegment) {
  const ElfImage image = parse(library());
  for (const ElfSegment& segment : image.segments()) {
    if (segment.type != PT_LOAD) continue;
    EXPECT_EQ(image.file_offset(segment.address, segment.file_bytes), segment.offset);
    EXPECT_FALSE(image.file_offset(segment.address, segment.file_bytes + 1));
  }
  EXPECT_FALSE(image.file_offset(UINT64_MAX, 1));
  EXPECT_FALSE(image.file_offset(0, UINT64_MAX));
}

TEST(ElfArchitecture, IsNamedAsTheMachineNamesItself) {
  const auto named = [](std::string bytes) { return elf_architecture(std::as_bytes(std::span(bytes))); };
  const auto for_machine = [&](std::uint16_t machine) {
    std::string bytes = library();
    patch(bytes, offsetof(Elf64_Ehdr, e_machine), machine, 2);
    return named(bytes);
  };
  EXPECT_EQ(named(library()), "x86_64");
  EXPECT_EQ(for_machine(EM_AARCH64), "aarch64");
  EXPECT_EQ(for_machine(EM_RISCV), "riscv64");
  EXPECT_EQ(for_machine(EM_386), "i686");
  EXPECT_EQ(for_machine(9999), "ELF machine 9999");
  std::string big = library();
  big[EI_DATA] = ELFDATA2MSB;
  patch(big, offsetof(Elf64_Ehdr, e_machine), __builtin_bswap16(EM_S390), 2);
  EXPECT_EQ(named(big), "s390x");
  EXPECT_EQ(named(library().substr(0, 19)), "");
  EXPECT_EQ(named("not a library, but long enough for one"), "");
}

TEST(ElfImage, RefusesOtherMachinesByName) {
  std::string bytes = library();
  patch(bytes, offsetof(Elf64_Ehdr, e_machine), EM_AARCH64, 2);
  expect_incompatible(bytes, "lib.so is for aarch64");
  bytes = library();
  bytes[EI_CLASS] = ELFCLASS32;
  expect_incompatible(bytes, "32-bit");
  bytes = library();
  bytes[EI_DATA] = ELFDATA2MSB;
  expect_incompatible(bytes, "big-endian");
  bytes = library();
  patch(bytes, offsetof(Elf64_Ehdr, e_type), ET_REL, 2);
  expect_incompatible(bytes, "not a shared library");
  expect_incompatible("\xcf\xfa\xed\xfe rest", "macOS");
  expect_incompatible("MZ rest", "Windows");
  expect_corrupt("not a library", "not an ELF");
  expect_corrupt("", "not an ELF");
}

TEST(ElfImage, RefusesLibrariesCutShortAnywhere) {
  const ElfImage image = parse(library());
  std::uint64_t end = 0;  // of what is loaded: debug sections follow
  for (const ElfSegment& segment : image.segments()) {
    if (segment.type == PT_LOAD) end = std::max(end, segment.offset + segment.file_bytes);
  }
  for (std::uint64_t i = 0; i < 256; ++i) EXPECT_THROW(parse(library().substr(0, end * i / 256)), Error) << i;
  expect_corrupt(library().substr(0, 30), "truncated");
  expect_corrupt(library().substr(0, end - 1), "truncated");
}

TEST(ElfImage, RefusesTablesOutsideOfTheFile) {
  for (const std::int64_t tag :
       std::initializer_list<std::int64_t>{DT_STRTAB, DT_SYMTAB, DT_GNU_HASH, DT_RELA, DT_JMPREL, DT_VERSYM,
                                           DT_VERNEED, DT_INIT_ARRAY, DT_FINI_ARRAY}) {
    expect_corrupt(with_dynamic(tag, 0x7fffffff0000), "outside the loaded segments");
    expect_corrupt(with_dynamic(tag, UINT64_MAX), "outside the loaded segments");
  }
  for (const std::int64_t tag :
       std::initializer_list<std::int64_t>{DT_STRSZ, DT_RELASZ, DT_PLTRELSZ, DT_INIT_ARRAYSZ}) {
    expect_corrupt(with_dynamic(tag, std::uint64_t{24} << 40U), "outside the loaded segments");
  }
  expect_corrupt(with_dynamic(DT_RELASZ, 25), "has a size of 25 bytes");
  expect_corrupt(with_dynamic(DT_VERNEEDNUM, 1), "and says 1");
  expect_corrupt(with_dynamic(DT_SYMENT, 16), "no symbol table");
  expect_corrupt(with_dynamic(DT_PLTREL, DT_REL), "does not use");
}

TEST(ElfImage, RefusesStringsThatDoNotEnd) {
  const ElfImage image = parse(library());
  std::string bytes = library();
  bytes[image.tables().strings + image.tables().strings_bytes - 1] = 'x';
  expect_corrupt(bytes, "not terminated");
  bytes = library();
  patch(bytes, image.tables().symbols + sizeof(Elf64_Sym), 0xfffffff0, 4);
  expect_corrupt(bytes, "outside the string table");
}

TEST(ElfImage, RefusesVersionNeedsThatLoop) {
  const ElfImage image = parse(library());
  std::string bytes = library();
  const std::size_t need = image.tables().version_needs;
  patch(bytes, need + offsetof(Elf64_Verneed, vn_cnt), 0xffff, 2);
  expect_corrupt(bytes, "loop");
  // A chain that ends, but long: records within the code, each four bytes after the one before it.
  const auto segments = image.segments();
  const auto code = std::find_if(segments.begin(), segments.end(), [](const ElfSegment& segment) {
    return segment.type == PT_LOAD && (segment.flags & PF_X) != 0;
  });
  ASSERT_GT(code->file_bytes, 50'000U);
  for (std::size_t i = 0; i < 12'000; ++i) patch(bytes, code->offset + i * 4, 4, 4);
  patch(bytes, need + offsetof(Elf64_Verneed, vn_cnt), 11'990, 2);
  const std::uint64_t needs_address = get<Elf64_Dyn>(bytes, dynamic_entry(DT_VERNEED)).d_un.d_val;
  patch(bytes, need + offsetof(Elf64_Verneed, vn_aux), code->address - needs_address, 4);
  expect_corrupt(bytes, "loop");
}

TEST(ElfImage, RefusesVersionNeedsThatAreNotLoaded) {
  const ElfImage image = parse(library());
  // Bytes of the file after all that is loaded, by offset and by address.
  std::uint64_t end = 0;
  for (const ElfSegment& segment : image.segments()) {
    if (segment.type == PT_LOAD) end = std::max(end, segment.address + segment.memory_bytes);
  }
  ASSERT_LT(end + 64, library().size());
  const std::size_t last = image.version_needs().back().offset;
  const std::size_t strings = image.tables().strings;
  std::string bytes = library();
  patch(bytes, last + offsetof(Elf64_Verneed, vn_next), end - last, 4);
  patch(bytes, end, 1, 2);  // A record without versions, of a library that we stand in for.
  patch(bytes, end + offsetof(Elf64_Verneed, vn_cnt), 0, 2);
  patch(bytes, end + offsetof(Elf64_Verneed, vn_file), library().find("libtorch_cpu.so", strings) - strings,
        4);
  patch(bytes, end + offsetof(Elf64_Verneed, vn_aux), 0, 8);
  patch(bytes, dynamic_entry(DT_VERNEEDNUM) + 8, image.version_needs().size() + 1, 8);
  expect_corrupt(bytes, "out of the loaded segments");
  bytes = library();
  patch(bytes, last + offsetof(Elf64_Verneed, vn_next), 0xffffffff, 4);
  expect_corrupt(bytes, "out of the loaded segments");
  bytes = library();
  patch(bytes, last + offsetof(Elf64_Verneed, vn_aux), end - last, 4);
  expect_corrupt(bytes, "out of the loaded segments");
}

TEST(ElfImage, RefusesTablesThatShareBytes) {
  const ElfImage image = parse(library());
  const auto address_of = [&](std::int64_t tag) {
    return get<Elf64_Dyn>(library(), dynamic_entry(tag)).d_un.d_val;
  };
  // What is bound would be written over them.
  for (const std::int64_t table : {DT_STRTAB, DT_SYMTAB}) {
    expect_corrupt(with_dynamic(DT_VERSYM, address_of(table)), "overlap");
  }
  expect_corrupt(with_dynamic(DT_VERSYM, address_of(DT_VERNEED) - 4), "overlap");
  const auto segments = image.segments();
  const auto dynamic = std::find_if(segments.begin(), segments.end(),
                                    [](const ElfSegment& segment) { return segment.type == PT_DYNAMIC; });
  expect_corrupt(with_dynamic(DT_VERSYM, dynamic->address + 16), "overlap");
}

TEST(ElfImage, RefusesRelocationsOfWhatIsNotThere) {
  const ElfImage image = parse(library());
  std::string bytes = library();
  patch(bytes, image.tables().relocations, 0x7fffffff0000, 8);
  expect_corrupt(bytes, "not loaded");
  bytes = library();
  patch(bytes, image.tables().plt_relocations + 12, 0xfffff, 4);
  expect_corrupt(bytes, "symbol 1048575");
}

TEST(ElfImage, RefusesSegmentsThatCannotBeMapped) {
  const auto header = get<Elf64_Ehdr>(library(), 0);
  const auto with_segment = [&](std::size_t index, std::size_t field, std::uint64_t value) {
    std::string bytes = library();
    patch(bytes, header.e_phoff + index * sizeof(Elf64_Phdr) + field, value, 8);
    return bytes;
  };
  expect_corrupt(with_segment(0, offsetof(Elf64_Phdr, p_filesz), UINT64_MAX), "ends after the file");
  expect_corrupt(with_segment(0, offsetof(Elf64_Phdr, p_memsz), 1), "bytes of 1");
  expect_corrupt(with_segment(0, offsetof(Elf64_Phdr, p_memsz), UINT64_MAX), "a segment at");
  expect_corrupt(with_segment(1, offsetof(Elf64_Phdr, p_vaddr), 0), "overlaps");
  expect_corrupt(with_segment(1, offsetof(Elf64_Phdr, p_vaddr), 0x19001), "cannot be mapped");
  std::string bytes = library();
  patch(bytes, offsetof(Elf64_Ehdr, e_phnum), 0, 2);
  expect_corrupt(bytes, "0 program headers");
  bytes = library();
  patch(bytes, offsetof(Elf64_Ehdr, e_phoff), UINT64_MAX - 8, 8);
  expect_corrupt(bytes, "outside the file");
}

TEST(ElfImage, RefusesDynamicSectionsThatLie) {
  const ElfImage image = parse(library());
  std::string bytes = library();
  const std::size_t last = image.tables().dynamic + (image.tables().dynamic_count - 1) * sizeof(Elf64_Dyn);
  for (std::size_t offset = last; get<Elf64_Dyn>(bytes, offset).d_tag == DT_NULL;
       offset += sizeof(Elf64_Dyn)) {
    patch(bytes, offset, DT_NEEDED, 8);
  }
  expect_corrupt(bytes, "");
  bytes = library();
  patch(bytes, last, DT_STRTAB, 8);
  expect_corrupt(bytes, "is there twice");
}

}  // namespace
}  // namespace penstock::package::test
