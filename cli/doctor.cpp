#include "commands.hpp"
#include "report.hpp"

#include <penstock/system.hpp>
#include <penstock/version.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <iterator>
#include <memory>
#include <string>

namespace penstock::cli {
namespace {

constexpr const char* kGpu = "none: this build has no CUDA part yet";

void add_line(std::string& out, std::string_view label, std::string_view value) {
  fmt::format_to(std::back_inserter(out), "  {:<14}{}\n", label, printable(value));
}

std::string page(const SystemInfo& info) {
  std::string out = fmt::format(
      "penstock {}\n\nThis machine runs packages that were compiled for its processor\n", version());
  add_line(out, "processor",
           fmt::format("{}, {}, {} thread{}", info.cpu, info.architecture, info.threads,
                       info.threads == 1 ? "" : "s"));
  add_line(out, "instructions", fmt::format("{}", fmt::join(info.instruction_sets, " ")));
  add_line(out, "glibc", info.glibc + " or older");
  add_line(out, "libstdc++", info.libstdcxx + " or older");
  add_line(out, "GPU", kGpu);

  out += "\nLibraries that are opened when a package needs them\n";
  bool missing = false;
  for (const OptionalLibrary& library : info.libraries) {
    missing = missing || library.path.empty();
    const std::string found = library.version.empty() ? library.path : library.version + "  " + library.path;
    add_line(out, library.name, library.path.empty() ? "missing" : found);
    add_line(out, "", "for " + library.needed_for);
    if (library.path.empty()) add_line(out, "", "to get it: " + library.advice);
  }
  out += missing ? "\nPackages that need a missing library are refused when they are loaded.\n"
                 : "\nNothing is missing.\n";
  return out;
}

nlohmann::ordered_json json_of(const SystemInfo& info) {
  nlohmann::ordered_json result;
  result["penstock"] = version();
  result["cpu"] = info.cpu;
  result["architecture"] = info.architecture;
  result["threads"] = info.threads;
  result["instruction_sets"] = info.instruction_sets;
  result["glibc"] = info.glibc;
  result["libstdcxx"] = info.libstdcxx;
  result["gpu"] = kGpu;
  result["libraries"] = nlohmann::ordered_json::array();
  for (const OptionalLibrary& library : info.libraries) {
    nlohmann::ordered_json each;
    each["name"] = library.name;
    each["found"] = !library.path.empty();
    each["needed_for"] = library.needed_for;
    each["path"] = library.path;
    each["version"] = library.version;
    each["advice"] = library.advice;
    result["libraries"].push_back(std::move(each));
  }
  return result;
}

}  // namespace

Action add_doctor(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "Print everything as JSON");
  app.footer("Examples:\n  penstock doctor\n  penstock doctor --json");
  return [json] {
    const SystemInfo info = system_info();
    if (*json) {
      write_json(json_of(info));
    } else {
      write_out(page(info));
    }
    return kExitOk;
  };
}

}  // namespace penstock::cli
