#pragma once

#include "base/unique_handle.hpp"
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
  /// Errors: as Archive::read_start.
  [[nodiscard]] virtual SharedBytes read_start(std::size_t index, std::uint64_t most) const {
    SharedBytes whole = read(index);
    if (whole.bytes.size() > most) whole.bytes = whole.bytes.first(most);
    return whole;
  }
  /// Errors: as Archive::read_private, whose caller has checked that the range is within the entry.
  [[nodiscard]] virtual PrivateBytes read_private(std::size_t index, std::uint64_t offset,
                                                  std::uint64_t size) const = 0;
  /// All bytes of an archive file; empty for a folder.
  [[nodiscard]] virtual std::span<const std::byte> file_bytes() const noexcept { return {}; }
};

/// A file's bytes and the file itself; null where they come from elsewhere.
struct MappedFile {
  SharedBytes bytes;
  std::shared_ptr<const base::UniqueFd> file;
};

/// Maps a regular file, read only. Errors: NotFound; OutOfMemory.
MappedFile map_file(const std::filesystem::path& path);

/// Maps a part of a file once more, for writing: what is written is never seen in the file.
/// Errors: OutOfMemory names `what`.
PrivateBytes map_private(const base::UniqueFd& file, std::uint64_t offset, std::uint64_t size,
                         const std::string& what);

/// Errors: OutOfMemory names `what`.
PrivateBytes copy_private(std::span<const std::byte> bytes, const std::string& what);

/// Errors: Corrupt, Unsupported.
std::shared_ptr<const ArchiveSource> open_zip_source(MappedFile mapped, const std::string& name);

/// The package folder at `path`, or the only one in it. Errors: NotFound, Corrupt.
std::shared_ptr<const ArchiveSource> open_folder_source(const std::filesystem::path& path);

}  // namespace penstock::package
