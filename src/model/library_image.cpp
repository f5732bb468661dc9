#include "model/library_image.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "package/replaced_libraries.hpp"

#include <fmt/format.h>

#include <elf.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace penstock::model {
namespace {

using package::ElfImage;
using package::ElfSymbol;

/// An unknown tag in the range that the dynamic linker ignores.
constexpr Elf64_Sxword kIgnoredTag = 0x6ffffef0;

/// The bytes of an image while it is rewritten. Every table was found within the loaded segments, all of
/// which are copied; what is not there all the same is refused rather than touched.
class Rewrite {
 public:
  Rewrite(std::span<std::byte> bytes, std::string_view what) : bytes_(bytes), what_(what) {}

  template <class T>
  [[nodiscard]] T load(std::uint64_t offset) const {
    T value;
    std::memcpy(&value, at(offset, sizeof value), sizeof value);
    return value;
  }

  template <class T>
  void store(std::uint64_t offset, const T& value) const {
    std::memcpy(at(offset, sizeof value), &value, sizeof value);
  }

  [[nodiscard]] std::string_view what() const noexcept { return what_; }

 private:
  [[nodiscard]] std::byte* at(std::uint64_t offset, std::uint64_t size) const {
    if (!base::fits(offset, size, bytes_.size())) {
      base::fail(ErrorCode::Corrupt,
                 "{}: a table of the model library at byte {} is not loaded; export the package again", what_,
                 offset);
    }
    return bytes_.data() + offset;
  }

  std::span<std::byte> bytes_;
  std::string_view what_;
};

/// Makes a symbol one that the dynamic linker binds to its own entry, without looking it up.
void hide(Elf64_Sym& symbol) noexcept {
  symbol.st_other = static_cast<unsigned char>((symbol.st_other & ~3U) | STV_HIDDEN);
  if (ELF64_ST_BIND(symbol.st_info) == STB_GNU_UNIQUE) {
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, ELF64_ST_TYPE(symbol.st_info));
  }
}

struct Unanswered {
  std::vector<std::string> functions;
  std::vector<std::string> providers;
};

/// The names for a message, which is to stay one that can be read: whoever made the library chose them.
std::string shown(const std::vector<std::string>& names) {
  constexpr std::size_t kMostNames = 200;
  constexpr std::size_t kMostNameBytes = 200;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMostNames); ++i) {
    text += (i == 0 ? "" : ", ") + names[i].substr(0, kMostNameBytes);
  }
  if (names.size() > kMostNames) text += fmt::format(" and {} more", names.size() - kMostNames);
  return text;
}

[[noreturn]] void refuse(Unanswered& unanswered, std::string_view what) {
  std::sort(unanswered.functions.begin(), unanswered.functions.end());
  std::sort(unanswered.providers.begin(), unanswered.providers.end());
  unanswered.providers.erase(std::unique(unanswered.providers.begin(), unanswered.providers.end()),
                             unanswered.providers.end());
  std::string advice;
  for (const std::string& provider : unanswered.providers) {
    if (provider == "SLEEF") {
      advice += " Install SLEEF (Debian, Ubuntu: apt install libsleef3).";
    } else if (provider == "libgomp") {
      advice += " Install GCC's OpenMP runtime (Debian, Ubuntu: apt install libgomp1).";
    } else {
      advice += " `penstock inspect` shows what a package needs.";
    }
  }
  base::fail(ErrorCode::Unsupported, "{} needs {} function{} that {} not there: {}.{}", what,
             unanswered.functions.size(), unanswered.functions.size() == 1 ? "" : "s",
             unanswered.functions.size() == 1 ? "is" : "are", shown(unanswered.functions), advice);
}

void bind_symbols(const Rewrite& rewrite, const ElfImage& elf, const shim::ImportOptions& options,
                  std::vector<EntryPoint>& entry_points) {
  Unanswered unanswered;
  const ElfImage::Tables& tables = elf.tables();
  for (std::uint64_t index = 1; index < tables.symbol_count; ++index) {
    const ElfSymbol& known = elf.symbols()[index];
    if (known.name.empty()) continue;
    const std::uint64_t offset = tables.symbols + index * sizeof(Elf64_Sym);
    auto symbol = rewrite.load<Elf64_Sym>(offset);
    if (known.is_import()) {
      const shim::Import import = shim::resolve_import(known.name, options);
      if (import.kind == shim::ImportKind::System) continue;
      if (import.kind == shim::ImportKind::Missing) {
        unanswered.functions.emplace_back(known.name);
        unanswered.providers.emplace_back(import.provider);
        continue;
      }
      symbol.st_shndx = SHN_ABS;
      symbol.st_value = reinterpret_cast<std::uintptr_t>(import.address);
      // Its version was that of a library that is not asked any more.
      if (tables.symbol_versions != 0) {
        rewrite.store<Elf64_Half>(tables.symbol_versions + index * sizeof(Elf64_Half), VER_NDX_GLOBAL);
      }
    } else if (known.name.starts_with("AOTInductor")) {
      entry_points.push_back({std::string(known.name), known.value});
    }
    hide(symbol);
    rewrite.store(offset, symbol);
  }
  if (!unanswered.functions.empty()) refuse(unanswered, rewrite.what());
}

/// Takes the version needs of replaced libraries out of their chain: the dynamic linker insists on
/// finding each library that is named there.
void drop_version_needs(const Rewrite& rewrite, const ElfImage& elf) {
  const ElfImage::Tables& tables = elf.tables();
  // The last record that stays, and the bytes from it to the next one that does.
  const package::ElfVersionNeed* kept = nullptr;
  std::uint64_t to_next = 0;
  std::uint64_t dropped_from_front = 0;
  std::uint64_t dropped = 0;
  for (const package::ElfVersionNeed& need : elf.version_needs()) {
    if (!package::is_replaced_library(need.library)) {
      kept = &need;
      to_next = need.next;
      continue;
    }
    ++dropped;
    if (kept == nullptr) {
      dropped_from_front += need.next;
      continue;
    }
    to_next = need.next == 0 ? 0 : to_next + need.next;
    if (to_next > UINT32_MAX) {
      base::fail(ErrorCode::Corrupt,
                 "{}: the version needs of the model library are too far apart; export the package again",
                 rewrite.what());
    }
    auto record = rewrite.load<Elf64_Verneed>(kept->offset);
    record.vn_next = static_cast<Elf64_Word>(to_next);
    rewrite.store(kept->offset, record);
  }
  if (dropped == 0) return;
  for (std::uint64_t index = 0; index < tables.dynamic_count; ++index) {
    const std::uint64_t at = tables.dynamic + index * sizeof(Elf64_Dyn);
    auto entry = rewrite.load<Elf64_Dyn>(at);
    if (entry.d_tag == DT_VERNEED) entry.d_un.d_ptr += dropped_from_front;
    if (entry.d_tag == DT_VERNEEDNUM) entry.d_un.d_val -= dropped;
    if (dropped == elf.version_needs().size() &&
        (entry.d_tag == DT_VERNEED || entry.d_tag == DT_VERNEEDNUM || entry.d_tag == DT_VERSYM)) {
      entry.d_tag = kIgnoredTag;
    }
    rewrite.store(at, entry);
  }
}

void drop_needs(const Rewrite& rewrite, const ElfImage& elf) {
  const ElfImage::Tables& tables = elf.tables();
  std::size_t need = 0;
  for (std::uint64_t index = 0; index < tables.dynamic_count; ++index) {
    const std::uint64_t at = tables.dynamic + index * sizeof(Elf64_Dyn);
    auto entry = rewrite.load<Elf64_Dyn>(at);
    if (entry.d_tag == DT_NULL) break;
    if (entry.d_tag != DT_NEEDED || need == elf.needed().size()) continue;
    if (package::is_replaced_library(elf.needed()[need++])) {
      entry.d_tag = kIgnoredTag;
      rewrite.store(at, entry);
    }
  }
}

void clear_executable_stack(const Rewrite& rewrite, const ElfImage& elf) {
  bool found = false;
  for (std::size_t index = 0; index < elf.segments().size(); ++index) {
    if (elf.segments()[index].type != PT_GNU_STACK) continue;
    found = true;
    const std::uint64_t at = elf.tables().program_headers + index * sizeof(Elf64_Phdr);
    auto header = rewrite.load<Elf64_Phdr>(at);
    header.p_flags = PF_R | PF_W;
    rewrite.store(at, header);
  }
  // The dynamic linker takes that as a wish for executable stacks in the whole process.
  if (!found) {
    base::fail(
        ErrorCode::Incompatible,
        "{}: the model library has no PT_GNU_STACK header, which means that it wants executable stacks; "
        "link it with -z noexecstack",
        rewrite.what());
  }
}

/// How much of the file the dynamic linker reads: section headers and debug information are left out
/// of the copy, which for a small model is most of it.
std::size_t mapped_bytes(const ElfImage& elf) {
  std::uint64_t end = elf.tables().program_headers + elf.segments().size() * sizeof(Elf64_Phdr);
  for (const package::ElfSegment& segment : elf.segments()) {
    if (segment.type == PT_LOAD) end = std::max(end, segment.offset + segment.file_bytes);
  }
  return static_cast<std::size_t>(std::min<std::uint64_t>(end, elf.bytes().size()));
}

LibraryImage copy_image(std::span<const std::byte> bytes, const FileRange& left_out, std::string_view what) {
  // Pages of the mapping come as they are written to.
  void* const memory = ::mmap(nullptr, bytes.size(), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    base::fail(ErrorCode::OutOfMemory, "{}: no memory for the {} bytes of the model library", what,
               bytes.size());
  }
  LibraryImage image;
  image.memory = base::UniqueMapping(memory, bytes.size());
  image.bytes = image.memory.bytes();
  const std::uint64_t begin = std::min<std::uint64_t>(left_out.offset, bytes.size());
  const std::uint64_t end = std::min<std::uint64_t>(begin + left_out.bytes, bytes.size());
  image.left_out = {begin, end - begin};
  std::ranges::copy(bytes.first(begin), image.bytes.begin());
  std::ranges::copy(bytes.subspan(end), image.bytes.subspan(end).begin());
  return image;
}

}  // namespace

LibraryImage prepare_library(const ElfImage& elf, std::string_view what, const shim::ImportOptions& options,
                             const FileRange& left_out) {
  LibraryImage image = copy_image(elf.bytes().first(mapped_bytes(elf)), left_out, what);
  const Rewrite rewrite(image.bytes, what);
  auto header = rewrite.load<Elf64_Ehdr>(0);
  header.e_shoff = 0;
  header.e_shnum = 0;
  header.e_shstrndx = 0;
  rewrite.store(0, header);
  bind_symbols(rewrite, elf, options, image.entry_points);
  drop_version_needs(rewrite, elf);
  drop_needs(rewrite, elf);
  clear_executable_stack(rewrite, elf);
  return image;
}

}  // namespace penstock::model
