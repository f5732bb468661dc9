#include "cuda_ops/vendor_library.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace penstock::cuda_ops {
namespace {

namespace fs = std::filesystem;

/// What is known of one library before it is opened.
struct Wanted {
  const char* who;  ///< Needs it.
  const char* title;
  const char* variable;
  std::vector<std::string> sonames;
  const char* how;
};

struct Opened {
  void* handle = nullptr;
  std::string path;
  std::string problem;
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
    opened.problem += "\n  " + std::string(error == nullptr ? name : error);
    return false;
  }
  opened.path = name;
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
  for (const std::string& folder : folders) opened.problem += "\n  not in " + folder;
  return false;
}

Opened open_library(const Wanted& wanted) {
  Opened opened;
  if (open_anywhere(opened, wanted)) {
    opened.problem.clear();
  } else {
    opened.problem = fmt::format("{} needs {}, which was not found:{}\n{}, or set {} to the file", wanted.who,
                                 wanted.title, opened.problem, wanted.how, wanted.variable);
  }
  return opened;
}

template <class Function>
void find(Opened& opened, const std::string& name, Function*& function) {
  if (opened.handle == nullptr) return;
  function = reinterpret_cast<Function*>(::dlsym(opened.handle, name.c_str()));
  if (function != nullptr) return;
  opened.problem =
      fmt::format("{} has no function {}: it is of another version than Penstock can use", opened.path, name);
  opened.handle = nullptr;
}

/// A driver that does not know CUDA 13 cannot run its libraries.
std::vector<std::string> sonames(const std::string& name) {
  int version = 0;
  if (cuda::driver().driver_get_version(&version) != cuda::kSuccess || version >= 13000) {
    return {name + ".so.13", name + ".so.12"};
  }
  return {name + ".so.12"};
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

const Opened& opened_cublaslt(cublaslt::Functions& functions) {
  static const Opened opened = [&] {
    Opened made = open_library({.who = "this model",
                                .title = "cuBLASLt",
                                .variable = "PENSTOCK_CUBLASLT",
                                .sonames = sonames("libcublasLt"),
                                .how = "Install it (pip install nvidia-cublas, or the CUDA toolkit)"});
#define PENSTOCK_FIND(name) find(made, "cublasLt" #name, functions.name);
    PENSTOCK_CUBLASLT_FUNCTIONS(PENSTOCK_FIND)
#undef PENSTOCK_FIND
    return made;
  }();
  return opened;
}

const Opened& opened_cudnn(cudnn::Functions& functions) {
  static const Opened opened = [&] {
    Opened made =
        open_library({.who = "this model",
                      .title = "cuDNN 9",
                      .variable = "PENSTOCK_CUDNN",
                      .sonames = {"libcudnn.so.9"},
                      .how = "Install it (pip install nvidia-cudnn-cu13 or nvidia-cudnn-cu12, apt install "
                             "libcudnn9-cuda-13)"});
#define PENSTOCK_FIND(name) find(made, "cudnn" #name, functions.name);
    PENSTOCK_CUDNN_FUNCTIONS(PENSTOCK_FIND)
#undef PENSTOCK_FIND
    return made;
  }();
  return opened;
}

const Opened& opened_cupti(cuda::cupti::Functions& functions) {
  static const Opened opened = [&] {
    Opened made = open_library({.who = "an audit of the process",
                                .title = "CUPTI",
                                .variable = "PENSTOCK_CUPTI",
                                .sonames = loaded_first(sonames("libcupti")),
                                .how = "Install it (pip install nvidia-cuda-cupti, or the CUDA toolkit)"});
#define PENSTOCK_FIND(name) find(made, "cupti" #name, functions.name);
    PENSTOCK_CUPTI_FUNCTIONS(PENSTOCK_FIND)
#undef PENSTOCK_FIND
    return made;
  }();
  return opened;
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

const cublaslt::Functions& cublaslt_functions() {
  static cublaslt::Functions functions;
  const Opened& opened = opened_cublaslt(functions);
  if (opened.handle == nullptr) base::fail(ErrorCode::NotFound, "{}", opened.problem);
  return functions;
}

const cudnn::Functions& cudnn_functions() {
  static cudnn::Functions functions;
  const Opened& opened = opened_cudnn(functions);
  if (opened.handle == nullptr) base::fail(ErrorCode::NotFound, "{}", opened.problem);
  return functions;
}

const cuda::cupti::Functions& cupti_functions() {
  static cuda::cupti::Functions functions;
  const Opened& opened = opened_cupti(functions);
  if (opened.handle == nullptr) base::fail(ErrorCode::NotFound, "{}", opened.problem);
  return functions;
}

}  // namespace penstock::cuda_ops
