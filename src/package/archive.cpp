#include "package/archive.hpp"

#include "base/fail.hpp"
#include "package/archive_source.hpp"
#include "package/byte_reader.hpp"
#include "package/digest.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace penstock::package {

Archive::Archive(std::string name, std::shared_ptr<const ArchiveSource> source)
    : name_(std::move(name)), entries_(source->entries()), source_(std::move(source)) {
  const auto file = source_->file_bytes();
  total_bytes_ = file.size();
  if (!file.empty()) return;
  for (const ArchiveEntry& entry : entries_) total_bytes_ += entry.bytes;
}

Archive Archive::open(const std::filesystem::path& path) { return open(path, {}); }

Archive Archive::open(const std::filesystem::path& path, std::string_view sha256) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    if (!sha256.empty()) {
      base::fail(ErrorCode::InvalidArgument, "{}: a folder has no SHA-256; give the archive file",
                 path.string());
    }
    return Archive(path.string(), open_folder_source(path));
  }
  auto file = map_file(path);
  if (!sha256.empty()) check_sha256(file.bytes.bytes, sha256, path.string());
  return Archive(path.string(), open_zip_source(std::move(file), path.string()));
}

Archive Archive::open_memory(SharedBytes bytes, const std::string& name) {
  return Archive(name, open_zip_source({.bytes = std::move(bytes), .file = nullptr}, name));
}

std::optional<std::size_t> Archive::index_of(std::string_view entry) const noexcept {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), entry,
                       [](const ArchiveEntry& left, std::string_view right) { return left.name < right; });
  if (found == entries_.end() || found->name != entry) return std::nullopt;
  return static_cast<std::size_t>(found - entries_.begin());
}

bool Archive::contains(std::string_view entry) const noexcept { return index_of(entry).has_value(); }

std::span<const std::byte> Archive::file_bytes() const noexcept { return source_->file_bytes(); }

SharedBytes Archive::read(std::string_view entry) const {
  const auto index = index_of(entry);
  if (!index) base::fail(ErrorCode::NotFound, "{} has no entry \"{}\"", name_, entry);
  return source_->read(*index);
}

SharedBytes Archive::read_start(std::string_view entry, std::uint64_t most) const {
  const auto index = index_of(entry);
  if (!index) base::fail(ErrorCode::NotFound, "{} has no entry \"{}\"", name_, entry);
  return source_->read_start(*index, most);
}

PrivateBytes Archive::read_private(std::string_view entry, std::uint64_t offset, std::uint64_t size) const {
  const auto index = index_of(entry);
  if (!index) base::fail(ErrorCode::NotFound, "{} has no entry \"{}\"", name_, entry);
  if (!base::fits(offset, size, entries_[*index].bytes)) {
    base::fail(ErrorCode::Corrupt, "{}: \"{}\" has {} bytes, of which {} from byte {} on are wanted", name_,
               entry, entries_[*index].bytes, size, offset);
  }
  if (size == 0) return {};
  return source_->read_private(*index, offset, size);
}

std::string Archive::read_text(std::string_view entry, std::uint64_t max_bytes) const {
  const auto index = index_of(entry);
  // Before anything is inflated.
  if (index && entries_[*index].bytes > max_bytes) {
    base::fail(ErrorCode::Corrupt,
               "{}: \"{}\" has {} bytes, more than the {} that are taken; export the package again", name_,
               entry, entries_[*index].bytes, max_bytes);
  }
  const SharedBytes bytes = read(entry);
  return std::string(as_text(bytes.bytes));
}

}  // namespace penstock::package
