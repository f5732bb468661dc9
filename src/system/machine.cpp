#include "system/machine.hpp"

#include <cpuid.h>
#include <dlfcn.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>

namespace penstock::system {
namespace {

struct Registers {
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf = 0) {
  Registers r;
  __get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d);
  return r;
}

/// Register state that the kernel saves; an instruction whose state it does not save is not usable.
std::uint64_t saved_state() {
  constexpr std::uint32_t kOsxsave = 1U << 27U;
  if ((cpuid(1).c & kOsxsave) == 0) return 0;
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (std::uint64_t{high} << 32U) | low;
}

constexpr std::uint64_t kNoState = 0;
constexpr std::uint64_t kAvxState = 0x6;
constexpr std::uint64_t kAvx512State = 0xe6;
constexpr std::uint64_t kAmxState = 0x60000;

struct Feature {
  std::string_view name;
  std::uint32_t Registers::*reg;
  unsigned bit;
  std::uint64_t state;
};

// Bits: Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.
constexpr std::array kLeaf1 = {
    Feature{"SSE3", &Registers::c, 0, kNoState},        Feature{"PCLMULQDQ", &Registers::c, 1, kNoState},
    Feature{"SSSE3", &Registers::c, 9, kNoState},       Feature{"FMA", &Registers::c, 12, kAvxState},
    Feature{"CMPXCHG16B", &Registers::c, 13, kNoState}, Feature{"SSE4_1", &Registers::c, 19, kNoState},
    Feature{"SSE4_2", &Registers::c, 20, kNoState},     Feature{"MOVBE", &Registers::c, 22, kNoState},
    Feature{"POPCNT", &Registers::c, 23, kNoState},     Feature{"AES", &Registers::c, 25, kNoState},
    Feature{"AVX", &Registers::c, 28, kAvxState},       Feature{"F16C", &Registers::c, 29, kAvxState},
    Feature{"RDRAND", &Registers::c, 30, kNoState},
};
constexpr std::array kLeaf7 = {
    Feature{"BMI1", &Registers::b, 3, kNoState},
    Feature{"AVX2", &Registers::b, 5, kAvxState},
    Feature{"BMI2", &Registers::b, 8, kNoState},
    Feature{"AVX512F", &Registers::b, 16, kAvx512State},
    Feature{"AVX512DQ", &Registers::b, 17, kAvx512State},
    Feature{"RDSEED", &Registers::b, 18, kNoState},
    Feature{"ADX", &Registers::b, 19, kNoState},
    Feature{"AVX512_IFMA", &Registers::b, 21, kAvx512State},
    Feature{"AVX512CD", &Registers::b, 28, kAvx512State},
    Feature{"SHA", &Registers::b, 29, kNoState},
    Feature{"AVX512BW", &Registers::b, 30, kAvx512State},
    Feature{"AVX512VL", &Registers::b, 31, kAvx512State},
    Feature{"AVX512_VBMI", &Registers::c, 1, kAvx512State},
    Feature{"AVX512_VBMI2", &Registers::c, 6, kAvx512State},
    Feature{"GFNI", &Registers::c, 8, kNoState},
    Feature{"VAES", &Registers::c, 9, kAvxState},
    Feature{"VPCLMULQDQ", &Registers::c, 10, kAvxState},
    Feature{"AVX512_VNNI", &Registers::c, 11, kAvx512State},
    Feature{"AVX512_BITALG", &Registers::c, 12, kAvx512State},
    Feature{"AVX512_VPOPCNTDQ", &Registers::c, 14, kAvx512State},
    Feature{"AVX512_VP2INTERSECT", &Registers::d, 8, kAvx512State},
    Feature{"AMX_BF16", &Registers::d, 22, kAmxState},
    Feature{"AVX512_FP16", &Registers::d, 23, kAvx512State},
    Feature{"AMX_TILE", &Registers::d, 24, kAmxState},
    Feature{"AMX_INT8", &Registers::d, 25, kAmxState},
};
constexpr std::array kLeaf7Sub1 = {
    Feature{"AVX_VNNI", &Registers::a, 4, kAvxState},
    Feature{"AVX512_BF16", &Registers::a, 5, kAvx512State},
    Feature{"AMX_FP16", &Registers::a, 21, kAmxState},
    Feature{"AVX_IFMA", &Registers::a, 23, kAvxState},
    Feature{"AVX_VNNI_INT8", &Registers::d, 4, kAvxState},
    Feature{"AVX_NE_CONVERT", &Registers::d, 5, kAvxState},
    Feature{"AVX_VNNI_INT16", &Registers::d, 10, kAvxState},
    Feature{"AVX10", &Registers::d, 19, kAvx512State},
};
constexpr std::array kExtended1 = {
    Feature{"LZCNT", &Registers::c, 5, kNoState},
    Feature{"XOP", &Registers::c, 11, kAvxState},
    Feature{"FMA4", &Registers::c, 16, kAvxState},
};

template <std::size_t N>
void collect(const std::array<Feature, N>& features, const Registers& registers, std::uint64_t saved,
             std::vector<std::string>& names) {
  for (const Feature& feature : features) {
    const bool has = ((registers.*feature.reg >> feature.bit) & 1U) != 0;
    if (has && (saved & feature.state) == feature.state) names.emplace_back(feature.name);
  }
}

std::vector<std::string> read_instruction_sets() {
  const std::uint64_t saved = saved_state();
  std::vector<std::string> names;
  collect(kLeaf1, cpuid(1), saved, names);
  collect(kLeaf7, cpuid(7), saved, names);
  collect(kLeaf7Sub1, cpuid(7, 1), saved, names);
  collect(kExtended1, cpuid(0x80000001U), saved, names);
  const auto has = [&](std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  // What torch calls AVX512 is these four.
  if (has("AVX512F") && has("AVX512BW") && has("AVX512DQ") && has("AVX512VL")) names.emplace_back("AVX512");
  std::sort(names.begin(), names.end());
  return names;
}

struct HandleCloser {
  void operator()(void* handle) const noexcept { ::dlclose(handle); }
};
using LibraryHandle = std::unique_ptr<void, HandleCloser>;

/// Calls `visit(name)` for each version that a loaded library defines, from its dynamic section in
/// memory: what counts is the library in this process, not a file of its name.
template <class Visit>
void for_each_defined_version(void* handle, const Visit& visit) {
  link_map* map = nullptr;
  if (::dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr) return;
  const char* strings = nullptr;
  std::uintptr_t definitions = 0;
  std::uint64_t count = 0;
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_VERDEF) definitions = entry->d_un.d_ptr;
    if (entry->d_tag == DT_VERDEFNUM) count = entry->d_un.d_val;
  }
  if (strings == nullptr || definitions == 0) return;
  // glibc relocates the string table's address in place, not this one.
  if (definitions < map->l_addr) definitions += map->l_addr;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto* definition = reinterpret_cast<const ElfW(Verdef)*>(definitions);
    const auto* name = reinterpret_cast<const ElfW(Verdaux)*>(definitions + definition->vd_aux);
    visit(std::string_view(strings + name->vda_name));
    definitions += definition->vd_next;
  }
}

/// "3.4.30" as numbers, for comparison.
std::vector<long> version_numbers(const std::string& version) {
  std::vector<long> numbers;
  const char* text = version.c_str();
  while (*text != '\0') {
    char* end = nullptr;
    numbers.push_back(std::strtol(text, &end, 10));
    if (end == text) break;
    text = *end == '.' ? end + 1 : end;
  }
  return numbers;
}

/// Whether the dynamic linker's cache lists a name: its string table holds each between two NULs.
bool cache_lists(const std::string& soname) {
  std::ifstream file("/etc/ld.so.cache", std::ios::binary);
  const std::string cache((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const std::string wanted = '\0' + soname + '\0';
  return cache.find(wanted) != std::string::npos;
}

bool search_path_has(const std::string& soname) {
  const LibraryHandle self(::dlopen(nullptr, RTLD_LAZY));
  Dl_serinfo size{};
  if (!self || ::dlinfo(self.get(), RTLD_DI_SERINFOSIZE, &size) != 0) return false;
  // The two sizes must be in the memory that is filled.
  std::vector<std::max_align_t> memory(size.dls_size / sizeof(std::max_align_t) + 1);
  auto* info = reinterpret_cast<Dl_serinfo*>(memory.data());
  if (::dlinfo(self.get(), RTLD_DI_SERINFOSIZE, info) != 0) return false;
  if (::dlinfo(self.get(), RTLD_DI_SERINFO, info) != 0) return false;
  for (unsigned i = 0; i < info->dls_cnt; ++i) {
    struct stat status {};
    const std::string path = std::string(info->dls_serpath[i].dls_name) + "/" + soname;
    if (::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode)) return true;
  }
  return false;
}

}  // namespace

const std::vector<std::string>& instruction_sets() {
  static const std::vector<std::string> names = read_instruction_sets();
  return names;
}

bool has_instruction_set(std::string_view name) {
  const auto& names = instruction_sets();
  return std::binary_search(names.begin(), names.end(), name);
}

std::string glibc_version() { return ::gnu_get_libc_version(); }

std::string libstdcxx_version() {
  const LibraryHandle library(::dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD));
  std::string highest;
  if (!library) return highest;
  for_each_defined_version(library.get(), [&](std::string_view name) {
    constexpr std::string_view kPrefix = "GLIBCXX_3";
    if (name.substr(0, kPrefix.size()) != kPrefix) return;
    const std::string version(name.substr(std::strlen("GLIBCXX_")));
    if (version_less(highest, version)) highest = version;
  });
  return highest;
}

bool version_less(const std::string& left, const std::string& right) {
  return version_numbers(left) < version_numbers(right);
}

bool defines_version(const std::string& soname, const std::string& version) {
  const LibraryHandle library(::dlopen(soname.c_str(), RTLD_LAZY | RTLD_LOCAL));
  bool found = false;
  if (library) {
    for_each_defined_version(library.get(), [&](std::string_view name) { found = found || name == version; });
  }
  return found;
}

bool finds_library(const std::string& soname) {
  // A path in a package's list of libraries is nothing that may be followed.
  if (soname.empty() || soname.find('/') != std::string::npos) return false;
  const LibraryHandle loaded(::dlopen(soname.c_str(), RTLD_LAZY | RTLD_NOLOAD));
  return loaded || search_path_has(soname) || cache_lists(soname);
}

std::string architecture() {
  utsname name{};
  return ::uname(&name) == 0 ? name.machine : "x86_64";
}

std::string cpu_name() {
  std::array<std::uint32_t, 12> words{};
  if (static_cast<std::uint32_t>(__get_cpuid_max(0x80000000U, nullptr)) < 0x80000004U) return "x86_64";
  for (std::uint32_t i = 0; i < 3; ++i) {
    const Registers r = cpuid(0x80000002U + i);
    const std::array<std::uint32_t, 4> part = {r.a, r.b, r.c, r.d};
    std::copy(part.begin(), part.end(), words.begin() + i * 4);
  }
  std::array<char, sizeof(words) + 1> text{};
  std::memcpy(text.data(), words.data(), sizeof(words));
  std::string name = text.data();
  name.erase(0, std::min(name.find_first_not_of(' '), name.size()));
  name.erase(name.find_last_not_of(' ') + 1);
  return name;
}

int available_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  // More processors than cpu_set_t has bits for.
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

}  // namespace penstock::system
