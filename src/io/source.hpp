#pragma once

#include "base/unique_handle.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace penstock::io {

/// The bytes of a file that tensors are read from. They are read, not mapped: a file that someone cuts
/// short meanwhile is an error here and not a signal. Thread: thread-safe.
class Source {
 public:
  /// Opens a regular file. Errors: NotFound; InvalidArgument for what is not a file, or not readable.
  static Source open(const std::filesystem::path& path);
  /// `bytes` outlive the source. Errors: none.
  static Source memory(std::span<const std::byte> bytes, std::string name);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }

  /// Fills `destination` from `offset` on. Errors: Corrupt where the file ends before that.
  void read(std::uint64_t offset, std::span<std::byte> destination) const;

  /// For libzip, which reads by itself: the descriptor, or -1 with the bytes in memory.
  [[nodiscard]] int descriptor() const noexcept { return fd_.get(); }
  [[nodiscard]] std::span<const std::byte> in_memory() const noexcept { return memory_; }

 private:
  std::string name_;
  std::uint64_t bytes_ = 0;
  base::UniqueFd fd_;
  std::span<const std::byte> memory_;
};

}  // namespace penstock::io
