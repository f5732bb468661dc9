#pragma once

#include "package/archive.hpp"

#include <string>
#include <string_view>

namespace penstock::package {

/// An archive that lies in an entry of another one, as torch.save writes them into packages. Thread: one
/// caller at a time.
class NestedArchive {
 public:
  /// Errors: as Archive::read and open_memory; Incompatible where it states another byte order.
  NestedArchive(const Archive& outer, std::string_view entry, const std::string& what);

  [[nodiscard]] bool contains(std::string_view name) const noexcept { return inner_.contains(name); }

  /// Errors: Corrupt where there is no such entry; else as Archive::read.
  [[nodiscard]] SharedBytes read(std::string_view name) const;

  /// The bytes of an entry, to be written to: of the file itself where they lie in it as they are.
  /// Errors: as `read` and Archive::read_private.
  [[nodiscard]] PrivateBytes writable(std::string_view name) const;

 private:
  const Archive& outer_;
  std::string entry_;
  SharedBytes bytes_;
  Archive inner_;
};

}  // namespace penstock::package
