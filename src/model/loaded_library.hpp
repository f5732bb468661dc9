#pragma once

#include "model/library_image.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace penstock::model {

/// A model library in this process. Unloaded when destroyed, whatever other threads did in it before.
class LoadedLibrary {
 public:
  /// Loads from a memory file under a name that nothing else in the process has. Blocking; runs the
  /// library's constructors. Errors: Incompatible with the dynamic linker's words; OutOfMemory.
  LoadedLibrary(const LibraryImage& image, std::string_view what);
  /// Of a model that has none: without entry points.
  LoadedLibrary() = default;
  ~LoadedLibrary();
  LoadedLibrary(const LoadedLibrary&) = delete;
  LoadedLibrary& operator=(const LoadedLibrary&) = delete;

  /// Address of an entry point; null where the library has none of that name.
  template <class Function>
  [[nodiscard]] Function* find(std::string_view name) const noexcept {
    return reinterpret_cast<Function*>(address_of(name));
  }

  /// Where an address of the library's file lies in this process.
  [[nodiscard]] void* at(std::uint64_t address) const noexcept {
    return reinterpret_cast<void*>(base_ + address);
  }

 private:
  [[nodiscard]] void* address_of(std::string_view name) const noexcept;

  void* handle_ = nullptr;
  std::uintptr_t base_ = 0;
  std::uintptr_t end_ = 0;
  std::vector<EntryPoint> entry_points_;
};

}  // namespace penstock::model
