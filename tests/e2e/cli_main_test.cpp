#include "cli_command.hpp"

#include <penstock/version.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/wait.h>

#include <cstdlib>

namespace penstock::e2e {
namespace {

TEST(CliMain, SaysItsVersion) {
  const CommandResult result = penstock_command({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "penstock " + std::string(version()) + "\n");
}

TEST(CliMain, HelpsWithExamples) {
  const CommandResult result = penstock_command({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  for (const char* part : {"inspect", "run", "bench", "partition", "doctor", "Examples:", "Exit codes"}) {
    EXPECT_TRUE(contains(result.out, part)) << part << result.out;
  }
  for (const char* command : {"inspect", "run", "bench", "partition", "doctor"}) {
    const CommandResult help = penstock_command({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_TRUE(contains(help.out, "Examples:")) << help.out;
  }
}

TEST(CliMain, RefusesWhatItDoesNotKnow) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {}, {"walk"}, {"--walk"}, {"run"}, {"inspect", "a.pt2", "--walk"}, {"doctor", "more"}}) {
    const CommandResult result = penstock_command(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_TRUE(result.err.starts_with("penstock: error: ")) << result.err;
    EXPECT_TRUE(contains(result.err, "--help")) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(CliDoctor, SaysWhatTheMachineOffers) {
  const CommandResult result = penstock_command({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"processor", "instructions", "glibc", "libstdc++", "CUDA", "oneDNN"}) {
    EXPECT_TRUE(contains(result.out, part)) << part << result.out;
  }
  const CommandResult json = penstock_command({"doctor", "--json"});
  const nlohmann::json page = nlohmann::json::parse(json.out);
  EXPECT_GE(page["threads"], 1);
  EXPECT_FALSE(page["libraries"].empty());
  EXPECT_EQ(page["penstock"], std::string(version()));
}

TEST(CliMain, KeepsItsExitCodesWhereNobodyReadsItsErrors) {
  const std::string cli = PENSTOCK_CLI;
  const auto status = [&](const std::string& arguments) {
    return WEXITSTATUS(std::system((cli + " " + arguments + " >/dev/null 2>&-").c_str()));
  };
  EXPECT_EQ(status("inspect /nonexistent.pt2"), 3);
  EXPECT_EQ(status("frob"), 2);
}

TEST(CliMain, SaysWhatNumbersAnOptionTakes) {
  const std::string package = package_file("mlp.pt2");
  for (const char* threads : {"-1", "abc", "", "1.5", "99999999999"}) {
    const CommandResult result =
        penstock_command({"run", package, "--shapes", "arg0:1x64", "--threads", threads});
    EXPECT_EQ(result.exit_code, 2) << threads;
    EXPECT_TRUE(contains(result.err, "whole number from 0 to 1024")) << result.err;
  }
}

}  // namespace
}  // namespace penstock::e2e
