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

  [[nodiscard]] const Archive& inner() const noexcept { return inner_; }

  /// The bytes of an entry, to be written to: of the file itself where they lie in it as they are.
  /// Errors: as Archive::read and read_private.
  [[nodiscard]] PrivateBytes writable(std::string_view name) const;

 private:
  const Archive& outer_;
  std::string entry_;
  SharedBytes bytes_;
  Archive inner_;
};

}  // namespace penstock::package
