#include "system/vendor_library.hpp"

#include <dlfcn.h>
#include <fmt/ranges.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

namespace penstock::system {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

/// Folders inside `folder` whose names begin with `start`, the last in order first: newest versions.
std::vector<std::string> inside(const fs::path& folder, const std::string& start) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename().string().starts_with(start)) found.push_back(at->path().string());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

void add_wheels(std::vector<std::string>& folders, const fs::path& packages) {
  for (const std::string& wheel : inside(packages / "nvidia", "")) folders.push_back(wheel + "/lib");
  // tensorrt_libs, tensorrt_lean_libs, tensorrt_rtx_libs
  for (const std::string& wheel : inside(packages, "tensorrt")) {
    if (wheel.ends_with("_libs")) folders.push_back(wheel);
  }
}

/// The wheels of the Python environment that has its programs in PREFIX/bin.
void add_environment(std::vector<std::string>& folders, const fs::path& prefix) {
  for (const std::string& python : inside(prefix / "lib", "python3")) {
    for (const char* packages : {"site-packages", "dist-packages"}) {
      add_wheels(folders, fs::path(python) / packages);
    }
  }
}

/// The first python3 on PATH decides, as for the shell.
void add_first_python(std::vector<std::string>& folders, const std::string& path) {
  std::istringstream entries(path);
  for (std::string entry; std::getline(entries, entry, ':');) {
    std::error_code error;
    const fs::path program = fs::path(entry) / "python3";
    if (entry.empty() || !fs::exists(program, error)) continue;
    add_environment(folders, fs::path(entry).parent_path());
    const fs::path real = fs::canonical(program, error);
    if (!error) add_environment(folders, real.parent_path().parent_path());
    return;
  }
}

std::string own_folder() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&own_folder), &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code error;
  const fs::path real = fs::canonical(info.dli_fname, error);
  return error ? std::string() : real.parent_path().string();
}

bool try_open(OpenedLibrary& opened, const std::string& name) {
  opened.handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened.handle == nullptr) {
    const char* error = ::dlerror();
    opened.attempts.emplace_back(error == nullptr ? name : error);
    return false;
  }
  link_map* map = nullptr;
  const bool is_known = ::dlinfo(opened.handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr;
  opened.path = is_known ? map->l_name : name;
  return true;
}

std::vector<std::string> folders_here() {
  return vendor_folders({.own_folder = own_folder(),
                         .virtual_env = variable("VIRTUAL_ENV"),
                         .conda_prefix = variable("CONDA_PREFIX"),
                         .cuda_path = variable("CUDA_PATH"),
                         .path = variable("PATH")});
}

bool open_anywhere(OpenedLibrary& opened, const std::vector<std::string>& sonames) {
  for (const std::string& soname : sonames) {
    if (try_open(opened, soname)) return true;
  }
  const std::vector<std::string> folders = folders_here();
  for (const std::string& soname : sonames) {
    for (const std::string& folder : folders) {
      std::error_code error;
      const std::string file = folder + "/" + soname;
      if (fs::exists(file, error) && try_open(opened, file)) return true;
    }
  }
  for (const std::string& folder : folders) opened.attempts.push_back("not in " + folder);
  return false;
}

}  // namespace

std::vector<std::string> vendor_folders(const Surroundings& around) {
  std::vector<std::string> folders;
  const auto add = [&](const fs::path& folder) { folders.push_back(folder.string()); };
  if (!around.own_folder.empty()) {
    // libpenstock_cuda is installed in a folder beside libpenstock.
    add(around.own_folder);
    const fs::path own(around.own_folder);
    add(own.filename() == "penstock" ? own.parent_path() : own / "penstock");
    for (fs::path at = own; at.has_relative_path(); at = at.parent_path()) {
      const std::string name = at.filename().string();
      if (name == "site-packages" || name == "dist-packages") add_wheels(folders, at);
    }
  }
  if (!around.virtual_env.empty()) add_environment(folders, around.virtual_env);
  if (!around.conda_prefix.empty()) {
    add(fs::path(around.conda_prefix) / "lib");
    add_environment(folders, around.conda_prefix);
  }
  add_first_python(folders, around.path);
  std::vector<std::string> toolkits = inside(around.toolkits, "cuda");
  if (!around.cuda_path.empty()) toolkits.insert(toolkits.begin(), around.cuda_path);
  for (const fs::path toolkit : toolkits) {
    add(toolkit / "lib64");
    // Where installers put CUPTI.
    add(toolkit / "extras/CUPTI/lib64");
  }
  std::vector<std::string> existing;
  for (std::string& folder : folders) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    if (std::find(existing.begin(), existing.end(), folder) == existing.end()) {
      existing.push_back(std::move(folder));
    }
  }
  return existing;
}

OpenedLibrary open_library(const std::string& name) {
  OpenedLibrary opened;
  const bool is_found =
      name.find('/') == std::string::npos ? open_anywhere(opened, {name}) : try_open(opened, name);
  if (is_found) opened.attempts.clear();
  return opened;
}

OpenedLibrary open_library(const WantedLibrary& wanted) {
  OpenedLibrary opened;
  const std::string named = variable(wanted.variable);
  if (named.empty() ? open_anywhere(opened, wanted.sonames) : try_open(opened, named)) {
    opened.attempts.clear();
    return opened;
  }
  opened.advice = fmt::format("{}, or set {} to the file", wanted.how, wanted.variable);
  opened.problem = fmt::format("{} needs {}, which was not found:\n  {}\n{}", wanted.who, wanted.title,
                               fmt::join(opened.attempts, "\n  "), opened.advice);
  return opened;
}

}  // namespace penstock::system
