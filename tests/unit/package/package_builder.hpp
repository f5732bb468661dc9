#pragma once

#include "package/archive.hpp"
#include "package/elf_image.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Builds archives byte by byte, so that each field can lie.
namespace penstock::package::test {

inline void put(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

inline void patch(std::string& out, std::size_t offset, std::uint64_t value, int bytes) {
  std::string field;
  put(field, value, bytes);
  out.replace(offset, field.size(), field);
}

inline std::uint32_t crc_of(const std::string& data) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(data.data()), static_cast<uInt>(data.size())));
}

inline std::string deflated(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

struct ZipItem {
  std::string name;
  std::string data;
  bool deflate = false;
  std::uint16_t flags = 0;
  std::uint16_t made_by = 0;
  std::uint32_t external = 0;
  std::optional<std::string> local_name = {};
  std::optional<std::uint32_t> crc = {};
  std::optional<std::uint64_t> bytes = {};         // uncompressed, as stated
  std::optional<std::uint64_t> stored_bytes = {};  // compressed, as stated
  std::optional<std::uint64_t> local_offset = {};
  std::string extra = {};  // of the directory entry
};

struct ZipOptions {
  bool zip64 = false;
  std::optional<std::uint64_t> count = {};
  std::optional<std::uint64_t> directory_offset = {};
  std::optional<std::uint64_t> directory_bytes = {};
  std::string comment = {};
};

inline std::string build_zip(const std::vector<ZipItem>& items, const ZipOptions& options = {}) {
  std::string out;
  std::string directory;
  for (const ZipItem& item : items) {
    const std::string body = item.deflate ? deflated(item.data) : item.data;
    const std::uint64_t offset = item.local_offset.value_or(out.size());
    const std::string& local_name = item.local_name ? *item.local_name : item.name;
    const auto sizes = [&](std::string& to) {
      put(to, item.crc.value_or(crc_of(item.data)), 4);
      put(to, item.stored_bytes.value_or(body.size()), 4);
      put(to, item.bytes.value_or(item.data.size()), 4);
    };
    const auto head = [&](std::string& to) {
      put(to, item.flags, 2);
      put(to, item.deflate ? 8 : 0, 2);
      put(to, 0, 4);
      sizes(to);
    };
    put(out, 0x04034b50, 4);
    put(out, 20, 2);
    head(out);
    put(out, local_name.size(), 2);
    put(out, 0, 2);
    out += local_name + body;

    put(directory, 0x02014b50, 4);
    put(directory, item.made_by, 2);
    put(directory, 20, 2);
    head(directory);
    put(directory, item.name.size(), 2);
    put(directory, item.extra.size(), 2);
    put(directory, 0, 6);  // comment, disk, internal attributes
    put(directory, item.external, 4);
    put(directory, offset, 4);
    directory += item.name + item.extra;
  }
  const std::uint64_t directory_offset = options.directory_offset.value_or(out.size());
  const std::uint64_t directory_bytes = options.directory_bytes.value_or(directory.size());
  const std::uint64_t count = options.count.value_or(items.size());
  out += directory;
  if (options.zip64) {
    const std::uint64_t record = out.size();
    put(out, 0x06064b50, 4);
    put(out, 44, 8);
    put(out, 45, 4);
    put(out, 0, 8);
    put(out, count, 8);
    put(out, count, 8);
    put(out, directory_bytes, 8);
    put(out, directory_offset, 8);
    put(out, 0x07064b50, 4);
    put(out, 0, 4);
    put(out, record, 8);
    put(out, 1, 4);
  }
  put(out, 0x06054b50, 4);
  put(out, 0, 4);
  put(out, options.zip64 ? 0xffff : count, 2);
  put(out, options.zip64 ? 0xffff : count, 2);
  put(out, options.zip64 ? 0xffffffff : directory_bytes, 4);
  put(out, options.zip64 ? 0xffffffff : directory_offset, 4);
  put(out, options.comment.size(), 2);
  return out + options.comment;
}

inline SharedBytes shared(std::string bytes) {
  const auto owner = std::make_shared<std::string>(std::move(bytes));
  return {std::as_bytes(std::span(*owner)), owner};
}

inline Archive open_bytes(std::string bytes) {
  return Archive::open_memory(shared(std::move(bytes)), "test.pt2");
}

inline std::string text_of(const SharedBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.bytes.data()), bytes.bytes.size()};
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

inline std::filesystem::path package_path(const std::string& name) {
  return std::filesystem::path(PENSTOCK_TEST_PACKAGES) / name;
}

/// The entry of a real package that ends with `suffix`.
inline std::string real_entry(const std::string& package, std::string_view suffix) {
  const Archive archive = Archive::open(package_path(package));
  for (const ArchiveEntry& entry : archive.entries()) {
    const std::string_view name = entry.name;
    if (name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix) {
      return text_of(archive.read(entry.name));
    }
  }
  return {};
}

/// Runs `call`, which must throw Error with this code and these words.
inline void expect_error(ErrorCode code, std::string_view words, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; \"" << words << "\" was expected";
  } catch (const Error& error) {
    EXPECT_EQ(error_code_name(error.code()), error_code_name(code)) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(words), std::string_view::npos) << error.what();
  }
}

/// A folder that is gone with the object.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

  void write(const std::string& name, const std::string& data) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << data;
  }

 private:
  std::filesystem::path path_;
};

/// The files of a sound package of one model, by name below the top folder.
inline std::map<std::string, std::string> package_files() {
  static const std::string library = real_entry("torch-2.15/add.pt2", ".wrapper.so");
  static const std::string wrapper = real_entry("torch-2.15/add.pt2", ".wrapper.cpp");
  static const std::string kernel = real_entry("torch-2.15/add.pt2", ".kernel.cpp");
  const std::string metadata = R"({"AOTI_DEVICE_KEY": "cpu", "AOTI_CPU_ISA": "AVX2"})";
  return {
      {"archive_format", "pt2"},
      {"archive_version", "0"},
      {"byteorder", "little"},
      {"data/aotinductor/model/w.wrapper.so", library},
      {"data/aotinductor/model/w.wrapper.cpp", wrapper},
      {"data/aotinductor/model/k.kernel.cpp", kernel},
      {"data/aotinductor/model/w.wrapper_metadata.json", metadata},
      {"data/aotinductor/model/k.kernel_metadata.json", metadata},
  };
}

inline Archive archive_of(const std::map<std::string, std::string>& files) {
  std::vector<ZipItem> items;
  for (const auto& [name, data] : files) items.push_back({"top/" + name, data});
  return open_bytes(build_zip(items));
}

}  // namespace penstock::package::test
