#include "package/instruction_sets.hpp"

#include "package/weights.hpp"
#include "package_builder.hpp"

#include <elf.h>

#include <algorithm>

namespace penstock::package::test {
namespace {

/// A library whose code is replaced by `code`, padded with one-byte nops.
std::vector<std::string> sets_of(const std::string& code) {
  std::string library = real_entry("torch-2.15/add.pt2", ".wrapper.so");
  const ElfImage image = ElfImage::parse(std::as_bytes(std::span(library)), "lib.so");
  const auto segments = image.segments();
  const auto text = std::find_if(segments.begin(), segments.end(),
                                 [](auto& s) { return s.type == PT_LOAD && (s.flags & PF_X) != 0; });
  std::fill_n(library.begin() + static_cast<std::ptrdiff_t>(text->offset), text->file_bytes, '\x90');
  library.replace(text->offset + 100, code.size(), code);
  return instruction_sets_of_code(image);
}

using Names = std::vector<std::string>;

TEST(InstructionSets, NamesWhatTheCodeUses) {
  EXPECT_EQ(sets_of(""), Names{});
  EXPECT_EQ(sets_of("\x0f\x58\xc1"), Names{});                                        // addps
  EXPECT_EQ(sets_of("\xc5\xf4\x58\xc2"), Names{"AVX"});                               // vaddps ymm
  EXPECT_EQ(sets_of("\xc5\xf5\xfe\xc2"), Names{"AVX2"});                              // vpaddd ymm
  EXPECT_EQ(sets_of("\xc4\xe2\x75\xb8\xc2"), Names{"FMA"});                           // vfmadd231ps
  EXPECT_EQ(sets_of("\x62\xf1\x74\x48\x58\xc2"), Names{"AVX512F"});                   // vaddps zmm
  EXPECT_EQ(sets_of("\x62\xf1\x74\x29\x58\xc2"), (Names{"AVX512F", "AVX512VL"}));     // vaddps ymm{k1}
  EXPECT_EQ(sets_of("\x62\xf2\x75\x48\x50\xc2"), (Names{"AVX512F", "AVX512_VNNI"}));  // vpdpbusd zmm
  EXPECT_EQ(sets_of("\xf3\x0f\xb8\xc1"), Names{"POPCNT"});
  EXPECT_EQ(sets_of("\xc4\xe2\x73\xf6\xc2"), Names{"BMI2"});      // mulx
  EXPECT_EQ(sets_of("\xc4\xe2\x7b\x49\xc0"), Names{"AMX_TILE"});  // tilezero
}

TEST(InstructionSets, TakesTzcntForWhatCompilersMeanByIt) { EXPECT_EQ(sets_of("\xf3\x0f\xbc\xc1"), Names{}); }

TEST(InstructionSets, ForgetsWhatStandsBesideBytesThatAreNoCode) {
  const std::string zmm = "\x62\xf1\x74\x48\x58\xc2";
  const std::string data = "\x06";  // push es: not in 64-bit mode
  EXPECT_EQ(sets_of(zmm + data), Names{});
  EXPECT_EQ(sets_of(data + zmm), Names{});
  EXPECT_EQ(sets_of(data + std::string(32, '\x90') + zmm), Names{"AVX512F"});
  EXPECT_EQ(sets_of(zmm + std::string(32, '\x90') + data), Names{"AVX512F"});
}

TEST(InstructionSets, ExpandsWhatMetadataAndMarchMean) {
  EXPECT_EQ(instruction_sets_of_metadata("AVX2"), (Names{"AVX2", "F16C", "FMA"}));
  EXPECT_EQ(instruction_sets_of_metadata("AVX512 AMX_TILE"),
            (Names{"AMX_TILE", "AVX512BW", "AVX512DQ", "AVX512F", "AVX512VL", "FMA"}));
  EXPECT_EQ(instruction_sets_of_metadata("INVALID"), Names{});
  EXPECT_EQ(instruction_sets_of_march("x86-64"), Names{});
  EXPECT_EQ(instruction_sets_of_march("native"), Names{});
  const Names v3 = instruction_sets_of_march("x86-64-v3");
  EXPECT_NE(std::find(v3.begin(), v3.end(), "AVX2"), v3.end());
  EXPECT_EQ(std::find(v3.begin(), v3.end(), "AVX512F"), v3.end());
  EXPECT_TRUE(is_portable_march("x86-64-v4"));
  EXPECT_FALSE(is_portable_march("native"));
  EXPECT_FALSE(is_portable_march(""));
}

TEST(EmbeddedWeights, AreFoundByTheirSymbols) {
  const std::string mlp = real_entry("torch-2.15/mlp.pt2", ".wrapper.so");
  const ElfImage image = ElfImage::parse(std::as_bytes(std::span(mlp)), "lib.so");
  const auto weights = find_embedded_weights(image);
  ASSERT_TRUE(weights);
  EXPECT_EQ(weights->bytes, 9664U);
  EXPECT_EQ(image.file_offset(weights->address, weights->bytes), weights->file_offset);
  const std::string add = real_entry("torch-2.15/add.pt2", ".wrapper.so");
  EXPECT_FALSE(find_embedded_weights(ElfImage::parse(std::as_bytes(std::span(add)), "lib.so")));
}

}  // namespace
}  // namespace penstock::package::test
