#include "package/zip_directory.hpp"

#include "base/fail.hpp"
#include "package/byte_reader.hpp"
#include "package/entry_name.hpp"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace penstock::package {
namespace {

constexpr std::uint64_t kMaxEntries = 20'000;
// Packages are not compressed, as torch makes them. Code and text of one come to a fourth or so; what comes
// to a thousandth is made to fill memory.
constexpr std::uint64_t kMostInflation = 20;
constexpr std::uint64_t kAlwaysInflated = std::uint64_t{64} << 20;
constexpr std::uint16_t kStored = 0;
constexpr std::uint16_t kDeflated = 8;

constexpr std::uint16_t kFlagEncrypted = 1U << 0U;
constexpr std::uint16_t kFlagDescriptor = 1U << 3U;  // sizes and checksum follow the data
constexpr std::uint16_t kFlagsUnsupported = kFlagEncrypted | 1U << 5U | 1U << 6U | 1U << 13U;
constexpr std::uint16_t kZip64Extra = 0x0001;
constexpr std::uint32_t kMax32 = 0xffffffffU;
constexpr std::uint16_t kMax16 = 0xffffU;

#pragma pack(push, 1)
struct EndRecord {
  std::uint32_t signature;
  std::uint16_t disk, directory_disk, disk_entries, entries;
  std::uint32_t directory_bytes, directory_offset;
  std::uint16_t comment_bytes;
};
struct Zip64Locator {
  std::uint32_t signature, record_disk;
  std::uint64_t record_offset;
  std::uint32_t disks;
};
struct Zip64EndRecord {
  std::uint32_t signature;
  std::uint64_t record_bytes;
  std::uint16_t made_by, needed;
  std::uint32_t disk, directory_disk;
  std::uint64_t disk_entries, entries, directory_bytes, directory_offset;
};
struct CentralHeader {
  std::uint32_t signature;
  std::uint16_t made_by, needed, flags, method, time, date;
  std::uint32_t crc, compressed, uncompressed;
  std::uint16_t name_bytes, extra_bytes, comment_bytes, disk, internal;
  std::uint32_t external, local_offset;
};
struct LocalHeader {
  std::uint32_t signature;
  std::uint16_t needed, flags, method, time, date;
  std::uint32_t crc, compressed, uncompressed;
  std::uint16_t name_bytes, extra_bytes;
};
#pragma pack(pop)
static_assert(sizeof(EndRecord) == 22 && sizeof(Zip64Locator) == 20 && sizeof(Zip64EndRecord) == 56);
static_assert(sizeof(CentralHeader) == 46 && sizeof(LocalHeader) == 30);

/// Sizes of an entry that a zip64 extra field may hold instead of the header.
struct Sizes {
  std::uint64_t uncompressed = 0, compressed = 0, local_offset = 0, disk = 0;
};

class DirectoryReader {
 public:
  DirectoryReader(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  std::vector<ZipEntry> read() {
    find_directory();
    read_entries();
    check_ranges();
    return std::move(entries_);
  }

 private:
  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: {}; copy or export the package again", file_,
               fmt::format(format, std::forward<Args>(args)...));
  }

  template <class... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Unsupported, "{}: {}; pack it again without that", file_,
               fmt::format(format, std::forward<Args>(args)...));
  }

  /// The end record is the last thing in the file; only a comment of its own length may follow.
  [[nodiscard]] std::uint64_t find_end_record() const {
    const std::uint64_t most = std::min<std::uint64_t>(bytes_.size(), sizeof(EndRecord) + kMax16);
    for (std::uint64_t back = sizeof(EndRecord); back <= most; ++back) {
      const auto record = read_at<EndRecord>(bytes_, bytes_.size() - back);
      if (record->signature == 0x06054b50U && record->comment_bytes == back - sizeof(EndRecord)) {
        return bytes_.size() - back;
      }
    }
    const auto start = read_at<std::uint32_t>(bytes_, 0);
    if (start == 0x04034b50U)
      corrupt("truncated: the zip archive of {} bytes has no end record", bytes_.size());
    corrupt("not a zip archive ({} bytes, without an end record)", bytes_.size());
  }

  void find_directory() {
    const std::uint64_t end_offset = find_end_record();
    const auto end = *read_at<EndRecord>(bytes_, end_offset);
    std::uint64_t directory_end = end_offset;
    count_ = end.entries;
    directory_bytes_ = end.directory_bytes;
    directory_offset_ = end.directory_offset;
    if (end.disk != 0 && end.disk != kMax16) unsupported("the archive is one of several parts");

    const auto locator = end_offset >= sizeof(Zip64Locator)
                             ? read_at<Zip64Locator>(bytes_, end_offset - sizeof(Zip64Locator))
                             : std::nullopt;
    if (locator && locator->signature == 0x07064b50U) {
      directory_end = read_zip64_end(*locator, end, end_offset - sizeof(Zip64Locator));
    } else if (end.entries != end.disk_entries || end.directory_disk != 0) {
      unsupported("the archive is one of several parts");
    }
    if (count_ > kMaxEntries) {
      corrupt("it states {} entries, more than the {} that a package may have", count_, kMaxEntries);
    }
    if (!base::fits(directory_offset_, directory_bytes_, bytes_.size()) ||
        directory_offset_ + directory_bytes_ != directory_end) {
      corrupt(
          "truncated or changed: the directory of {} bytes at {} does not end at {}, where the end record is",
          directory_bytes_, directory_offset_, directory_end);
    }
    if (count_ * sizeof(CentralHeader) > directory_bytes_) {
      corrupt("a directory of {} bytes cannot hold {} entries", directory_bytes_, count_);
    }
  }

  /// Offset of the zip64 end record, whose values the plain end record must agree with where it has any.
  std::uint64_t read_zip64_end(const Zip64Locator& locator, const EndRecord& end,
                               std::uint64_t locator_offset) {
    const auto record = read_at<Zip64EndRecord>(bytes_, locator.record_offset);
    if (!record || record->signature != 0x06064b50U ||
        base::checked_add(locator.record_offset, record->record_bytes) != locator_offset - 12) {
      corrupt("the zip64 end record is not where its locator says");
    }
    if (record->disk != 0 || record->directory_disk != 0 || locator.record_disk != 0 || locator.disks > 1 ||
        record->entries != record->disk_entries) {
      unsupported("the archive is one of several parts");
    }
    const auto disagrees = [](std::uint64_t plain, std::uint64_t saturated, std::uint64_t wide) {
      return plain != saturated && plain != wide;
    };
    if (disagrees(end.entries, kMax16, record->entries) ||
        disagrees(end.directory_bytes, kMax32, record->directory_bytes) ||
        disagrees(end.directory_offset, kMax32, record->directory_offset)) {
      corrupt("its two end records disagree");
    }
    count_ = record->entries;
    directory_bytes_ = record->directory_bytes;
    directory_offset_ = record->directory_offset;
    return locator.record_offset;
  }

  void read_entries() {
    const auto directory = bytes_.subspan(directory_offset_, directory_bytes_);
    std::unordered_set<std::string> names;
    std::uint64_t offset = 0;
    for (std::uint64_t index = 0; index < count_; ++index) {
      const auto header = read_at<CentralHeader>(directory, offset);
      if (!header || header->signature != 0x02014b50U) {
        corrupt("entry {} of {} is missing in the directory", index + 1, count_);
      }
      const std::uint64_t tail =
          std::uint64_t{header->name_bytes} + header->extra_bytes + header->comment_bytes;
      offset += sizeof(CentralHeader);
      if (!base::fits(offset, tail, directory.size()))
        corrupt("entry {} reaches out of the directory", index + 1);
      const std::string_view name = as_text(directory.subspan(offset, header->name_bytes));
      const auto extra = directory.subspan(offset + header->name_bytes, header->extra_bytes);
      offset += tail;
      check_name(name, index);
      if (!names.emplace(name).second) corrupt("\"{}\" is in the directory twice", name);
      add_entry(*header, name, extra, index);
    }
    if (offset != directory.size()) corrupt("its directory has more than the {} entries it states", count_);
  }

  void check_name(std::string_view name, std::uint64_t index) const {
    // A folder's own entry ends in '/'.
    const std::string_view file_name =
        name.size() > 1 && name.back() == '/' ? name.substr(0, name.size() - 1) : name;
    if (const auto fault = entry_name_fault(file_name)) {
      corrupt("the name of entry {} {}", index + 1, *fault);
    }
  }

  void add_entry(const CentralHeader& header, std::string_view name, std::span<const std::byte> extra,
                 std::uint64_t index) {
    check_kind(header, name);
    Sizes sizes{header.uncompressed, header.compressed, header.local_offset, header.disk};
    read_zip64_sizes(extra, name, sizes);
    if (sizes.disk != 0) unsupported("\"{}\" is in another part of the archive", name);
    const ZipEntry entry{std::string(name),
                         index,
                         check_local(header, name, sizes),
                         sizes.compressed,
                         sizes.uncompressed,
                         header.crc,
                         header.method};
    ranges_.emplace_back(sizes.local_offset, entry.data_offset + entry.compressed_bytes);
    if (header.method == kStored) {
      if (entry.bytes != entry.compressed_bytes) {
        corrupt("\"{}\" states {} bytes, made from {}", name, entry.bytes, entry.compressed_bytes);
      }
    } else {
      add_inflated(entry.bytes);
    }
    if (name.back() != '/') {
      entries_.push_back(entry);
    } else if (entry.bytes != 0) {
      corrupt("the folder \"{}\" has data", name);
    }
  }

  void add_inflated(std::uint64_t bytes) {
    const std::uint64_t most = std::max<std::uint64_t>(kAlwaysInflated, kMostInflation * bytes_.size());
    const auto total = base::checked_add(inflated_bytes_, bytes);
    if (!total || *total > most) {
      unsupported("its compressed entries state more than {} bytes, which is too much for a file of {}", most,
                  bytes_.size());
    }
    inflated_bytes_ = *total;
  }

  void check_kind(const CentralHeader& header, std::string_view name) const {
    if ((header.flags & kFlagsUnsupported) != 0) unsupported("\"{}\" is encrypted or patched", name);
    if (header.method != kStored && header.method != kDeflated) {
      unsupported("\"{}\" is compressed by method {}", name, header.method);
    }
    constexpr std::uint32_t kUnix = 3;
    constexpr std::uint32_t kMacOs = 19;
    const std::uint32_t host = header.made_by >> 8U;
    const std::uint32_t type = host == kUnix || host == kMacOs ? (header.external >> 28U) : 0;
    // S_IFMT: nothing, a regular file or a folder; a symbolic link is what "zip -y" makes.
    if (type != 0 && type != 010 && type != 004) {
      corrupt("\"{}\" is not a file but {}", name, type == 012 ? "a symbolic link" : "a special file");
    }
  }

  /// Takes the values that do not fit in the header from the zip64 extra field, in the fixed order.
  void read_zip64_sizes(std::span<const std::byte> extra, std::string_view name, Sizes& sizes) const {
    bool seen = false;
    for (std::uint64_t offset = 0; offset + 4 <= extra.size();) {
      const auto id = *read_at<std::uint16_t>(extra, offset);
      const auto size = *read_at<std::uint16_t>(extra, offset + 2);
      offset += 4;
      if (!base::fits(offset, size, extra.size())) corrupt("\"{}\" has an extra field of a wrong size", name);
      if (id == kZip64Extra) {
        if (std::exchange(seen, true)) corrupt("\"{}\" has two zip64 fields", name);
        auto field = extra.subspan(offset, size);
        const auto take = [&](std::uint64_t& value, std::uint64_t saturated, std::size_t width) {
          if (value != saturated) return;
          if (field.size() < width) corrupt("\"{}\" has a zip64 field of a wrong size", name);
          value = width == 4 ? *read_at<std::uint32_t>(field, 0) : *read_at<std::uint64_t>(field, 0);
          field = field.subspan(width);
        };
        take(sizes.uncompressed, kMax32, 8);
        take(sizes.compressed, kMax32, 8);
        take(sizes.local_offset, kMax32, 8);
        take(sizes.disk, kMax16, 4);
      }
      offset += size;
    }
  }

  /// Offset of the entry's data, after its local header, which must agree with the directory.
  [[nodiscard]] std::uint64_t check_local(const CentralHeader& header, std::string_view name,
                                          const Sizes& sizes) const {
    const auto local = read_at<LocalHeader>(bytes_, sizes.local_offset);
    if (!local || local->signature != 0x04034b50U) corrupt("\"{}\" is not where the directory says", name);
    const std::uint64_t name_offset = sizes.local_offset + sizeof(LocalHeader);
    const std::uint64_t data = name_offset + local->name_bytes + local->extra_bytes;
    if (!base::fits(data, sizes.compressed, directory_offset_) || data > directory_offset_) {
      corrupt("truncated: \"{}\" of {} bytes reaches into the directory", name, sizes.compressed);
    }
    if (as_text(bytes_.subspan(name_offset, local->name_bytes)) != name) {
      corrupt("\"{}\" has another name in its own header", name);
    }
    Sizes own{local->uncompressed, local->compressed, 0, 0};
    read_zip64_sizes(bytes_.subspan(name_offset + local->name_bytes, local->extra_bytes), name, own);
    // With a descriptor after the data the header may hold zeros.
    const bool later = (local->flags & kFlagDescriptor) != 0;
    const auto disagrees = [later](std::uint64_t mine, std::uint64_t directory) {
      return mine != directory && !(later && mine == 0);
    };
    constexpr std::uint16_t kSameFlags = kFlagsUnsupported | kFlagDescriptor;
    if (((local->flags ^ header.flags) & kSameFlags) != 0 || local->method != header.method ||
        disagrees(local->crc, header.crc) || disagrees(own.compressed, sizes.compressed) ||
        disagrees(own.uncompressed, sizes.uncompressed)) {
      corrupt("the header of \"{}\" disagrees with the directory", name);
    }
    return data;
  }

  void check_ranges() {
    std::sort(ranges_.begin(), ranges_.end());
    for (std::size_t i = 1; i < ranges_.size(); ++i) {
      if (ranges_[i].first < ranges_[i - 1].second) {
        corrupt("entries overlap at byte {}", ranges_[i].first);
      }
    }
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  std::uint64_t count_ = 0;
  std::uint64_t directory_bytes_ = 0;
  std::uint64_t directory_offset_ = 0;
  std::uint64_t inflated_bytes_ = 0;
  std::vector<ZipEntry> entries_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges_;  // of local headers and data, [from, to)
};

}  // namespace

std::vector<ZipEntry> read_zip_directory(std::span<const std::byte> bytes, std::string_view file) {
  return DirectoryReader(bytes, file).read();
}

}  // namespace penstock::package
