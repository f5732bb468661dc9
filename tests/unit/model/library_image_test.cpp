#include "model/library_image.hpp"

#include "model/generated_checks.hpp"
#include "model/loaded_library.hpp"
#include "package/archive.hpp"
#include "package/elf_image.hpp"
#include "package/manifest.hpp"
#include "package/replaced_libraries.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <string>

namespace penstock::model {
namespace {

/// The library of a test package, with the bytes that its image looks into.
struct Library {
  explicit Library(const std::string& package)
      : archive(package::Archive::open(std::filesystem::path(PENSTOCK_TEST_PACKAGES) / package)),
        bytes(archive.read(package::read_manifest(archive).models[0].library)),
        elf(package::ElfImage::parse(bytes.bytes, package)) {}

  package::Archive archive;
  package::SharedBytes bytes;
  package::ElfImage elf;
};

/// The same bytes, with a tag of its own for each entry that is to be ignored: our reader, stricter than
/// the dynamic linker, takes none twice.
std::vector<std::byte> readable(const LibraryImage& image, const package::ElfImage& elf) {
  std::vector<std::byte> bytes(image.bytes.begin(), image.bytes.end());
  for (std::uint64_t index = 0; index < elf.tables().dynamic_count; ++index) {
    std::byte* const at = bytes.data() + elf.tables().dynamic + index * sizeof(Elf64_Dyn);
    Elf64_Dyn entry;
    std::memcpy(&entry, at, sizeof entry);
    if (entry.d_tag != 0x6ffffef0) continue;
    entry.d_tag = static_cast<Elf64_Sxword>(0x6ffffe10 + index);
    std::memcpy(at, &entry, sizeof entry);
  }
  return bytes;
}

class LibraryImageOf : public ::testing::TestWithParam<const char*> {
 protected:
  Library library_{GetParam()};
  LibraryImage image_ = prepare_library(library_.elf, "library", {});
  std::vector<std::byte> readable_ = readable(image_, library_.elf);
  package::ElfImage prepared_ = package::ElfImage::parse(readable_, "prepared");
};

bool is_hidden(const package::ElfSymbol& symbol) { return ELF64_ST_VISIBILITY(symbol.other) == STV_HIDDEN; }

TEST_P(LibraryImageOf, BindsWhatWeAnswerToHiddenAbsoluteSymbols) {
  std::size_t bound = 0;
  ASSERT_EQ(prepared_.symbols().size(), library_.elf.symbols().size());
  for (std::size_t i = 0; i < prepared_.symbols().size(); ++i) {
    const package::ElfSymbol& before = library_.elf.symbols()[i];
    const package::ElfSymbol& after = prepared_.symbols()[i];
    if (!before.is_import()) continue;
    SCOPED_TRACE(before.name);
    const shim::Import import = shim::resolve_import(before.name, {});
    if (import.kind == shim::ImportKind::System) {
      EXPECT_TRUE(after.is_import());
      EXPECT_EQ(after.other, before.other);
      continue;
    }
    ++bound;
    EXPECT_EQ(after.section, SHN_ABS);
    EXPECT_EQ(after.value, reinterpret_cast<std::uintptr_t>(import.address));
    EXPECT_TRUE(is_hidden(after));
  }
  EXPECT_GT(bound, 10u);
}

TEST_P(LibraryImageOf, LeavesNoNameOfTorchToTheDynamicLinker) {
  for (const package::ElfSymbol& symbol : prepared_.symbols()) {
    if (!symbol.is_import()) continue;
    for (const char* prefix : {"aoti_", "AOTI", "GOMP_", "omp_", "Sleef_", "cuda", "cu"}) {
      EXPECT_FALSE(symbol.name.starts_with(prefix)) << symbol.name;
    }
    EXPECT_NE(symbol.name, "getenv");
    EXPECT_NE(symbol.name, "__cxa_thread_atexit");
  }
}

TEST_P(LibraryImageOf, HasNoUniqueAndNoVisibleExports) {
  std::size_t unique_before = 0;
  for (const package::ElfSymbol& symbol : library_.elf.symbols()) {
    unique_before += ELF64_ST_BIND(symbol.info) == STB_GNU_UNIQUE ? 1 : 0;
  }
  EXPECT_GT(unique_before, 0u);
  for (const package::ElfSymbol& symbol : prepared_.symbols()) {
    EXPECT_NE(ELF64_ST_BIND(symbol.info), STB_GNU_UNIQUE) << symbol.name;
    if (!symbol.name.empty() && !symbol.is_import()) {
      EXPECT_TRUE(is_hidden(symbol)) << symbol.name;
    }
  }
}

TEST_P(LibraryImageOf, NeedsNoLibraryThatWeStandInFor) {
  EXPECT_TRUE(std::ranges::any_of(library_.elf.needed(), package::is_replaced_library));
  EXPECT_FALSE(prepared_.needed().empty());
  for (const std::string_view needed : prepared_.needed())
    EXPECT_FALSE(package::is_replaced_library(needed)) << needed;
  std::vector<std::string_view> kept;
  std::ranges::copy_if(library_.elf.needed(), std::back_inserter(kept),
                       [](std::string_view name) { return !package::is_replaced_library(name); });
  EXPECT_TRUE(std::ranges::equal(prepared_.needed(), kept));
}

TEST_P(LibraryImageOf, NeedsNoVersionOfALibraryThatIsGone) {
  std::vector<std::string_view> kept;
  for (const package::ElfVersionNeed& need : library_.elf.version_needs()) {
    if (!package::is_replaced_library(need.library)) kept.push_back(need.library);
  }
  std::vector<std::string_view> left;
  for (const package::ElfVersionNeed& need : prepared_.version_needs()) left.push_back(need.library);
  EXPECT_EQ(left, kept);
  EXPECT_FALSE(left.empty());
}

TEST_P(LibraryImageOf, AsksForNoExecutableStack) {
  const auto flags_of_stack = [](const package::ElfImage& elf) -> std::optional<std::uint32_t> {
    for (const package::ElfSegment& segment : elf.segments()) {
      if (segment.type == PT_GNU_STACK) return segment.flags;
    }
    return std::nullopt;
  };
  EXPECT_EQ(flags_of_stack(library_.elf).value_or(0) & PF_X, static_cast<std::uint32_t>(PF_X));
  ASSERT_TRUE(flags_of_stack(prepared_).has_value());
  EXPECT_EQ(*flags_of_stack(prepared_), static_cast<std::uint32_t>(PF_R | PF_W));
}

TEST(LibraryImage, IsRefusedWhereNothingSaysWhatStacksItWants) {
  const Library library("torch-2.15/add.pt2");
  std::vector<std::byte> bytes(library.elf.bytes().begin(), library.elf.bytes().end());
  for (std::size_t i = 0; i < library.elf.segments().size(); ++i) {
    if (library.elf.segments()[i].type != PT_GNU_STACK) continue;
    const std::uint32_t none = PT_NULL;
    std::memcpy(bytes.data() + library.elf.tables().program_headers + i * sizeof(Elf64_Phdr), &none,
                sizeof none);
  }
  const package::ElfImage without = package::ElfImage::parse(bytes, "without");
  try {
    prepare_library(without, "without", {});
    ADD_FAILURE() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Incompatible);
    EXPECT_NE(std::string(error.what()).find("noexecstack"), std::string::npos) << error.what();
  }
}

TEST_P(LibraryImageOf, ListsTheEntryPoints) {
  std::set<std::string> names;
  for (const EntryPoint& entry : image_.entry_points) {
    EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
    ASSERT_NE(library_.elf.find(entry.name), nullptr);
    EXPECT_EQ(entry.address, library_.elf.find(entry.name)->value);
  }
  for (const char* name : {"AOTInductorModelContainerCreateWithDevice", "AOTInductorModelContainerDelete",
                           "AOTInductorModelContainerRunSingleThreaded"}) {
    EXPECT_TRUE(names.contains(name)) << name;
  }
}

TEST_P(LibraryImageOf, IsSmallerThanTheFileAndLeavesItAlone) {
  EXPECT_LT(image_.bytes.size(), library_.elf.bytes().size());
  const Library again(GetParam());
  EXPECT_TRUE(std::ranges::equal(again.bytes.bytes, library_.bytes.bytes));
}

TEST_P(LibraryImageOf, LoadsUnderNamesThatNobodySeesAndUnloads) {
  const auto mapped = [] {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);)
      count += line.find("penstock-model") != std::string::npos ? 1 : 0;
    return count;
  };
  const std::size_t before = mapped();
  {
    const LoadedLibrary first(image_, "first");
    const LoadedLibrary second(image_, "second");
    EXPECT_GT(mapped(), before);
    using Delete = std::int32_t(void*);
    auto* const in_first = first.find<Delete>("AOTInductorModelContainerDelete");
    auto* const in_second = second.find<Delete>("AOTInductorModelContainerDelete");
    ASSERT_NE(in_first, nullptr);
    EXPECT_NE(in_first, in_second);
    EXPECT_EQ(first.find<Delete>("AOTInductorNoSuchFunction"), nullptr);
    EXPECT_EQ(::dlsym(RTLD_DEFAULT, "AOTInductorModelContainerDelete"), nullptr);
    const auto elsewhere = first.at(0);
    EXPECT_LT(elsewhere, reinterpret_cast<void*>(in_first));
  }
  EXPECT_EQ(mapped(), before);
}

TEST_P(LibraryImageOf, HasASwitchForItsChecks) {
  const auto address = find_check_switch(library_.elf);
  ASSERT_TRUE(address.has_value());
  // Without its symbol table nobody knows where.
  EXPECT_EQ(find_check_switch(prepared_), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(Torch, LibraryImageOf,
                         ::testing::Values("torch-2.9/mlp.pt2", "torch-2.11/mlp.pt2", "torch-2.13/mlp.pt2",
                                           "torch-2.15/mlp.pt2", "torch-2.15/threads_all.pt2"),
                         [](const auto& given) {
                           std::string name = given.param;
                           name.resize(name.find(".pt2"));
                           for (char& letter : name)
                             letter = std::isalnum(static_cast<unsigned char>(letter)) ? letter : '_';
                           return name;
                         });

TEST(LibraryImage, NamesNoMoreOfAMissingFunctionThanCanBeRead) {
  const Library library("torch-2.15/unsupported_ops.pt2");
  std::vector<std::byte> bytes(library.elf.bytes().begin(), library.elf.bytes().end());
  // Each import has the name that goes on to where all names end: from "aoti_" on without a zero.
  const auto& tables = library.elf.tables();
  const auto missing = std::ranges::find_if(library.elf.symbols(), [](const package::ElfSymbol& symbol) {
    return symbol.is_import() && shim::resolve_import(symbol.name, {}).kind == shim::ImportKind::Missing;
  });
  const auto start = reinterpret_cast<const std::byte*>(missing->name.data()) - library.elf.bytes().data();
  const std::uint64_t end = tables.strings + tables.strings_bytes - 1;
  ASSERT_GT(end - start, 5'000U);
  std::fill(bytes.begin() + start + 5, bytes.begin() + static_cast<std::ptrdiff_t>(end), std::byte{'x'});
  try {
    prepare_library(package::ElfImage::parse(bytes, "long"), "long", {});
    ADD_FAILURE() << "was prepared";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported) << error.what();
    EXPECT_LT(std::string_view(error.what()).size(), 3'000U);
  }
}

TEST(LibraryImage, NamesAllMissingFunctionsAtOnce) {
  const Library library("torch-2.15/unsupported_ops.pt2");
  std::vector<std::string> missing;
  for (const package::ElfSymbol& symbol : library.elf.symbols()) {
    if (symbol.is_import() && shim::resolve_import(symbol.name, {}).kind == shim::ImportKind::Missing) {
      missing.emplace_back(symbol.name);
    }
  }
  ASSERT_GE(missing.size(), 3u);
  try {
    prepare_library(library.elf, "unsupported_ops.pt2", {});
    FAIL() << "was prepared";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    const std::string text = error.what();
    EXPECT_NE(text.find("unsupported_ops.pt2 needs " + std::to_string(missing.size()) + " functions"),
              std::string::npos)
        << text;
    for (const std::string& name : missing)
      EXPECT_NE(text.find(name), std::string::npos) << name << " in " << text;
  }
}

}  // namespace
}  // namespace penstock::model
