#include "system/dynamic_library.hpp"

#include <dlfcn.h>
#include <link.h>

#include <cstdlib>
#include <utility>

namespace penstock::system {
namespace {

/// The variable's file alone where it is set: a user who names one wants no other.
std::vector<std::string> names_of(const char* variable, std::string soname) {
  const char* path = std::getenv(variable);
  if (path != nullptr && *path != '\0') return {path};
  return {std::move(soname)};
}

/// Empty where `handle` is not oneDNN.
std::string version_of_onednn(void* handle) {
  struct Version {  // How dnnl_version_t begins since oneDNN 1.
    int major, minor, patch;
  };
  const auto version = reinterpret_cast<const Version* (*)()>(::dlsym(handle, "dnnl_version"));
  const Version* value = version == nullptr ? nullptr : version();
  if (value == nullptr) return {};
  return std::to_string(value->major) + "." + std::to_string(value->minor) + "." +
         std::to_string(value->patch);
}

std::string check_onednn(void* handle) {
  const std::string version = version_of_onednn(handle);
  if (version.rfind("3.", 0) == 0) return {};
  return version.empty() ? "is not oneDNN" : "is oneDNN " + version + "; version 3 is needed";
}

}  // namespace

DynamicLibrary::DynamicLibrary(const std::vector<std::string>& names) : DynamicLibrary(names, nullptr) {}

DynamicLibrary::DynamicLibrary(const std::vector<std::string>& names, Check check) {
  for (const std::string& name : names) {
    void* handle = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    std::string reason;
    if (handle == nullptr) {
      const char* error = ::dlerror();
      reason = error == nullptr ? name + ": cannot be opened" : error;
      // glibc's words where mmap gives nothing; it tells no reason.
      lacks_memory_ = lacks_memory_ || reason.find("failed to map segment") != std::string::npos;
    } else if (check != nullptr) {
      reason = check(handle);
    }
    if (handle != nullptr && reason.empty()) {
      handle_ = handle;
      link_map* map = nullptr;
      if (::dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && map != nullptr) path_ = map->l_name;
      return;
    }
    if (handle != nullptr) {
      reason = name + ": " + reason;
      ::dlclose(handle);
    }
    reasons_ += (reasons_.empty() ? "" : "\n") + reason;
  }
}

void* DynamicLibrary::find(const char* name) const noexcept {
  return handle_ == nullptr ? nullptr : ::dlsym(handle_, name);
}

// Never closed: operators and threads of these libraries may live until the process ends.
const DynamicLibrary& sleef() {
  static const auto& library = *new DynamicLibrary(names_of("PENSTOCK_SLEEF", "libsleef.so.3"));
  return library;
}

const DynamicLibrary& libgomp() {
  static const auto& library = *new DynamicLibrary(names_of("PENSTOCK_LIBGOMP", "libgomp.so.1"));
  return library;
}

const DynamicLibrary& onednn() {
  static const auto& library =
      *new DynamicLibrary(names_of("PENSTOCK_ONEDNN", "libdnnl.so.3"), &check_onednn);
  return library;
}

std::string onednn_version() {
  return onednn().is_open() ? version_of_onednn(onednn().handle_) : std::string();
}

}  // namespace penstock::system
