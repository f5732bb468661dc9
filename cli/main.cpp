#include "commands.hpp"
#include "report.hpp"

#include <penstock/error.hpp>
#include <penstock/version.hpp>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <new>
#include <string>
#include <string_view>

namespace penstock::cli {
namespace {

struct Command {
  const char* name;
  const char* description;
  Action (*add)(CLI::App&);
};
constexpr std::array kCommands{
    Command{"inspect", "Say what a package holds and needs; nothing of it is executed", add_inspect},
    Command{"run", "Run a model once and print or write its outputs", add_run},
    Command{"bench", "Run a model many times and print throughput and latency", add_bench},
    Command{"partition", "Divide a GPU's processors among streams, and see what each part gets",
            add_partition},
    Command{"doctor", "Say what this machine can run, and how to get what is missing", add_doctor},
};

constexpr const char* kExamples =
    "Examples:\n"
    "  penstock inspect model.pt2\n"
    "  penstock run model.pt2 --inputs inputs.npz --outputs outputs.npz\n"
    "  penstock run model.pt2 --shapes image:1x3x224x224\n"
    "  penstock bench model.pt2 --duration 5 --sessions 2\n"
    "\n"
    "Exit codes: 0 done, 1 the run failed, 2 usage, 3 the package was refused.\n"
    "penstock COMMAND --help tells the options of a command.";

std::string command_names() {
  std::string names;
  for (const Command& command : kCommands)
    names += fmt::format("{}{}", names.empty() ? "" : ", ", command.name);
  return names;
}

int dispatch(int argc, char** argv) {
  if (argc < 2) throw UsageError(fmt::format("no command is given; there are {}", command_names()));
  CLI::App app("Runs compiled PyTorch models (.pt2 of AOTInductor) without libtorch.", "penstock");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.set_version_flag("--version", fmt::format("penstock {}", version()), "Print the version and exit");
  app.footer(kExamples);
  Action action;
  for (const Command& command : kCommands) {
    CLI::App* sub = app.add_subcommand(command.name, command.description);
    // Only the command that is run has its options made: a start of the process takes less that way.
    if (argc > 1 && std::string_view(argv[1]) == command.name) action = command.add(*sub);
  }
  if (!action && argv[1][0] != '-') {
    throw UsageError(fmt::format("\"{}\" is no command; there are {}", argv[1], command_names()));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    throw UsageError(error.what());
  }
  // Reached without an action where an option stands before the command.
  if (!action) throw UsageError("options go behind the command");
  return action();
}

void print_error(std::string_view message, std::string_view hint) {
  std::string text = fmt::format("penstock: error: {}\n", printable_lines(message));
  if (!hint.empty()) text += fmt::format("hint: {}\n", hint);
  // Where nobody can read it, the exit code still says what went wrong.
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

int guarded_main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  try {
    return dispatch(argc, argv);
  } catch (const UsageError& error) {
    bool known = false;
    for (const Command& each : kCommands) known = known || command == each.name;
    print_error(error.what(), known ? fmt::format("penstock {} --help", command) : "penstock --help");
    return kExitUsage;
  } catch (const Refused& error) {
    print_error(error.what(),
                command == "inspect" ? "" : "penstock inspect FILE tells what a package holds and needs");
    return kExitRefused;
  } catch (const std::bad_alloc&) {
    print_error("out of memory for what the command itself makes of its input: its options, inputs and text",
                "");
  } catch (const std::exception& error) {
    print_error(error.what(), "");
  }
  return kExitFailed;
}

}  // namespace
}  // namespace penstock::cli

int main(int argc, char** argv) { return penstock::cli::guarded_main(argc, argv); }
