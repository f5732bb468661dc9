#include "base/checked.hpp"
#include "base/fail.hpp"
#include "io/atomic_file.hpp"
#include "io/npy.hpp"
#include "io/tensor_file.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zip.h>

#include <memory>
#include <set>
#include <vector>

namespace penstock::io {
namespace {

// More than any model has inputs; keeps a hostile directory from costing more than its file.
constexpr std::int64_t kMaxEntries = 100'000;
// Deflate codes at least one bit for 258 bytes, plus its frame: no honest entry grows more.
constexpr std::uint64_t kMaxInflation = 1032;
constexpr std::uint64_t kInflationSlack = 16;
constexpr std::string_view kEntrySuffix = ".npy";

struct DiscardArchive {
  void operator()(zip_t* archive) const noexcept { zip_discard(archive); }
};
using ArchivePtr = std::unique_ptr<zip_t, DiscardArchive>;

struct CloseEntry {
  void operator()(zip_file_t* entry) const noexcept { zip_fclose(entry); }
};
using EntryPtr = std::unique_ptr<zip_file_t, CloseEntry>;

struct ZipError {
  zip_error_t value{};
  ZipError() { zip_error_init(&value); }
  explicit ZipError(int code) { zip_error_init_with_code(&value, code); }
  ~ZipError() { zip_error_fini(&value); }
  ZipError(const ZipError&) = delete;
  ZipError& operator=(const ZipError&) = delete;
  [[nodiscard]] const char* text() { return zip_error_strerror(&value); }
};

[[noreturn]] void fail_archive(const Source& source, const char* reason) {
  base::fail(ErrorCode::Corrupt, "{}: is no sound .npz archive: {}; make the file again", source.name(),
             reason);
}

ArchivePtr open_archive(const Source& source) {
  if (source.descriptor() >= 0) {
    const int copy = ::fcntl(source.descriptor(), F_DUPFD_CLOEXEC, 0);
    int code = 0;
    ArchivePtr archive(zip_fdopen(copy, ZIP_RDONLY, &code));
    if (archive == nullptr) {
      // libzip closes what it was given only where it succeeds.
      if (copy >= 0) ::close(copy);
      fail_archive(source, ZipError(code).text());
    }
    return archive;
  }
  ZipError error;
  const std::span<const std::byte> bytes = source.in_memory();
  zip_source_t* buffer = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error.value);
  if (buffer == nullptr) throw std::bad_alloc();
  ArchivePtr archive(zip_open_from_source(buffer, ZIP_RDONLY, &error.value));
  if (archive == nullptr) {
    zip_source_free(buffer);
    fail_archive(source, error.text());
  }
  return archive;
}

/// What the directory says of an entry, as far as it can be believed.
struct EntryInfo {
  std::string name;  ///< Without ".npy".
  std::uint64_t bytes = 0;
  std::uint64_t packed_bytes = 0;
};

EntryInfo entry_info(const Source& source, zip_t* archive, std::uint64_t index) {
  zip_stat_t status;
  zip_stat_init(&status);
  constexpr std::uint64_t kWanted =
      ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
  // Names as they stand in the file: NumPy writes UTF-8, and guessing would change them.
  if (zip_stat_index(archive, index, ZIP_FL_ENC_RAW, &status) != 0 || (status.valid & kWanted) != kWanted) {
    fail_archive(source, zip_strerror(archive));
  }
  EntryInfo info{status.name, status.size, status.comp_size};
  if (!info.name.ends_with(kEntrySuffix)) {
    base::fail(ErrorCode::Unsupported,
               "{}: entry \"{}\" is no .npy array; numpy.savez makes files that can be read", source.name(),
               info.name);
  }
  info.name.resize(info.name.size() - kEntrySuffix.size());
  const std::string where = where_text(source.name(), info.name);
  if (status.encryption_method != ZIP_EM_NONE) base::fail(ErrorCode::Unsupported, "{}: is encrypted", where);
  if (status.comp_method != ZIP_CM_STORE && status.comp_method != ZIP_CM_DEFLATE) {
    base::fail(ErrorCode::Unsupported,
               "{}: is compressed by method {}; numpy.savez and savez_compressed are read", where,
               status.comp_method);
  }
  const bool sizes_hold = status.comp_method == ZIP_CM_STORE
                              ? info.bytes == info.packed_bytes
                              : info.bytes / kMaxInflation <= info.packed_bytes + kInflationSlack;
  if (info.packed_bytes > source.bytes() || !sizes_hold) {
    base::fail(ErrorCode::Corrupt, "{}: its sizes cannot be: {} bytes packed in {}, in a file of {}", where,
               info.bytes, info.packed_bytes, source.bytes());
  }
  return info;
}

Tensor read_entry(const Source& source, zip_t* archive, std::uint64_t index, const EntryInfo& info) {
  const std::string where = where_text(source.name(), info.name);
  EntryPtr entry(zip_fopen_index(archive, index, 0));
  if (entry == nullptr)
    base::fail(ErrorCode::Corrupt, "{}: cannot be read: {}", where, zip_strerror(archive));
  const ReadNext read_next = [&](std::span<std::byte> destination) {
    while (!destination.empty()) {
      const std::int64_t got = zip_fread(entry.get(), destination.data(), destination.size());
      if (got < 0)
        base::fail(ErrorCode::Corrupt, "{}: cannot be unpacked: {}", where, zip_file_strerror(entry.get()));
      if (got == 0)
        base::fail(ErrorCode::Corrupt, "{}: has fewer bytes than its directory entry says", where);
      destination = destination.subspan(static_cast<std::size_t>(got));
    }
  };
  Tensor result = read_npy(read_next, info.bytes, where);
  // Checksum and true size are known only at the end.
  std::byte beyond{};
  const std::int64_t more = zip_fread(entry.get(), &beyond, 1);
  if (more < 0)
    base::fail(ErrorCode::Corrupt, "{}: cannot be unpacked: {}", where, zip_file_strerror(entry.get()));
  if (more > 0) base::fail(ErrorCode::Corrupt, "{}: has more bytes than its directory entry says", where);
  return result;
}

[[noreturn]] void fail_write(const std::filesystem::path& path, const char* reason) {
  base::fail(ErrorCode::InvalidArgument, "{}: cannot be written: {}", path.string(), reason);
}

void add_entry(zip_t* archive, const std::filesystem::path& path, const std::string& name,
               const std::string& preamble, const Tensor& tensor) {
  const std::span<const std::byte> data = bytes_of(tensor);
  // libzip declares the data as written to, but only reads it.
  const zip_buffer_fragment_t fragments[] = {
      {reinterpret_cast<zip_uint8_t*>(const_cast<char*>(preamble.data())), preamble.size()},
      {reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(data.data())), data.size()}};
  ZipError error;
  zip_source_t* source = zip_source_buffer_fragment_create(fragments, data.empty() ? 1 : 2, 0, &error.value);
  if (source == nullptr) throw std::bad_alloc();
  const std::string entry = name + std::string(kEntrySuffix);
  const std::int64_t index = zip_file_add(archive, entry.c_str(), source, ZIP_FL_ENC_UTF_8);
  if (index < 0) {
    zip_source_free(source);
    base::fail(ErrorCode::InvalidArgument, "{}: is no name for an archive: {}",
               where_text(path.string(), name), zip_strerror(archive));
  }
  // The time of writing is left out, so that the same tensors give the same bytes.
  constexpr zip_uint16_t kFirstDay = 0x21;
  const auto entry_index = static_cast<zip_uint64_t>(index);
  if (zip_set_file_compression(archive, entry_index, ZIP_CM_STORE, 0) != 0 ||
      zip_file_set_dostime(archive, entry_index, 0, kFirstDay, 0) != 0) {
    fail_write(path, zip_strerror(archive));
  }
}

}  // namespace

NamedTensors read_npz(const Source& source) {
  const ArchivePtr archive = open_archive(source);
  const std::int64_t count = zip_get_num_entries(archive.get(), 0);
  if (count < 0 || count > kMaxEntries) {
    base::fail(ErrorCode::Corrupt, "{}: has {} entries; at most {} are accepted", source.name(), count,
               kMaxEntries);
  }
  std::vector<EntryInfo> entries;
  std::set<std::string_view> names;
  std::uint64_t packed_bytes = 0;
  entries.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    entries.push_back(entry_info(source, archive.get(), static_cast<std::uint64_t>(i)));
    if (!names.insert(entries.back().name).second) {
      base::fail(ErrorCode::Corrupt, "{}: is there twice", where_text(source.name(), entries.back().name));
    }
    // Entries that share bytes are how a small archive becomes a bomb.
    packed_bytes += entries.back().packed_bytes;
    if (packed_bytes > source.bytes()) {
      base::fail(ErrorCode::Corrupt, "{}: its entries overlap: together they are larger than the file",
                 source.name());
    }
  }
  NamedTensors result;
  result.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    result.emplace_back(entries[i].name, read_entry(source, archive.get(), i, entries[i]));
  }
  return result;
}

void write_npz(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::vector<std::string> preambles;
  preambles.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    const std::string where = where_text(path.string(), name);
    if (name.find('\0') != std::string::npos) {
      base::fail(ErrorCode::InvalidArgument, "{}: a name in an archive has no zero byte", where);
    }
    preambles.push_back(npy_preamble(tensor.view(), where));
  }
  check_destination(path);
  if (tensors.empty()) {
    // libzip removes an archive without entries; NumPy writes a bare end record.
    AtomicFile file(path);
    file.write(std::string_view("PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22));
    return file.commit();
  }
  int code = 0;
  // libzip writes beside the file and renames, as AtomicFile does.
  ArchivePtr archive(zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
  if (archive == nullptr) fail_write(path, ZipError(code).text());
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    add_entry(archive.get(), path, tensors[i].first, preambles[i], tensors[i].second);
  }
  if (zip_close(archive.get()) != 0) fail_write(path, zip_strerror(archive.get()));
  (void)archive.release();
}

}  // namespace penstock::io
