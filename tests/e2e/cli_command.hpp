#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::e2e {

/// What a run of the command left behind.
struct CommandResult {
  int exit_code = -1;  ///< 128 plus the signal where one ended it.
  std::string out;
  std::string err;
};

/// Runs the built `penstock` with these arguments, its output going to files and not to a terminal.
CommandResult penstock_command(const std::vector<std::string>& arguments);

/// The same with so many addresses for the process: `ulimit -v`.
CommandResult limited_command(int kilobytes, const std::vector<std::string>& arguments);

/// A package of tests/packages, or one of its tensor files: "add.pt2".
std::string package_file(std::string_view name);

/// A file of examples/digits.
std::string digits_file(std::string_view name);

/// A file of its own for the running test, removed at exit.
std::string scratch_file(std::string_view name);

void write_text(const std::string& path, std::string_view text);
std::string read_text(const std::string& path);

inline bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace penstock::e2e
