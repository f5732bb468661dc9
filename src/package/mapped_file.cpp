#include "base/fail.hpp"
#include "package/archive_source.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace penstock::package {
namespace {

/// Errors: OutOfMemory.
std::shared_ptr<base::UniqueMapping> map(std::size_t bytes, int protection, int flags, int fd, off_t offset,
                                         const std::string& what) {
  void* data = ::mmap(nullptr, bytes, protection, flags, fd, offset);
  if (data == MAP_FAILED) {
    base::fail(ErrorCode::OutOfMemory, "{}: {} bytes cannot be mapped: {}", what, bytes,
               std::strerror(errno));
  }
  base::UniqueMapping mapping(data, bytes);
  return std::make_shared<base::UniqueMapping>(std::move(mapping));
}

}  // namespace

MappedFile map_file(const std::filesystem::path& path) {
  // A FIFO without O_NONBLOCK would wait for a writer.
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) base::fail(ErrorCode::NotFound, "{}: {}", path.string(), std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
    base::fail(ErrorCode::NotFound, "{}: not a regular file", path.string());
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  MappedFile mapped;
  if (size != 0) {
    const auto mapping = map(size, PROT_READ, MAP_PRIVATE, fd.get(), 0, path.string());
    mapped.bytes = {mapping->bytes(), mapping};
  }
  mapped.file = std::make_shared<const base::UniqueFd>(std::move(fd));
  return mapped;
}

PrivateBytes map_private(const base::UniqueFd& file, std::uint64_t offset, std::uint64_t size,
                         const std::string& what) {
  const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const std::uint64_t before = offset % page;
  // Without MAP_NORESERVE the kernel would count all of it as memory that is going to be written to.
  const auto mapping = map(before + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(),
                           static_cast<off_t>(offset - before), what);
  return {mapping->bytes().subspan(before), mapping, true};
}

PrivateBytes copy_private(std::span<const std::byte> bytes, const std::string& what) {
  const auto mapping =
      map(bytes.size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, /*fd=*/-1, 0, what);
  std::memcpy(mapping->bytes().data(), bytes.data(), bytes.size());
  return {mapping->bytes(), mapping};
}

}  // namespace penstock::package
