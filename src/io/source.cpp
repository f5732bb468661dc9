#include "io/source.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace penstock::io {

Source Source::open(const std::filesystem::path& path) {
  Source source;
  source.name_ = path.string();
  // Without O_NONBLOCK a named pipe would block here, before it can be refused.
  source.fd_ = base::UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!source.fd_) {
    const int error = errno;
    const ErrorCode code =
        error == ENOENT || error == ENOTDIR ? ErrorCode::NotFound : ErrorCode::InvalidArgument;
    base::fail(code, "{}: cannot be opened: {}", source.name_, std::generic_category().message(error));
  }
  struct stat status {};
  if (::fstat(source.fd_.get(), &status) != 0) {
    base::fail(ErrorCode::InvalidArgument, "{}: cannot be read: {}", source.name_,
               std::generic_category().message(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    base::fail(ErrorCode::InvalidArgument,
               "{}: is not a regular file; give a .npy, .npz or .safetensors file", source.name_);
  }
  source.bytes_ = static_cast<std::uint64_t>(status.st_size);
  return source;
}

Source Source::memory(std::span<const std::byte> bytes, std::string name) {
  Source source;
  source.name_ = std::move(name);
  source.bytes_ = bytes.size();
  source.memory_ = bytes;
  return source;
}

void Source::read(std::uint64_t offset, std::span<std::byte> destination) const {
  if (!base::fits(offset, destination.size(), bytes_)) {
    base::fail(ErrorCode::Corrupt, "{}: is cut short: {} bytes at {} lie beyond its {} bytes", name_,
               destination.size(), offset, bytes_);
  }
  if (!fd_) {
    if (!destination.empty()) std::memcpy(destination.data(), memory_.data() + offset, destination.size());
    return;
  }
  while (!destination.empty()) {
    const std::size_t step = std::min<std::size_t>(destination.size(), std::size_t{1} << 30);
    const ssize_t got = ::pread(fd_.get(), destination.data(), step, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0)
      base::fail(ErrorCode::Corrupt, "{}: cannot be read: {}", name_, std::generic_category().message(errno));
    if (got == 0) base::fail(ErrorCode::Corrupt, "{}: became shorter while it was read", name_);
    destination = destination.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

}  // namespace penstock::io
