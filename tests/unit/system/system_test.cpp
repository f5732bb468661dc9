#include <penstock/system.hpp>

#include "system/dynamic_library.hpp"
#include "system/machine.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <fstream>
#include <string>

namespace penstock::system {
namespace {

/// Flags that the kernel states for the first CPU.
std::string kernel_flags() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("flags", 0) == 0) return line + " ";
  }
  return {};
}

TEST(Machine, AgreesWithTheKernelOnInstructionSets) {
  const std::string flags = kernel_flags();
  if (flags.empty()) GTEST_SKIP() << "needs flags in /proc/cpuinfo";
  for (const std::string name :
       {"AVX",          "AVX2",     "FMA",      "F16C",     "BMI1",        "BMI2",        "SSE4_1",
        "SSE4_2",       "SSSE3",    "POPCNT",   "MOVBE",    "AES",         "PCLMULQDQ",   "AVX512F",
        "AVX512BW",     "AVX512DQ", "AVX512VL", "AVX512CD", "AVX512_VNNI", "AVX512_BF16", "AVX512_FP16",
        "AVX512_VBMI2", "AMX_TILE", "AMX_INT8", "AMX_BF16", "AVX_VNNI",    "GFNI",        "VAES"}) {
    std::string flag = name;
    std::transform(flag.begin(), flag.end(), flag.begin(), [](unsigned char c) { return std::tolower(c); });
    EXPECT_EQ(has_instruction_set(name), flags.find(" " + flag + " ") != std::string::npos) << name;
  }
  EXPECT_FALSE(has_instruction_set("NO_SUCH_SET"));
  EXPECT_TRUE(std::is_sorted(instruction_sets().begin(), instruction_sets().end()));
}

TEST(Machine, KnowsItsLibraries) {
  EXPECT_FALSE(version_less(glibc_version(), "2.17"));
  EXPECT_FALSE(version_less(libstdcxx_version(), "3.4.28"));
  EXPECT_TRUE(defines_version("libstdc++.so.6", "GLIBCXX_" + libstdcxx_version()));
  EXPECT_FALSE(defines_version("libstdc++.so.6", "GLIBCXX_9.9.9"));
  EXPECT_TRUE(defines_version("libc.so.6", "GLIBC_2.2.5"));
  EXPECT_FALSE(defines_version("libnowhere.so.9", "GLIBC_2.2.5"));
  EXPECT_TRUE(finds_library("libc.so.6"));
  EXPECT_TRUE(finds_library("ld-linux-x86-64.so.2"));
  EXPECT_FALSE(finds_library("libnowhere.so.9"));
  EXPECT_FALSE(finds_library("/lib/x86_64-linux-gnu/libc.so.6"));
  EXPECT_FALSE(finds_library(""));
}

TEST(Machine, ComparesVersionsByNumber) {
  EXPECT_TRUE(version_less("2.9", "2.38"));
  EXPECT_TRUE(version_less("2.2.5", "2.14"));
  EXPECT_TRUE(version_less("", "2.0"));
  EXPECT_FALSE(version_less("2.38", "2.38"));
  EXPECT_FALSE(version_less("3.4.30", "3.4.4"));
}

TEST(DynamicLibrary, OpensTheFirstNameThatWorks) {
  const DynamicLibrary library({"libnowhere.so.9", "libm.so.6"});
  ASSERT_TRUE(library.is_open());
  EXPECT_NE(library.find("cos"), nullptr);
  EXPECT_EQ(library.find("no_such_function"), nullptr);
  EXPECT_NE(library.path().find("libm.so.6"), std::string::npos);
  EXPECT_NE(library.reasons().find("libnowhere.so.9"), std::string::npos);
}

TEST(DynamicLibrary, SaysWhyNothingWasOpened) {
  const DynamicLibrary library({"libnowhere.so.9"});
  EXPECT_FALSE(library.is_open());
  EXPECT_EQ(library.find("cos"), nullptr);
  EXPECT_EQ(library.path(), "");
  EXPECT_NE(library.reasons().find("libnowhere.so.9"), std::string::npos);
}

TEST(DynamicLibrary, TakesBackWhatACheckRefuses) {
  const DynamicLibrary library({"libm.so.6"}, [](void*) { return std::string("is too old"); });
  EXPECT_FALSE(library.is_open());
  EXPECT_EQ(library.reasons(), "libm.so.6: is too old");
}

TEST(SystemInfo, DescribesThisMachine) {
  const SystemInfo info = system_info();
  EXPECT_FALSE(info.cpu.empty());
  EXPECT_EQ(info.architecture, architecture());
  EXPECT_EQ(info.threads, available_threads());
  EXPECT_GE(info.threads, 1);
  EXPECT_EQ(info.glibc, glibc_version());
  EXPECT_EQ(info.libstdcxx, libstdcxx_version());
  EXPECT_EQ(info.instruction_sets, instruction_sets());
  ASSERT_EQ(info.libraries.size(), 3U);
  for (const OptionalLibrary& library : info.libraries) {
    EXPECT_EQ(library.path.empty(), !library.advice.empty()) << library.name;
    EXPECT_FALSE(library.needed_for.empty());
  }
  EXPECT_EQ(info.libraries[0].version.empty(), info.libraries[0].path.empty());
  if (onednn().is_open()) {
    EXPECT_EQ(onednn_version().rfind("3.", 0), 0U);
  }
  EXPECT_EQ(sleef().is_open(), !info.libraries[1].path.empty());
  EXPECT_EQ(libgomp().is_open(), !info.libraries[2].path.empty());
}

}  // namespace
}  // namespace penstock::system
