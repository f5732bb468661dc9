#include "model/kernel_files.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace penstock::model {
namespace {

bool is_printable(char character) noexcept { return character > ' ' && character <= '~'; }

/// Of a path that ends at `end`, the part behind the last '/'; empty where no '/' comes before it.
std::string_view file_name(std::string_view text, std::size_t end) {
  std::size_t begin = end;
  while (begin > 0 && is_printable(text[begin - 1]) && text[begin - 1] != '/') --begin;
  const bool in_folder = begin > 0 && text[begin - 1] == '/';
  return in_folder ? text.substr(begin, end - begin) : std::string_view();
}

}  // namespace

std::vector<std::string_view> named_kernel_files(const package::ElfImage& library) {
  constexpr std::uint32_t kLoad = 1;
  constexpr std::uint32_t kExecutable = 1;
  constexpr std::uint32_t kWritable = 2;
  // With the end of the text behind them.
  constexpr std::array<std::string_view, 2> kEnds{std::string_view(".cubin\0", 7),
                                                  std::string_view(".fatbin\0", 8)};
  std::vector<std::string_view> files;
  for (const package::ElfSegment& segment : library.segments()) {
    if (segment.type != kLoad || (segment.flags & (kExecutable | kWritable)) != 0) continue;
    const std::span<const std::byte> all = library.bytes();
    if (segment.offset > all.size()) continue;
    const auto bytes = all.subspan(segment.offset, std::min(segment.file_bytes, all.size() - segment.offset));
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    for (const std::string_view end : kEnds) {
      for (std::size_t at = text.find(end); at != std::string_view::npos; at = text.find(end, at + 1)) {
        const std::string_view name = file_name(text, at + end.size() - 1);
        if (name.size() >= end.size()) files.push_back(name);
      }
    }
  }
  return files;
}

}  // namespace penstock::model
