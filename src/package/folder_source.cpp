#include "base/fail.hpp"
#include "package/archive_source.hpp"
#include "package/entry_name.hpp"

#include <algorithm>
#include <system_error>
#include <utility>

namespace fs = std::filesystem;

namespace penstock::package {
namespace {

constexpr std::size_t kMaxFiles = 20'000;
constexpr int kMaxDepth = 32;

/// Whether a package starts right here.
bool is_package_folder(const fs::path& folder) {
  std::error_code error;
  return fs::is_regular_file(folder / "archive_format", error) ||
         fs::is_directory(folder / "data" / "aotinductor", error);
}

fs::path find_package_folder(const fs::path& path) {
  if (is_package_folder(path)) return path;
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator i(path, error), end; !error && i != end; i.increment(error)) {
    if (is_package_folder(i->path())) found.push_back(i->path());
  }
  if (found.size() == 1) return found.front();
  base::fail(ErrorCode::NotFound,
             "{}: {} package in this folder; name the one that holds archive_format and data/", path.string(),
             found.empty() ? "no" : "more than one");
}

class FolderSource final : public ArchiveSource {
 public:
  explicit FolderSource(const fs::path& path) : shown_(path.string()) {
    std::error_code error;
    root_ = fs::canonical(find_package_folder(path), error);
    if (error) base::fail(ErrorCode::NotFound, "{}: {}", shown_, error.message());
    list(root_, "", 0);
    std::sort(items_.begin(), items_.end(),
              [](const Item& left, const Item& right) { return left.name < right.name; });
  }

  [[nodiscard]] std::vector<ArchiveEntry> entries() const override {
    std::vector<ArchiveEntry> result;
    result.reserve(items_.size());
    for (const Item& item : items_) result.push_back({item.name, item.bytes});
    return result;
  }

  [[nodiscard]] SharedBytes read(std::size_t index) const override {
    const Item& item = items_[index];
    return map(item).bytes;
  }

  [[nodiscard]] PrivateBytes read_private(std::size_t index, std::uint64_t offset,
                                          std::uint64_t size) const override {
    const Item& item = items_[index];
    return map_private(*map(item).file, offset, size, item.path.string());
  }

 private:
  struct Item {
    std::string name;
    fs::path path;
    std::uint64_t bytes = 0;
  };

  [[nodiscard]] MappedFile map(const Item& item) const {
    MappedFile mapped = map_file(item.path);
    if (mapped.bytes.bytes.size() != item.bytes) {
      base::fail(ErrorCode::Corrupt,
                 "{}: \"{}\" has {} bytes and had {} when the package was opened; open it again", shown_,
                 item.name, mapped.bytes.bytes.size(), item.bytes);
    }
    return mapped;
  }

  [[noreturn]] void corrupt(const std::string& name, std::string_view reason) const {
    base::fail(ErrorCode::Corrupt, "{}: \"{}\" {}; unpack the package again", shown_, name, reason);
  }

  void list(const fs::path& folder, const std::string& prefix, int depth) {
    if (depth > kMaxDepth) corrupt(prefix, "is nested too deeply");
    std::error_code error;
    for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error)) {
      const std::string part = i->path().filename().string();
      const std::string name = prefix + part;
      if (const auto fault = entry_name_fault(part))
        corrupt(prefix, fmt::format("holds a name that {}", *fault));
      fs::path path = i->path();
      if (i->is_symlink(error)) path = resolve_link(path, name);
      const fs::file_status status = fs::symlink_status(path, error);
      if (fs::is_directory(status) && !i->is_symlink(error)) {
        list(path, name + "/", depth + 1);
      } else if (fs::is_regular_file(status)) {
        add(name, path);
      } else {
        corrupt(name, "is not a file");
      }
    }
    if (error) base::fail(ErrorCode::NotFound, "{}/{}: {}", shown_, prefix, error.message());
  }

  void add(const std::string& name, const fs::path& path) {
    std::error_code error;
    const std::uint64_t bytes = fs::file_size(path, error);
    if (error) base::fail(ErrorCode::NotFound, "{}/{}: {}", shown_, name, error.message());
    if (items_.size() >= kMaxFiles) corrupt(name, "is one file more than a package may have");
    items_.push_back({name, path, bytes});
  }

  /// A link may lead to another file of the folder, never out of it.
  [[nodiscard]] fs::path resolve_link(const fs::path& path, const std::string& name) const {
    std::error_code error;
    const fs::path target = fs::canonical(path, error);
    if (error) corrupt(name, "is a symbolic link to nothing");
    const auto mismatch = std::mismatch(root_.begin(), root_.end(), target.begin(), target.end());
    if (mismatch.first != root_.end()) corrupt(name, "is a symbolic link that leads out of the folder");
    return target;
  }

  std::string shown_;
  fs::path root_;
  std::vector<Item> items_;
};

}  // namespace

std::shared_ptr<const ArchiveSource> open_folder_source(const fs::path& path) {
  return std::make_shared<FolderSource>(path);
}

}  // namespace penstock::package
