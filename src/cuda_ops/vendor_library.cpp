#include "cuda_ops/vendor_library.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>
#include <utility>

namespace penstock::cuda_ops {
namespace {

namespace fs = std::filesystem;

/// What is known of one library before it is opened.
struct Wanted {
  const char* who;  ///< Needs it.
  const char* title;
  const char* needed_for;
  const char* variable;
  std::vector<std::string> sonames;
  const char* how;
};

struct Opened {
  void* handle = nullptr;
  std::string path;
  std::vector<std::string> attempts;
  std::string advice;   ///< Where it could not be opened.
  std::string problem;  ///< The same, as a whole message.
};

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

bool try_open(Opened& opened, const std::string& name) {
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

bool open_anywhere(Opened& opened, const Wanted& wanted) {
  if (const std::string named = variable(wanted.variable); !named.empty()) return try_open(opened, named);
  for (const std::string& soname : wanted.sonames) {
    if (try_open(opened, soname)) return true;
  }
  const std::vector<std::string> folders = vendor_folders({.own_folder = own_folder(),
                                                           .virtual_env = variable("VIRTUAL_ENV"),
                                                           .conda_prefix = variable("CONDA_PREFIX"),
                                                           .cuda_path = variable("CUDA_PATH"),
                                                           .path = variable("PATH")});
  for (const std::string& soname : wanted.sonames) {
    for (const std::string& folder : folders) {
      std::error_code error;
      const std::string file = folder + "/" + soname;
      if (fs::exists(file, error) && try_open(opened, file)) return true;
    }
  }
  for (const std::string& folder : folders) opened.attempts.push_back("not in " + folder);
  return false;
}

Opened open_library(const Wanted& wanted) {
  Opened opened;
  if (open_anywhere(opened, wanted)) {
    opened.attempts.clear();
    return opened;
  }
  opened.advice = fmt::format("{}, or set {} to the file", wanted.how, wanted.variable);
  opened.problem = fmt::format("{} needs {}, which was not found:\n  {}\n{}", wanted.who, wanted.title,
                               fmt::join(opened.attempts, "\n  "), opened.advice);
  return opened;
}

template <class Functions>
struct Library {
  explicit Library(Wanted from) : wanted(std::move(from)), opened(open_library(wanted)) {}

  Wanted wanted;
  Opened opened;
  Functions functions{};
};

template <class Function>
void find(Opened& opened, const std::string& name, Function*& function) {
  if (opened.handle == nullptr) return;
  function = reinterpret_cast<Function*>(::dlsym(opened.handle, name.c_str()));
  if (function != nullptr) return;
  opened.advice = opened.problem =
      fmt::format("{} has no function {}: it is of another version than Penstock can use", opened.path, name);
  opened.handle = nullptr;
}

/// A driver that does not know CUDA 13 cannot run its libraries.
std::vector<std::string> sonames(const std::string& name) {
  int version = 0;
  try {
    if (cuda::driver().driver_get_version(&version) != cuda::kSuccess) version = 0;
  } catch (const Error&) {
    // No driver: whoever wants to know what is there gets to know the newest.
  }
  if (version != 0 && version < 13000) return {name + ".so.12"};
  return {name + ".so.13", name + ".so.12"};
}

/// Those that the process has already come first.
std::vector<std::string> loaded_first(std::vector<std::string> names) {
  std::stable_partition(names.begin(), names.end(), [](const std::string& name) {
    void* const handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_NOLOAD);
    if (handle != nullptr) ::dlclose(handle);
    return handle != nullptr;
  });
  return names;
}

const Library<cublaslt::Functions>& cublaslt_library() {
  static const auto library = [] {
    Library<cublaslt::Functions> made({.who = "this model",
                                       .title = "cuBLASLt",
                                       .needed_for = "matrix products and attention",
                                       .variable = "PENSTOCK_CUBLASLT",
                                       .sonames = sonames("libcublasLt"),
                                       .how = "Install it (pip install nvidia-cublas, or the CUDA toolkit)"});
#define PENSTOCK_FIND(name) find(made.opened, "cublasLt" #name, made.functions.name);
    PENSTOCK_CUBLASLT_FUNCTIONS(PENSTOCK_FIND)
#undef PENSTOCK_FIND
    return made;
  }();
  return library;
}

const Library<cudnn::Functions>& cudnn_library() {
  static const auto library = [] {
    Library<cudnn::Functions> made(
        {.who = "this model",
         .title = "cuDNN 9",
         .needed_for = "convolution",
         .variable = "PENSTOCK_CUDNN",
         .sonames = {"libcudnn.so.9"},
         .how = "Install it (pip install nvidia-cudnn-cu13 or nvidia-cudnn-cu12, apt install "
                "libcudnn9-cuda-13)"});
#define PENSTOCK_FIND(name) find(made.opened, "cudnn" #name, made.functions.name);
    PENSTOCK_CUDNN_FUNCTIONS(PENSTOCK_FIND)
#undef PENSTOCK_FIND
    return made;
  }();
  return library;
}

const Library<cuda::cupti::Functions>& cupti_library() {
  static const auto library = [] {
    Library<cuda::cupti::Functions> made(
        {.who = "an audit of the process",
         .title = "CUPTI",
         .needed_for = "audits of the process",
         .variable = "PENSTOCK_CUPTI",
         .sonames = loaded_first(sonames("libcupti")),
         .how = "Install it (pip install nvidia-cuda-cupti, or the CUDA toolkit)"});
#define PENSTOCK_FIND(name) find(made.opened, "cupti" #name, made.functions.name);
    PENSTOCK_CUPTI_FUNCTIONS(PENSTOCK_FIND)
#undef PENSTOCK_FIND
    return made;
  }();
  return library;
}

template <class Functions>
const Functions& functions_of(const Library<Functions>& library) {
  if (library.opened.handle == nullptr) base::fail(ErrorCode::NotFound, "{}", library.opened.problem);
  return library.functions;
}

/// cuBLASLt and cuDNN write their version as one number: 91002 is 9.10.2.
template <class Functions>
std::string version_of(const Functions& functions) {
  const std::size_t version = functions.GetVersion();
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

/// CUPTI counts the versions of its interface, and since CUDA 13 writes CUDA's: 130001 is of 13.0.
std::string version_of(const cuda::cupti::Functions& functions) {
  std::uint32_t version = 0;
  if (functions.GetVersion(&version) != cuda::cupti::kSuccess) return "";
  return std::to_string(version);
}

template <class Functions>
OptionalLibrary describe(const Library<Functions>& library) {
  OptionalLibrary result{.name = library.wanted.title,
                         .needed_for = library.wanted.needed_for,
                         .path = {},
                         .version = {},
                         .advice = library.opened.advice,
                         .attempts = library.opened.attempts};
  if (library.opened.handle == nullptr) return result;
  result.path = library.opened.path;
  result.version = version_of(library.functions);
  return result;
}

}  // namespace

std::vector<std::string> vendor_folders(const Surroundings& around) {
  std::vector<std::string> folders;
  const auto add = [&](const fs::path& folder) { folders.push_back(folder.string()); };
  if (!around.own_folder.empty()) {
    // libpenstock_cuda is installed in a folder beside libpenstock.
    add(around.own_folder);
    const fs::path own(around.own_folder);
    add(own.parent_path());
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

const cublaslt::Functions& cublaslt_functions() { return functions_of(cublaslt_library()); }

const cudnn::Functions& cudnn_functions() { return functions_of(cudnn_library()); }

const cuda::cupti::Functions& cupti_functions() { return functions_of(cupti_library()); }

std::vector<OptionalLibrary> vendor_libraries() {
  return {describe(cublaslt_library()), describe(cudnn_library()), describe(cupti_library())};
}

}  // namespace penstock::cuda_ops
