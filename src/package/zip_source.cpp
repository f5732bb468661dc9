#include "base/fail.hpp"
#include "base/unique_handle.hpp"
#include "package/archive_source.hpp"
#include "package/checksum.hpp"
#include "package/zip_directory.hpp"

#include <zip.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace penstock::package {
namespace {

struct ZipCloser {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};

struct ZipFileCloser {
  void operator()(zip_file_t* file) const noexcept { zip_fclose(file); }
};

class ZipSource final : public ArchiveSource {
 public:
  ZipSource(MappedFile mapped, const std::string& name)
      : file_(std::move(mapped.bytes)),
        descriptor_(std::move(mapped.file)),
        name_(name),
        items_(read_zip_directory(file_.bytes, name)),
        verified_(items_.size()) {
    strip_top_folder();
    std::sort(items_.begin(), items_.end(),
              [](const ZipEntry& left, const ZipEntry& right) { return left.name < right.name; });
  }

  [[nodiscard]] std::vector<ArchiveEntry> entries() const override {
    std::vector<ArchiveEntry> result;
    result.reserve(items_.size());
    for (const ZipEntry& item : items_) result.push_back({item.name, item.bytes});
    return result;
  }

  [[nodiscard]] std::span<const std::byte> file_bytes() const noexcept override { return file_.bytes; }

  [[nodiscard]] SharedBytes read(std::size_t index) const override {
    const ZipEntry& item = items_[index];
    if (item.method == 0) return {verified(index), file_.owner};
    const PrivateBytes inflated = inflate(item);
    return {inflated.bytes, inflated.owner};
  }

  [[nodiscard]] PrivateBytes read_private(std::size_t index, std::uint64_t offset,
                                          std::uint64_t size) const override {
    const ZipEntry& item = items_[index];
    if (item.method != 0) {
      // Inflated for this call alone.
      PrivateBytes inflated = inflate(item);
      inflated.bytes = inflated.bytes.subspan(offset, size);
      return inflated;
    }
    const auto bytes = verified(index).subspan(offset, size);
    if (descriptor_ == nullptr) return copy_private(bytes, name_);
    return map_private(*descriptor_, item.data_offset + offset, size, name_);
  }

 private:
  /// Bytes of a stored entry in place, its checksum verified.
  [[nodiscard]] std::span<const std::byte> verified(std::size_t index) const {
    const ZipEntry& item = items_[index];
    const auto bytes = file_.bytes.subspan(item.data_offset, item.bytes);
    // Once is enough: the file may not change while it is open.
    if (verified_[index].load(std::memory_order_relaxed)) return bytes;
    if (checksum_of(bytes, descriptor_ != nullptr) != item.crc) corrupt(item, "its checksum is wrong");
    verified_[index].store(true, std::memory_order_relaxed);
    return bytes;
  }

  [[noreturn]] void corrupt(const ZipEntry& item, std::string_view reason) const {
    base::fail(ErrorCode::Corrupt, "{}: \"{}\" is corrupt: {}; copy or export the package again", name_,
               item.name, reason);
  }

  void strip_top_folder() {
    if (items_.empty()) {
      base::fail(ErrorCode::Corrupt, "{}: the archive is empty; export the package again", name_);
    }
    const std::string first = items_.front().name;
    const std::string top = first.substr(0, first.find('/') + 1);
    for (ZipEntry& item : items_) {
      if (top.empty() || item.name.compare(0, top.size(), top) != 0) {
        base::fail(ErrorCode::Corrupt,
                   "{}: not a package: \"{}\" does not lie in the one top folder that packages have; "
                   "make it with torch._inductor.aoti_compile_and_package",
                   name_, top.empty() ? first : item.name);
      }
      item.name.erase(0, top.size());
    }
  }

  /// libzip reads the directory once more: everything that it sees must be what was checked.
  [[nodiscard]] PrivateBytes inflate(const ZipEntry& item) const {
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(file_.bytes.data(), file_.bytes.size(), 0, &error);
    const std::unique_ptr<zip_t, ZipCloser> archive(
        source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error));
    if (!archive) {
      if (source != nullptr) zip_source_free(source);
      const std::string reason = zip_error_strerror(&error);
      zip_error_fini(&error);
      corrupt(item, reason);
    }
    zip_stat_t stat;
    if (zip_stat_index(archive.get(), item.index, 0, &stat) != 0 || stat.size != item.bytes ||
        stat.comp_size != item.compressed_bytes || stat.crc != item.crc || stat.comp_method != item.method) {
      corrupt(item, "libzip reads its directory entry otherwise");
    }
    const std::unique_ptr<zip_file_t, ZipFileCloser> file(zip_fopen_index(archive.get(), item.index, 0));
    if (!file) {
      base::fail(ErrorCode::Unsupported, "{}: \"{}\" cannot be read: {}; pack it again without compression",
                 name_, item.name, zip_strerror(archive.get()));
    }
    return read_all(item, file.get());
  }

  [[nodiscard]] PrivateBytes read_all(const ZipEntry& item, zip_file_t* file) const {
    if (item.bytes == 0) return {};
    // Pages come as they are written, so that a size that lies costs nothing.
    void* memory = ::mmap(nullptr, item.bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      base::fail(ErrorCode::OutOfMemory, "{}: no memory for the {} bytes of \"{}\"", name_, item.bytes,
                 item.name);
    }
    const auto mapping = std::make_shared<base::UniqueMapping>(memory, item.bytes);
    const std::span<std::byte> data = mapping->bytes();
    std::uint64_t done = 0;
    while (done < item.bytes) {
      const zip_int64_t got = zip_fread(file, data.data() + done, item.bytes - done);
      if (got <= 0) corrupt(item, got == 0 ? "it ends too early" : zip_file_strerror(file));
      done += static_cast<std::uint64_t>(got);
    }
    // libzip compares the checksum when it finds the end, which must be here.
    std::byte more{};
    const zip_int64_t rest = zip_fread(file, &more, 1);
    if (rest != 0) corrupt(item, rest > 0 ? "it is longer than it says" : zip_file_strerror(file));
    if (checksum_of(data, false) != item.crc) corrupt(item, "its checksum is wrong");
    return {data, mapping};
  }

  SharedBytes file_;
  std::shared_ptr<const base::UniqueFd> descriptor_;  ///< Null where the bytes are of no file.
  std::string name_;
  std::vector<ZipEntry> items_;
  mutable std::vector<std::atomic<bool>> verified_;
};

}  // namespace

std::shared_ptr<const ArchiveSource> open_zip_source(MappedFile mapped, const std::string& name) {
  return std::make_shared<ZipSource>(std::move(mapped), name);
}

}  // namespace penstock::package
