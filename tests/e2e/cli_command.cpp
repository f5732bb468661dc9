#include "cli_command.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

extern char** environ;

namespace penstock::e2e {
namespace {

/// One folder for the process, removed with it.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "penstock-cli-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  void open(int fd, const std::string& path, int flags) {
    ::posix_spawn_file_actions_addopen(&actions_, fd, path.c_str(), flags, 0600);
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

CommandResult run_command(std::vector<std::string> command) {
  const std::string out = scratch_file("stdout");
  const std::string err = scratch_file("stderr");
  FileActions actions;
  actions.open(0, "/dev/null", O_RDONLY);
  actions.open(1, out, O_WRONLY | O_CREAT | O_TRUNC);
  actions.open(2, err, O_WRONLY | O_CREAT | O_TRUNC);
  std::vector<char*> argv;
  for (std::string& argument : command) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  if (const int error = ::posix_spawn(&child, argv[0], actions.get(), nullptr, argv.data(), environ);
      error != 0) {
    throw std::runtime_error(command[0] + ": " + std::strerror(error));
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child) throw std::runtime_error("waitpid failed");
  CommandResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_text(out);
  result.err = read_text(err);
  return result;
}

}  // namespace

CommandResult penstock_command(const std::vector<std::string>& arguments) {
  std::vector<std::string> command{PENSTOCK_CLI};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_command(std::move(command));
}

CommandResult limited_command(int kilobytes, const std::vector<std::string>& arguments) {
  std::vector<std::string> command{
      "/bin/sh", "-c", "ulimit -v " + std::to_string(kilobytes) + " && exec \"$@\"", "sh", PENSTOCK_CLI};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run_command(std::move(command));
}

std::string package_file(std::string_view name) {
  return (std::filesystem::path(PENSTOCK_TEST_PACKAGES) / "torch-2.15" / name).string();
}

std::string digits_file(std::string_view name) {
  return (std::filesystem::path(PENSTOCK_EXAMPLES) / "digits" / name).string();
}

std::string scratch_file(std::string_view name) {
  static const ScratchFolder folder;
  return (folder.path() / name).string();
}

void write_text(const std::string& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace penstock::e2e
