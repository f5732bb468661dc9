#include "package/nested_archive.hpp"

#include "base/fail.hpp"
#include "package/archive_source.hpp"

#include <functional>

namespace penstock::package {

NestedArchive::NestedArchive(const Archive& outer, std::string_view entry, const std::string& what)
    : outer_(outer), entry_(entry), bytes_(outer.read(entry)), inner_(Archive::open_memory(bytes_, what)) {
  if (!inner_.contains("byteorder")) return;
  const std::string order = inner_.read_text("byteorder", 16);
  if (order != "little") {
    base::fail(ErrorCode::Incompatible, "{}: byte order \"{}\", this machine is little-endian", what, order);
  }
}

SharedBytes NestedArchive::read(std::string_view name) const {
  if (!contains(name)) {
    base::fail(ErrorCode::Corrupt, "{}: the archive there has no \"{}\"; export the package again",
               inner_.name(), name);
  }
  return inner_.read(name);
}

PrivateBytes NestedArchive::writable(std::string_view name) const {
  const SharedBytes data = read(name);
  if (data.bytes.empty()) return {};
  const std::byte* const begin = bytes_.bytes.data();
  const std::byte* const end = begin + bytes_.bytes.size();
  // Inflated ones lie elsewhere.
  if (std::less<>{}(data.bytes.data(), begin) || !std::less<>{}(data.bytes.data(), end))
    return copy_private(data.bytes, outer_.name());
  return outer_.read_private(entry_, static_cast<std::uint64_t>(data.bytes.data() - begin),
                             data.bytes.size());
}

}  // namespace penstock::package
