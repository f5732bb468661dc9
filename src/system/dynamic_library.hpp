#pragma once

#include <string>
#include <vector>

namespace penstock::system {

/// A shared library that is opened when it is first needed and stays open.
/// Thread: thread-safe.
class DynamicLibrary {
 public:
  /// Says why the library behind `handle` will not do; empty: it will.
  using Check = std::string (*)(void* handle);

  /// Tries the names in order. Errors: none; check `is_open`.
  explicit DynamicLibrary(const std::vector<std::string>& names);
  DynamicLibrary(const std::vector<std::string>& names, Check check);
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return handle_ != nullptr; }
  /// Address of an exported symbol; null where there is none.
  [[nodiscard]] void* find(const char* name) const noexcept;
  /// The file it was loaded from; empty where it is not open.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Why no name could be opened, one reason a line.
  [[nodiscard]] const std::string& reasons() const noexcept { return reasons_; }
  /// It is not open though its file is there: it could not be mapped, as a rule for lack of memory.
  [[nodiscard]] bool lacks_memory() const noexcept { return lacks_memory_; }

 private:
  friend std::string onednn_version();

  void* handle_ = nullptr;
  std::string path_;
  std::string reasons_;
  bool lacks_memory_ = false;
};

/// The libraries that packages may need: the file that the environment's variable names, and where it
/// is not set, by soname, so in libpenstock's own RUNPATH (an install's folder, a build tree's
/// downloads) and where the dynamic linker looks. Opened at the first call, never closed.
const DynamicLibrary& sleef();    ///< PENSTOCK_SLEEF
const DynamicLibrary& libgomp();  ///< PENSTOCK_LIBGOMP
const DynamicLibrary& onednn();   ///< PENSTOCK_ONEDNN; open only where it is version 3

/// "3.8.1"; empty where oneDNN is not open.
std::string onednn_version();

}  // namespace penstock::system
