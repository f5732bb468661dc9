#include "cuda_ops/vendor_library.hpp"

#include "base/fail.hpp"
#include "cuda/driver.hpp"
#include "system/vendor_library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <string>
#include <utility>

namespace penstock::cuda_ops {
namespace {

using Wanted = system::WantedLibrary;
using Opened = system::OpenedLibrary;

template <class Functions>
struct Library {
  explicit Library(Wanted from) : wanted(std::move(from)), opened(system::open_library(wanted)) {}

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

const cublaslt::Functions& cublaslt_functions() { return functions_of(cublaslt_library()); }

const cudnn::Functions& cudnn_functions() { return functions_of(cudnn_library()); }

const cuda::cupti::Functions& cupti_functions() { return functions_of(cupti_library()); }

std::vector<OptionalLibrary> vendor_libraries() {
  return {describe(cublaslt_library()), describe(cudnn_library()), describe(cupti_library())};
}

}  // namespace penstock::cuda_ops
