#include "package/manifest.hpp"
#include "system/dynamic_library.hpp"
#include "system/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace penstock::package {
namespace {

struct Family {
  std::string_view prefix;
  std::string_view name;
};

// The first that fits: of several missing sets a user wants to know the generation.
constexpr std::array kFamilies = {
    Family{"AMX", "AMX"},   Family{"AVX512", "AVX-512"},       Family{"AVX10", "AVX10"},
    Family{"AVX2", "AVX2"}, Family{"AVX_", "AVX2 extensions"}, Family{"", ""},
};

std::string_view family_of(std::string_view name) {
  const auto found = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& family) {
    return name.substr(0, family.prefix.size()) == family.prefix;
  });
  return found->name;
}

void add_instruction_sets(const ModelInfo& info, std::vector<std::string>& obstacles) {
  std::string names;
  std::string_view family;
  for (const std::string& name : info.needs.instruction_sets) {
    if (system::has_instruction_set(name)) continue;
    names += (names.empty() ? "" : ", ") + name;
    if (family.empty()) family = family_of(name);
  }
  if (names.empty()) return;
  const std::string what = family.empty() || family == names ? names : fmt::format("{} ({})", family, names);
  obstacles.push_back(fmt::format(
      "needs {}, which this CPU does not have; export a portable package: set "
      "TORCHINDUCTOR_CPP_MARCH=x86-64-v3 and inductor_configs={{'cpp.simdlen': 256, 'cpp.threads': 1}}",
      what));
}

void add_version(std::string_view name, const std::string& needed, const std::string& here,
                 std::vector<std::string>& obstacles) {
  if (needed.empty() || !system::version_less(here, needed)) return;
  obstacles.push_back(
      fmt::format("needs {}_{}, this machine has {}: compile the package on an older system "
                  "(a Debian 12 container)",
                  name, needed, here.empty() ? "none" : here));
}

void add_libraries(const ModelInfo& info, std::vector<std::string>& obstacles) {
  for (const std::string& library : info.needs.libraries) {
    if (library == "libsleef.so.3") {
      if (!system::sleef().is_open()) {
        obstacles.push_back(
            "needs SLEEF (libsleef.so.3), which is not found: apt install libsleef3, or name the "
            "file in PENSTOCK_SLEEF");
      }
    } else if (!system::finds_library(library)) {
      obstacles.push_back(
          fmt::format("needs the library {}, which is not found: install it, or export without what "
                      "needs it",
                      library));
    }
  }
}

/// The functions that have nothing to fall back to.
void add_onednn(const ModelInfo& info, std::vector<std::string>& obstacles) {
  const bool is_needed = std::ranges::any_of(info.needs.shim_functions, [](const std::string& name) {
    return name == "aoti_torch_cpu_convolution" || name == "aoti_torch_cpu_mkldnn_rnn_layer";
  });
  // Where memory is short, the run says so.
  if (!is_needed || system::onednn().is_open() || system::onednn().lacks_memory()) return;
  obstacles.push_back(
      "needs oneDNN 3.2 or a later 3.x (libdnnl.so.3) for convolutions and LSTM layers, which is not found: "
      "take the file of a Penstock installation (lib/penstock), of the wheel onednn-cpu-gomp of PyPI or of "
      "conda-forge's onednn, and name it in PENSTOCK_ONEDNN");
}

}  // namespace

std::vector<std::string> machine_obstacles(const ModelInfo& info) {
  std::vector<std::string> obstacles;
  const auto stated = [&](const char* key) -> std::string {
    const auto found = info.metadata.find(key);
    return found == info.metadata.end() ? std::string() : found->second;
  };
  const std::string platform = stated("AOTI_PLATFORM");
  if (!platform.empty() && platform != "linux") {
    obstacles.push_back(
        fmt::format("was compiled on {}, this machine runs linux: export it on Linux", platform));
  }
  for (const std::string& machine : {stated("AOTI_MACHINE"), info.needs.architecture}) {
    if (machine.empty() || machine == system::architecture()) continue;
    obstacles.push_back(fmt::format("is for {}, this machine is {}: export it on such a machine", machine,
                                    system::architecture()));
    // What else it needs is of that machine.
    return obstacles;
  }
  add_instruction_sets(info, obstacles);
  add_version("GLIBC", info.needs.glibc, system::glibc_version(), obstacles);
  add_version("GLIBCXX", info.needs.libstdcxx, system::libstdcxx_version(), obstacles);
  add_libraries(info, obstacles);
  add_onednn(info, obstacles);
  return obstacles;
}

}  // namespace penstock::package
