#include "io/atomic_file.hpp"

#include "base/fail.hpp"

#include <fcntl.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace penstock::io {
namespace {

[[noreturn]] void fail_write(const std::filesystem::path& path, int error) {
  base::fail(ErrorCode::InvalidArgument, "{}: cannot be written: {}", path.string(),
             std::generic_category().message(error));
}

}  // namespace

void check_destination(const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, ignored)) {
    base::fail(ErrorCode::NotFound, "{}: cannot be written: the folder {} does not exist; make it first",
               path.string(), folder.string());
  }
  if (std::filesystem::is_directory(path, ignored)) {
    base::fail(ErrorCode::InvalidArgument, "{}: cannot be written: it is a folder", path.string());
  }
}

AtomicFile::AtomicFile(const std::filesystem::path& path) : path_(path) {
  check_destination(path);
  // A name of our own rather than mkstemp, whose files only their owner may read.
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; attempt < 100; ++attempt) {
    std::string name = fmt::format("{}.{}-{}.tmp", path.string(), ::getpid(), counter.fetch_add(1));
    fd_ = base::UniqueFd(::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    if (fd_) {
      temporary_ = std::move(name);
      return;
    }
    if (errno != EEXIST) break;
  }
  fail_write(path_, errno);
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const std::size_t step = std::min<std::size_t>(bytes.size(), std::size_t{1} << 30);
    const ssize_t put = ::write(fd_.get(), bytes.data(), step);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail_write(path_, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void AtomicFile::commit() {
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) fail_write(path_, errno);
  temporary_.clear();
}

}  // namespace penstock::io
