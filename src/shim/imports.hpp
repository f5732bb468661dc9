#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::shim {

/// Who answers an import of a model library.
enum class ImportKind {
  System,   ///< Not ours: the dynamic linker binds it to the C and C++ runtimes.
  Ours,     ///< Bound to `address`.
  Missing,  ///< Ours to answer, but there is nothing to answer it with.
};

struct Import {
  ImportKind kind = ImportKind::System;
  void* address = nullptr;
  /// For a missing one: what would have it, such as "SLEEF (apt install libsleef3)"; else empty.
  std::string_view provider = {};
};

/// How imports are answered for one load.
struct ImportOptions {
  bool generated_checks = true;
  /// The library maps weights that are appended to its own file.
  bool appended_weights = false;
};

/// Says who answers the import `name`. Opens SLEEF and libgomp when one of theirs is asked for.
/// Thread: thread-safe.
Import resolve_import(std::string_view name, const ImportOptions& options);

/// True where Penstock has the function `name` of PyTorch's C ABI. Opens nothing.
bool has_shim_function(std::string_view name) noexcept;

}  // namespace penstock::shim
