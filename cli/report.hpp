#pragma once

#include <penstock/device.hpp>
#include <penstock/tensor.hpp>

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

namespace penstock::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitRefused = 3;

/// The command line asks for what cannot be: exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The package was refused: exit code 3.
struct Refused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Writes to standard output. Throws where not all of it could be written (a full disk).
void write_out(std::string_view text);
void write_json(const nlohmann::ordered_json& json);

/// `text` in one line, with control bytes, line ends among them, and what is no UTF-8 shown as \xNN: names in
/// a package must neither steer the terminal nor look like lines of ours.
std::string printable(std::string_view text);
/// The same of a text that has lines.
std::string printable_lines(std::string_view text);

/// "1.5 MiB"; "1.93 ms".
std::string bytes_text(std::uint64_t bytes);
std::string time_text(double nanoseconds);

/// "float32[1..64 (s77), 3, 224, 224]".
std::string spec_text(const TensorSpec& spec);

/// "[2, 3]".
std::string sizes_text(std::span<const std::int64_t> sizes);

/// "--device" as the user wrote it. Throws UsageError.
Device parse_device(const std::string& text);

/// Throws UsageError where `text` is neither empty nor 64 hexadecimal digits.
void check_sha256(const std::string& text);

}  // namespace penstock::cli
