#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// A file of a zip archive, its place checked.
struct ZipEntry {
  std::string name;         ///< As in the archive, top folder included.
  std::uint64_t index = 0;  ///< Position in the archive's directory.
  std::uint64_t data_offset = 0;
  std::uint64_t compressed_bytes = 0;
  std::uint64_t bytes = 0;
  std::uint32_t crc = 0;
  std::uint16_t method = 0;  ///< 0: stored; 8: deflated.
};

/// Reads the whole directory of a zip archive and checks it: docs/formats/package.md lists the checks.
/// Folder entries are left out. `file` names the archive in messages.
/// Source: PKWARE APPNOTE.TXT 6.3.10. Errors: Corrupt; Unsupported (encryption, several disks, other
/// compression, compressed entries of more than 64 MiB that are also more than 20 times the file).
std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> bytes, std::string_view file);

}  // namespace penstock::package
