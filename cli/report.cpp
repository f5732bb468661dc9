#include "report.hpp"

#include <penstock/error.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <system_error>

namespace penstock::cli {

void write_out(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0) {
    throw std::runtime_error(
        fmt::format("cannot write to the output: {}", std::generic_category().message(errno)));
  }
}

void write_json(const nlohmann::ordered_json& json) {
  // Names come from files and need not be UTF-8.
  write_out(json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

namespace {

/// Bytes of the UTF-8 character that `text` starts with; 0 where it starts with none.
std::size_t character_bytes(std::string_view text) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = at(0);
  if (first < 0x80) return 1;
  const std::size_t count = first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (count == 0 || text.size() < count) return 0;
  for (std::size_t i = 1; i < count; ++i) {
    if ((at(i) & 0xc0U) != 0x80) return 0;
  }
  // Longer than they need to be, halves of pairs, and what is past the last one.
  if ((first == 0xe0 && at(1) < 0xa0) || (first == 0xed && at(1) >= 0xa0) ||
      (first == 0xf0 && at(1) < 0x90) || (first == 0xf4 && at(1) >= 0x90)) {
    return 0;
  }
  return count;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t count = character_bytes(text);
    const auto first = static_cast<unsigned char>(text.front());
    // U+0080 to U+009F, of which some begin commands to a terminal.
    const bool is_c1 = count == 2 && first == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (count == 0 || is_c1 || first < 0x20 || first == 0x7f) {
      fmt::format_to(std::back_inserter(result), "\\x{:02x}",
                     is_c1 ? static_cast<unsigned char>(text[1]) : first);
    } else {
      result += text.substr(0, count);
    }
    text.remove_prefix(std::max<std::size_t>(count, 1));
  }
  return result;
}

std::string printable_lines(std::string_view text) {
  std::string result;
  for (;;) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    result += printable(text.substr(0, end));
    if (end == text.size()) return result;
    result += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string bytes_text(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kUnits{"bytes", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} {}", bytes, bytes == 1 ? "byte" : "bytes");
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string time_text(double nanoseconds) {
  if (nanoseconds < 1e3) return fmt::format("{:.0f} ns", nanoseconds);
  if (nanoseconds < 1e6) return fmt::format("{:.2f} us", nanoseconds / 1e3);
  if (nanoseconds < 1e9) return fmt::format("{:.2f} ms", nanoseconds / 1e6);
  return fmt::format("{:.2f} s", nanoseconds / 1e9);
}

std::string spec_text(const TensorSpec& spec) {
  std::string result = fmt::format("{}[", dtype_name(spec.dtype));
  for (std::size_t i = 0; i < spec.dims.size(); ++i) {
    const DimSpec& dim = spec.dims[i];
    if (i > 0) result += ", ";
    result += std::to_string(dim.min);
    if (dim.min == dim.max) continue;
    result += "..";
    if (dim.max != INT64_MAX) result += std::to_string(dim.max);
    if (!dim.symbol.empty()) result += " (" + printable(dim.symbol) + ")";
  }
  return result + "]";
}

std::string sizes_text(std::span<const std::int64_t> sizes) {
  return fmt::format("[{}]", fmt::join(sizes, ", "));
}

Device parse_device(const std::string& text) {
  try {
    return device_from_string(text);
  } catch (const Error& error) {
    throw UsageError(fmt::format("--device: {}", error.what()));
  }
}

void check_sha256(const std::string& text) {
  const bool hexadecimal =
      std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (text.empty() || (text.size() == 64 && hexadecimal)) return;
  throw UsageError(
      fmt::format("--sha256: \"{}\" is not a digest; give its 64 hexadecimal digits", printable(text)));
}

}  // namespace penstock::cli
