#include <penstock/system.hpp>

#include "system/dynamic_library.hpp"
#include "system/machine.hpp"

#include <utility>

namespace penstock {
namespace {

OptionalLibrary describe(const system::DynamicLibrary& library, std::string name, std::string needed_for,
                         std::string version, std::string advice) {
  OptionalLibrary result{std::move(name), std::move(needed_for), library.path(), std::move(version), {}};
  if (library.lacks_memory()) advice = "give this process more memory, which was too little to map it";
  if (!library.is_open()) result.advice = std::move(advice) + " (" + library.reasons() + ")";
  return result;
}

}  // namespace

SystemInfo system_info() {
  SystemInfo info;
  info.cpu = system::cpu_name();
  info.architecture = system::architecture();
  info.threads = system::available_threads();
  info.instruction_sets = system::instruction_sets();
  info.glibc = system::glibc_version();
  info.libstdcxx = system::libstdcxx_version();
  info.libraries.push_back(describe(system::onednn(), "oneDNN", "matrix products, convolution, attention",
                                    system::onednn_version(),
                                    "\"./dev build\" fetches it; else the file of a Penstock installation or "
                                    "of the wheel onednn-cpu-gomp of "
                                    "PyPI, named in PENSTOCK_ONEDNN"));
  info.libraries.push_back(describe(system::sleef(), "SLEEF", "vectorized exp, log, tanh and the like", {},
                                    "apt install libsleef3; PENSTOCK_SLEEF names another libsleef.so.3"));
  info.libraries.push_back(describe(system::libgomp(), "libgomp", "packages made for more than one thread",
                                    {}, "apt install libgomp1; PENSTOCK_LIBGOMP names another libgomp.so.1"));
  return info;
}

}  // namespace penstock
