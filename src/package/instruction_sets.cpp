#include "package/instruction_sets.hpp"

#include <Zydis/Zydis.h>
#include <elf.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <set>
#include <sstream>

namespace penstock::package {
namespace {

struct NamePair {
  std::string_view zydis;
  std::string_view name;
};

// Zydis names a set and a vector length, "AVX512BW_256": the first part of the name is what is listed.
// What is not listed is x86-64's first level, a hint that older CPUs skip, or system code.
constexpr std::array kNames = {
    NamePair{"SSE3", "SSE3"},
    NamePair{"SSSE3", "SSSE3"},
    NamePair{"SSE4", "SSE4_1"},
    NamePair{"SSE42", "SSE4_2"},
    NamePair{"POPCNT", "POPCNT"},
    NamePair{"MOVBE", "MOVBE"},
    NamePair{"LZCNT", "LZCNT"},
    NamePair{"BMI1", "BMI1"},
    NamePair{"BMI2", "BMI2"},
    NamePair{"ADOX_ADCX", "ADX"},
    NamePair{"AES", "AES"},
    NamePair{"PCLMULQDQ", "PCLMULQDQ"},
    NamePair{"CMPXCHG16B", "CMPXCHG16B"},
    NamePair{"RDRAND", "RDRAND"},
    NamePair{"RDSEED", "RDSEED"},
    NamePair{"SHA", "SHA"},
    NamePair{"GFNI", "GFNI"},
    NamePair{"AVX", "AVX"},
    NamePair{"AVXAES", "AVX"},
    NamePair{"AVX2", "AVX2"},
    NamePair{"AVX2GATHER", "AVX2"},
    NamePair{"AVX_GFNI", "GFNI"},
    NamePair{"AVX_VNNI", "AVX_VNNI"},
    NamePair{"VAES", "VAES"},
    NamePair{"VPCLMULQDQ", "VPCLMULQDQ"},
    NamePair{"F16C", "F16C"},
    NamePair{"FMA", "FMA"},
    NamePair{"FMA4", "FMA4"},
    NamePair{"XOP", "XOP"},
    NamePair{"AVX512F", "AVX512F"},
    NamePair{"AVX512CD", "AVX512CD"},
    NamePair{"AVX512DQ", "AVX512DQ"},
    NamePair{"AVX512BW", "AVX512BW"},
    NamePair{"AVX512_IFMA", "AVX512_IFMA"},
    NamePair{"AVX512_VBMI", "AVX512_VBMI"},
    NamePair{"AVX512_VBMI2", "AVX512_VBMI2"},
    NamePair{"AVX512_VNNI", "AVX512_VNNI"},
    NamePair{"AVX512_BITALG", "AVX512_BITALG"},
    NamePair{"AVX512_VPOPCNTDQ", "AVX512_VPOPCNTDQ"},
    NamePair{"AVX512_BF16", "AVX512_BF16"},
    NamePair{"AVX512_FP16", "AVX512_FP16"},
    NamePair{"AVX512_FP16_CONVERT", "AVX512_FP16"},
    NamePair{"AVX512_VP2INTERSECT", "AVX512_VP2INTERSECT"},
    NamePair{"AVX512_GFNI", "GFNI"},
    NamePair{"AVX512_VAES", "VAES"},
    NamePair{"AVX512_VPCLMULQDQ", "VPCLMULQDQ"},
    NamePair{"AMX_TILE", "AMX_TILE"},
    NamePair{"AMX_INT8", "AMX_INT8"},
    NamePair{"AMX_BF16", "AMX_BF16"},
    NamePair{"AMX_FP16", "AMX_FP16"},
};

constexpr std::array<std::string_view, 6> kLengths = {"_128", "_128N", "_256", "_512", "_KOP", "_SCALAR"};

using IsaSets = std::bitset<ZYDIS_ISA_SET_MAX_VALUE + 1>;

void add_names(ZydisISASet isa_set, std::set<std::string>& names) {
  const char* text = ZydisISASetGetString(isa_set);
  if (text == nullptr) return;
  std::string_view name = text;
  std::string_view length;
  for (const std::string_view suffix : kLengths) {
    if (name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix) length = suffix;
  }
  name.remove_suffix(length.size());
  const auto found =
      std::find_if(kNames.begin(), kNames.end(), [&](const NamePair& pair) { return pair.zydis == name; });
  if (found == kNames.end()) return;
  names.emplace(found->name);
  const bool is_evex = name.substr(0, 6) == "AVX512";
  if (is_evex && (length == "_128" || length == "_256")) names.emplace("AVX512VL");
  // EVEX forms of VAES and the like need AVX512F too.
  if (is_evex) names.emplace("AVX512F");
}

/// Sweeps code and forgets what stands near bytes that are no instruction: data between functions
/// decodes to anything, and the sweep needs some instructions to find its step again.
class Sweep {
 public:
  Sweep() { ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64); }

  void run(std::span<const std::byte> code) {
    reset();
    while (!code.empty()) {
      ZydisDecodedInstruction instruction;
      const ZyanStatus status = ZydisDecoderDecodeInstruction(
          &decoder_, nullptr, code.data(), std::min<std::size_t>(code.size(), ZYDIS_MAX_INSTRUCTION_LENGTH),
          &instruction);
      if (!ZYAN_SUCCESS(status)) {
        reset();
        skip_ = kWindow;
        code = code.subspan(1);
        continue;
      }
      push(instruction);
      code = code.subspan(instruction.length);
    }
    for (std::size_t i = 0; i < kWindow; ++i) commit(i);
  }

  [[nodiscard]] const IsaSets& found() const noexcept { return found_; }

 private:
  static constexpr std::size_t kWindow = 16;

  void reset() { recent_.fill(ZYDIS_ISA_SET_INVALID); }

  void push(const ZydisDecodedInstruction& instruction) {
    commit(next_);
    // "rep bsf" is how compilers write tzcnt for CPUs that may not have it; they run it as bsf.
    const bool counts = skip_ == 0 && instruction.mnemonic != ZYDIS_MNEMONIC_TZCNT;
    recent_[next_] = counts ? instruction.meta.isa_set : ZYDIS_ISA_SET_INVALID;
    next_ = (next_ + 1) % kWindow;
    if (skip_ > 0) --skip_;
  }

  void commit(std::size_t i) { found_.set(static_cast<std::size_t>(recent_[i])); }

  ZydisDecoder decoder_{};
  std::array<ZydisISASet, kWindow> recent_{};  // sets of the last instructions, not yet counted
  std::size_t next_ = 0;
  std::size_t skip_ = 0;
  IsaSets found_;
};

}  // namespace

std::vector<std::string> instruction_sets_of_code(const ElfImage& image) {
  Sweep sweep;
  for (const ElfSegment& segment : image.segments()) {
    if (segment.type != PT_LOAD || (segment.flags & PF_X) == 0) continue;
    sweep.run(image.bytes().subspan(segment.offset, segment.file_bytes));
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < sweep.found().size(); ++i) {
    if (sweep.found().test(i)) add_names(static_cast<ZydisISASet>(i), names);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> instruction_sets_of_metadata(std::string_view cpu_isa) {
  std::set<std::string> names;
  std::istringstream words{std::string(cpu_isa)};
  for (std::string word; words >> word;) {
    // torch/_inductor/cpu_vec_isa.py: the flags that each name stands for.
    if (word == "AVX2") {
      names.insert({"AVX2", "FMA", "F16C"});
    } else if (word == "AVX512") {
      names.insert({"AVX512F", "AVX512DQ", "AVX512VL", "AVX512BW", "FMA"});
    } else if (word != "INVALID" && word != "INVALID_VEC_ISA") {
      names.insert(word);
    }
  }
  return {names.begin(), names.end()};
}

bool is_portable_march(std::string_view march) {
  return march == "x86-64" || march == "x86-64-v2" || march == "x86-64-v3" || march == "x86-64-v4";
}

std::vector<std::string> instruction_sets_of_march(std::string_view march) {
  // x86-64 psABI 1.0, table 3.1.
  std::vector<std::string> names;
  if (!is_portable_march(march) || march == "x86-64") return names;
  const char level = march.back();
  names = {"CMPXCHG16B", "POPCNT", "SSE3", "SSE4_1", "SSE4_2", "SSSE3"};
  if (level >= '3') {
    names.insert(names.end(), {"AVX", "AVX2", "BMI1", "BMI2", "F16C", "FMA", "LZCNT", "MOVBE"});
  }
  if (level >= '4') names.insert(names.end(), {"AVX512BW", "AVX512CD", "AVX512DQ", "AVX512F", "AVX512VL"});
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace penstock::package
