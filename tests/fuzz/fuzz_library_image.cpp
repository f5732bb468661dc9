#include "model/library_image.hpp"
#include "package/elf_image.hpp"

#include <penstock/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

/// Whatever bytes a model library has, what is made ready for the dynamic linker is changed only where its
/// tables were found. The first two bytes say which part of it is left out, in units of 64 bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock;
  if (size < 2) return 0;
  const model::FileRange left_out{std::uint64_t{data[0]} * 64, std::uint64_t{data[1]} * 64};
  // Of its own, so that the sanitizer sees what reads past it.
  const std::vector<std::uint8_t> file(data + 2, data + size);
  try {
    const auto elf = package::ElfImage::parse(std::as_bytes(std::span(file)), "input");
    const model::LibraryImage image = model::prepare_library(elf, "input", {}, left_out);
    if (image.bytes.size() > file.size()) __builtin_trap();
    for (const model::EntryPoint& entry : image.entry_points) {
      if (!entry.name.starts_with("AOTInductor")) __builtin_trap();
    }
  } catch (const Error&) {
  }
  if (!std::equal(file.begin(), file.end(), data + 2)) __builtin_trap();
  return 0;
}
