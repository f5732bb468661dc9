#include "cli_command.hpp"
#include "support.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace penstock::e2e {
namespace {

using Json = nlohmann::json;

TEST(CliBench, PrintsThroughputAndLatency) {
  const CommandResult result =
      penstock_command({"bench", package_file("mlp.pt2"), "--warm-up", "1", "--duration", "0.05"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"throughput", "runs/s", "latency       min ", "mean ", "median ", "p90 ", "p99 ",
                           "max ", "load ", "first run ", "arena ", "arg0 float32["}) {
    EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out;
  }
}

TEST(CliBench, TimesAsManyRunsAsAreAskedFor) {
  const CommandResult result =
      penstock_command({"bench", package_file("add.pt2"), "--warmUp=0", "--iterations=50", "--infStreams=2",
                        "--percentile=50,99.9", "--json", "--exportTimes=" + scratch_file("times.json")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json page = Json::parse(result.out);
  EXPECT_EQ(page["runs"], 100);
  EXPECT_EQ(page["sessions"], 2);
  EXPECT_GT(page["runs_per_second"], 0.0);
  const Json& latency = page["latency_ms"];
  EXPECT_LE(latency["min"], latency["p50"]);
  EXPECT_LE(latency["p50"], latency["p99.9"]);
  EXPECT_LE(latency["p99.9"], latency["max"]);
  const Json times = Json::parse(read_text(scratch_file("times.json")));
  ASSERT_EQ(times.size(), 100u);
  EXPECT_EQ(times[99]["session"], 1);
  EXPECT_LE(times[0]["startComputeMs"], times[0]["endComputeMs"]);
}

TEST(CliBench, RunsAtLeastAsLongAsAsked) {
  const CommandResult result = penstock_command({"bench", package_file("add.pt2"), "--warm-up", "0",
                                                 "--duration", "0.1", "--iterations", "5", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_GE(Json::parse(result.out)["wall_ms"], 99.0);
}

TEST(CliBench, TakesInputsAsRunDoes) {
  const CommandResult result = penstock_command({"bench", package_file("mlp.pt2"), "--shapes", "arg0:16x64",
                                                 "--iterations", "3", "--warm-up", "0", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["inputs"][0], "arg0 float32[16, 64]");
  EXPECT_EQ(penstock_command({"bench", package_file("mlp.pt2"), "--shapes", "arg1:16x64"}).exit_code, 2);
}

TEST(CliBench, FailsWhereTheModelFails) {
  const CommandResult result = penstock_command(
      {"bench", package_file("fails.pt2"), "--inputs", package_file("fails.bad.inputs.safetensors")});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST(CliBench, SaysWhatMemoryIsMissingFor) {
  if (testing::kSanitized)
    GTEST_SKIP() << "needs a build without sanitizers, which reserve terabytes of addresses";
  int failed = 0;
  for (int kilobytes = 11'000; kilobytes <= 50'000; kilobytes += 1500) {
    // Below some size not even the command's own libraries can be mapped, or what they make when they are.
    if (limited_command(kilobytes, {"--version"}).exit_code != 0) continue;
    const CommandResult result = limited_command(kilobytes, {"bench", package_file("mlp.pt2"), "--sessions",
                                                             "4", "--warm-up", "0", "--duration", "0.01"});
    if (result.exit_code == 0) continue;
    ++failed;
    EXPECT_TRUE(result.exit_code == 1 || result.exit_code == 3) << kilobytes << " " << result.err;
    EXPECT_TRUE(contains(result.err, "mlp.pt2") || contains(result.err, " for "))
        << kilobytes << " " << result.err;
  }
  EXPECT_GT(failed, 0);
}

TEST(CliBench, RefusesNumbersThatMakeNoSense) {
  const std::pair<const char*, const char*> cases[] = {{"--sessions", "0"},     {"--iterations", "-1"},
                                                       {"--duration", "-1"},    {"--duration", "x"},
                                                       {"--percentile", "101"}, {"--threads", "-2"}};
  for (const auto& [option, value] : cases) {
    EXPECT_EQ(penstock_command({"bench", package_file("add.pt2"), option, value}).exit_code, 2) << option;
  }
}

}  // namespace
}  // namespace penstock::e2e
