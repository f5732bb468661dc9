#pragma once

#include <penstock/export.hpp>

#include <string>
#include <vector>

namespace penstock {

/// A shared library that Penstock loads only when a package needs it.
struct OptionalLibrary {
  std::string name;  ///< "oneDNN", "SLEEF", "libgomp".
  std::string needed_for;
  std::string path;     ///< Where it was found; empty: it was not.
  std::string version;  ///< As the library says; empty where it does not.
  std::string advice;   ///< How to get it, where it is missing.
};

/// What this machine offers to packages.
struct SystemInfo {
  std::string cpu;                            ///< Model name.
  std::string architecture;                   ///< "x86_64".
  int threads = 1;                            ///< That this process may use.
  std::vector<std::string> instruction_sets;  ///< Of CPU and kernel together: "AVX2", "AVX512F", ...
  std::string glibc;                          ///< "2.36".
  std::string libstdcxx;                      ///< "3.4.30".
  std::vector<OptionalLibrary> libraries;
};

/// Looks at the machine. Blocking: opens the optional libraries. Thread: thread-safe.
/// Errors: OutOfMemory.
PENSTOCK_API SystemInfo system_info();

}  // namespace penstock
