#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// Bytes with what keeps them alive.
struct SharedBytes {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;
};

/// Bytes that may be written to without anyone else seeing it, with what keeps them alive.
struct PrivateBytes {
  std::span<std::byte> bytes;
  std::shared_ptr<const void> owner;
  /// They are pages of a file until they are written to.
  bool of_file = false;
};

/// A file inside a package. The name is relative to the package's top folder, '/'-separated, and is
/// never used as a path on this machine.
struct ArchiveEntry {
  std::string name;
  std::uint64_t bytes = 0;
};

class ArchiveSource;

/// The files of a package: a zip archive in a file or in memory, or an unpacked folder.
/// Thread: thread-safe.
class Archive {
 public:
  /// Maps a file and checks the whole directory (truncation, end record, overlap, duplicates, names,
  /// sizes, count), or lists a folder. Errors: NotFound, Corrupt, Unsupported; see docs/formats/.
  static Archive open(const std::filesystem::path& path);
  /// The same of a file that must have this SHA-256, which is compared before anything of it is looked at;
  /// empty: any. Errors: also InvalidArgument for another digest, and for a folder, which has none.
  static Archive open(const std::filesystem::path& path, std::string_view sha256);
  static Archive open_memory(SharedBytes bytes, const std::string& name);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::span<const ArchiveEntry> entries() const noexcept { return entries_; }
  [[nodiscard]] bool contains(std::string_view entry) const noexcept;
  [[nodiscard]] std::uint64_t total_bytes() const noexcept { return total_bytes_; }
  /// All bytes of the archive file; empty for a folder.
  [[nodiscard]] std::span<const std::byte> file_bytes() const noexcept;

  /// Bytes of an entry, its checksum verified: used in place where they are stored, else inflated.
  /// Errors: NotFound; Corrupt (checksum, size that lies); OutOfMemory.
  [[nodiscard]] SharedBytes read(std::string_view entry) const;

  /// The first bytes of an entry, all of it where it has `most` or fewer. Of a compressed one no more is
  /// inflated, and so where it has more its checksum is not verified. `most` is not 0. Errors: as read.
  [[nodiscard]] SharedBytes read_start(std::string_view entry, std::uint64_t most) const;

  /// `size` bytes of an entry from `offset` on, its checksum verified. Where the entry is stored in a
  /// file they are the file's own pages, and memory is used only for what is written to; else a copy.
  /// Errors: as read, and Corrupt where the entry ends before.
  [[nodiscard]] PrivateBytes read_private(std::string_view entry, std::uint64_t offset,
                                          std::uint64_t size) const;

  /// `read` as text of at most `max_bytes`. Errors: as read, and Corrupt for more.
  [[nodiscard]] std::string read_text(std::string_view entry, std::uint64_t max_bytes) const;

 private:
  Archive(std::string name, std::shared_ptr<const ArchiveSource> source);
  [[nodiscard]] std::optional<std::size_t> index_of(std::string_view entry) const noexcept;

  std::string name_;
  std::vector<ArchiveEntry> entries_;
  std::uint64_t total_bytes_ = 0;
  std::shared_ptr<const ArchiveSource> source_;
};

}  // namespace penstock::package
