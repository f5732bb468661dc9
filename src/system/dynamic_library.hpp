#pragma once

#include <string>
#include <vector>

namespace penstock::system {

/// A shared library that is opened when it is first needed and stays open.
/// Thread: thread-safe.
class DynamicLibrary {
 public:
  /// Tries the names in order. Errors: none; check `is_open`.
  explicit DynamicLibrary(const std::vector<std::string>& names);
  DynamicLibrary(const DynamicLibrary&) = delete;
  DynamicLibrary& operator=(const DynamicLibrary&) = delete;

  [[nodiscard]] bool is_open() const noexcept { return handle_ != nullptr; }
  /// Address of an exported symbol; null where there is none.
  [[nodiscard]] void* find(const char* name) const noexcept;
  /// The file it was loaded from; empty where it is not open.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Why no name could be opened, one reason a line.
  [[nodiscard]] const std::string& reasons() const noexcept { return reasons_; }

 private:
  void* handle_ = nullptr;
  std::string path_;
  std::string reasons_;
};

/// The libraries that packages may need, found in the environment's variable, beside libpenstock, in
/// the build tree's download folder, or by the dynamic linker. Opened at the first call.
const DynamicLibrary& sleef();    ///< PENSTOCK_SLEEF
const DynamicLibrary& libgomp();  ///< PENSTOCK_LIBGOMP
const DynamicLibrary& onednn();   ///< PENSTOCK_ONEDNN

}  // namespace penstock::system
