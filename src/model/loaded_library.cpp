#include "model/loaded_library.hpp"

#include "base/fail.hpp"
#include "base/log.hpp"
#include "base/unique_handle.hpp"
#include "shim/thread_exit.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <string>

namespace penstock::model {
namespace {

/// A path to `fd` that has never been used before in this process. The dynamic linker takes a path it
/// has seen for the library it saw it with, and the numbers of descriptors come back: so the number of
/// the load is spelled into the path, in ways that mean the same folder.
std::string unique_path(int fd) {
  static std::atomic<std::uint64_t> loads{0};
  std::string path = "/proc/self/";
  for (std::uint64_t load = loads.fetch_add(1) + 1; load != 0; load >>= 1) {
    path += (load & 1) != 0 ? "./" : ".//";
  }
  return path + "fd/" + std::to_string(fd);
}

void write_part(const base::UniqueFd& fd, std::span<const std::byte> bytes, std::uint64_t offset,
                std::string_view what) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t count = ::pwrite(fd.get(), bytes.data() + written, bytes.size() - written,
                                   static_cast<off_t>(offset + written));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      base::fail(ErrorCode::OutOfMemory, "{}: cannot write {} bytes to a memory file: {}", what, bytes.size(),
                 std::strerror(errno));
    }
    written += static_cast<std::size_t>(count);
  }
}

base::UniqueFd write_memory_file(const LibraryImage& image, std::string_view what) {
  base::UniqueFd fd(::memfd_create("penstock-model", MFD_CLOEXEC));
  if (!fd) base::fail(ErrorCode::OutOfMemory, "{}: no memory file: {}", what, std::strerror(errno));
  // What is left out stays a hole in the file.
  if (::ftruncate(fd.get(), static_cast<off_t>(image.bytes.size())) != 0) {
    base::fail(ErrorCode::OutOfMemory, "{}: no memory file of {} bytes: {}", what, image.bytes.size(),
               std::strerror(errno));
  }
  const std::uint64_t end = image.left_out.offset + image.left_out.bytes;
  const bool is_whole = image.left_out.bytes == 0;
  write_part(fd, is_whole ? image.bytes : image.bytes.first(image.left_out.offset), 0, what);
  if (!is_whole) write_part(fd, image.bytes.subspan(end), end, what);
  return fd;
}

std::uintptr_t end_of_mapping(const LibraryImage& image, std::uintptr_t base) {
  Elf64_Ehdr header;
  std::memcpy(&header, image.bytes.data(), sizeof header);
  std::uintptr_t end = base;
  for (std::size_t index = 0; index < header.e_phnum; ++index) {
    Elf64_Phdr segment;
    std::memcpy(&segment, image.bytes.data() + header.e_phoff + index * sizeof segment, sizeof segment);
    if (segment.p_type == PT_LOAD) end = std::max(end, base + segment.p_vaddr + segment.p_memsz);
  }
  return end;
}

}  // namespace

LoadedLibrary::LoadedLibrary(const LibraryImage& image, std::string_view what)
    : entry_points_(image.entry_points) {
  const base::UniqueFd fd = write_memory_file(image, what);
  handle_ = ::dlopen(unique_path(fd.get()).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    const char* reason = ::dlerror();
    base::fail(ErrorCode::Incompatible, "{} cannot be loaded: {}", what,
               reason != nullptr ? reason : "unknown");
  }
  link_map* map = nullptr;
  ::dlinfo(handle_, RTLD_DI_LINKMAP, &map);
  base_ = map->l_addr;
  end_ = end_of_mapping(image, base_);
}

LoadedLibrary::~LoadedLibrary() {
  if (handle_ == nullptr) return;
  // What the library registered for threads that live on would be run from unmapped memory.
  shim::run_thread_exits(reinterpret_cast<const void*>(base_), reinterpret_cast<const void*>(end_));
  if (::dlclose(handle_) != 0) {
    const char* reason = ::dlerror();
    base::log(LogLevel::Warning, reason != nullptr ? reason : "a model library could not be closed");
  }
}

void* LoadedLibrary::address_of(std::string_view name) const noexcept {
  for (const EntryPoint& entry : entry_points_) {
    if (entry.name == name) return reinterpret_cast<void*>(base_ + entry.address);
  }
  return nullptr;
}

}  // namespace penstock::model
