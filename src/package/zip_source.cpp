#include "base/fail.hpp"
#include "base/unique_handle.hpp"
#include "package/archive_source.hpp"
#include "package/checksum.hpp"
#include "package/inflate.hpp"
#include "package/zip_directory.hpp"

#include <algorithm>
#include <atomic>
#include <utility>

namespace penstock::package {
namespace {

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

  [[nodiscard]] SharedBytes read_start(std::size_t index, std::uint64_t most) const override {
    const ZipEntry& item = items_[index];
    if (item.method == 0 || item.bytes <= most) return ArchiveSource::read_start(index, most);
    const PrivateBytes room = room_for(item, most);
    if (inflate_into(room.bytes, packed(item)) != Inflated::TooLong)
      corrupt(item, "its compressed data is damaged");
    return {room.bytes, room.owner};
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

  /// Pages come as they are written, so that a size that lies costs nothing.
  [[nodiscard]] PrivateBytes room_for(const ZipEntry& item, std::uint64_t size) const {
    void* memory =
        ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
      base::fail(ErrorCode::OutOfMemory, "{}: no memory for the {} bytes of \"{}\"", name_, size, item.name);
    }
    const auto mapping = std::make_shared<base::UniqueMapping>(memory, size);
    return {mapping->bytes(), mapping};
  }

  [[nodiscard]] PrivateBytes inflate(const ZipEntry& item) const {
    PrivateBytes room = item.bytes == 0 ? PrivateBytes() : room_for(item, item.bytes);
    switch (inflate_into(room.bytes, packed(item))) {
      case Inflated::Whole: break;
      case Inflated::TooLong: corrupt(item, "it is longer than it says");
      case Inflated::Short: corrupt(item, "it ends too early");
      case Inflated::Damaged: corrupt(item, "its compressed data is damaged");
    }
    if (checksum_of(room.bytes, false) != item.crc) corrupt(item, "its checksum is wrong");
    return room;
  }

  /// What an entry takes in the file. That no other method is there was seen when the directory was read.
  [[nodiscard]] std::span<const std::byte> packed(const ZipEntry& item) const {
    return file_.bytes.subspan(item.data_offset, item.compressed_bytes);
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
