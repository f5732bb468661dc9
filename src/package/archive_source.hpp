#pragma once

#include "package/archive.hpp"

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace penstock::package {

/// Where an Archive's bytes come from. Thread: thread-safe.
class ArchiveSource {
 public:
  ArchiveSource() = default;
  ArchiveSource(const ArchiveSource&) = delete;
  ArchiveSource& operator=(const ArchiveSource&) = delete;
  virtual ~ArchiveSource() = default;

  /// Sorted by name; the index of an entry is what `read` takes.
  [[nodiscard]] virtual std::vector<ArchiveEntry> entries() const = 0;
  /// Errors: as Archive::read. The bytes may outlive the source.
  [[nodiscard]] virtual SharedBytes read(std::size_t index) const = 0;
  /// All bytes of an archive file; empty for a folder.
  [[nodiscard]] virtual std::span<const std::byte> file_bytes() const noexcept { return {}; }
};

/// Maps a regular file, read only. Errors: NotFound; OutOfMemory.
SharedBytes map_file(const std::filesystem::path& path);

/// Errors: Corrupt, Unsupported.
std::shared_ptr<const ArchiveSource> open_zip_source(SharedBytes bytes, const std::string& file);

/// The package folder at `path`, or the only one in it. Errors: NotFound, Corrupt.
std::shared_ptr<const ArchiveSource> open_folder_source(const std::filesystem::path& path);

}  // namespace penstock::package
