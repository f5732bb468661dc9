#pragma once

#include "base/unique_handle.hpp"

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace penstock::io {

/// A file that appears under its name whole or not at all: written beside it, then renamed.
/// Destroyed before `commit`, it leaves nothing behind.
class AtomicFile {
 public:
  /// Errors: NotFound for a missing folder; InvalidArgument where nothing can be written there.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Errors: InvalidArgument with the system's words (no space left, ...).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }
  void commit();

 private:
  std::filesystem::path path_;
  std::string temporary_;
  base::UniqueFd fd_;
};

/// Errors: NotFound where the folder of `path` does not exist; InvalidArgument where it is a folder.
void check_destination(const std::filesystem::path& path);

}  // namespace penstock::io
