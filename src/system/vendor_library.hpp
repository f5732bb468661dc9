#pragma once

#include <string>
#include <vector>

namespace penstock::system {

/// A library of a vendor that Penstock opens only when something needs it.
struct WantedLibrary {
  const char* who;  ///< Needs it.
  const char* title;
  const char* needed_for;
  const char* variable;              ///< That names the file; then it is looked for nowhere else.
  std::vector<std::string> sonames;  ///< The best first.
  const char* how;                   ///< To get it.
};

/// One that was looked for.
struct OpenedLibrary {
  void* handle = nullptr;  ///< Null: it was not found. Never closed.
  std::string path;
  std::vector<std::string> attempts;  ///< Where it is missing.
  std::string advice;                 ///< The same.
  std::string problem;                ///< The same, as a whole message.
};

/// Opens it. Looked for in this order: the file that the variable names, and then nowhere else; where the
/// dynamic linker looks; beside libpenstock; the wheels of the Python environment around it, of the active
/// one and of the first python3 on PATH; toolkits. No program is run for that. Blocking. Errors: OutOfMemory.
OpenedLibrary open_library(const WantedLibrary& wanted);

/// The library of one soname or file, opened; null where it is not found, and `attempts` says where it was
/// looked for. Blocking. Errors: OutOfMemory.
OpenedLibrary open_library(const std::string& name);

/// Where, besides the dynamic linker's own places, a library of a vendor may be. Of the surroundings that
/// `Surroundings` gives. Errors: none.
struct Surroundings {
  std::string own_folder;   ///< Of libpenstock.
  std::string virtual_env;  ///< VIRTUAL_ENV, CONDA_PREFIX, CUDA_PATH: empty where not set.
  std::string conda_prefix;
  std::string cuda_path;
  std::string path;                     ///< PATH
  std::string toolkits = "/usr/local";  ///< Folder with cuda, cuda-13.0, ...
};
std::vector<std::string> vendor_folders(const Surroundings& around);

}  // namespace penstock::system
