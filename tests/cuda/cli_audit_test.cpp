#include "e2e/cli_command.hpp"
#include "e2e/support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

/// `penstock run` of `add` in a partition, on the recording driver, which this program names for its children
/// as well.
e2e::CommandResult audit(const std::string& option) {
  const std::string package = std::string(PENSTOCK_TEST_PACKAGES) + "/torch-2.11-sm90/add";
  return e2e::penstock_command({"run", package + ".pt2", "--device", "cuda", "--partition", "32", "--inputs",
                                package + ".inputs.safetensors", option});
}

/// The same of the graph where the recording driver captures something in another way.
template <class Audited>
e2e::CommandResult captured_as(const std::string& how, Audited&& audited) {
  ::setenv("PENSTOCK_RECORDING_CAPTURE", how.c_str(), 1);
  e2e::CommandResult result = audited();
  ::unsetenv("PENSTOCK_RECORDING_CAPTURE");
  return result;
}

TEST(CliAudit, OfTheModelIsWhatNoLevelMeans) {
  const e2e::CommandResult result = audit("--audit");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("audit of what the package does, on cuda:0: a stream with 32 SMs of a partition"),
            HasSubstr("  ok      model   kernel       triton"),
            HasSubstr("model: 1 of 1 that were seen stayed"), Not(HasSubstr(" all "))));
  // The kernel has not run: what the outputs are is of no account.
  const auto report = [](const std::string& out) { return out.substr(out.find("audit of")); };
  EXPECT_EQ(report(audit("--audit=model").out), report(result.out));
}

TEST(CliAudit, OfTheProcessTellsOfAllWhereItHasSeenAll) {
  const e2e::CommandResult result = audit("--audit=process");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("audit of what the process does, on cuda:0: a stream with 32 SMs of a partition"),
            HasSubstr("  ok      model   kernel       triton"),
            HasSubstr("  ok      process kernel       triton"),
            HasSubstr("process: all 1 kernels, copies and fills of the run stayed"),
            HasSubstr("process: 0 of others in this process meanwhile, 0 of them in no partition")));
}

TEST(CliAudit, FailsWhereAKernelOfTheRunHasLeft) {
  ::setenv("PENSTOCK_RECORDING_CUPTI_ADD", "run", 1);
  const e2e::CommandResult result = audit("--audit=process");
  ::unsetenv("PENSTOCK_RECORDING_CUPTI_ADD");
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("  LEFT    process kernel       added  on CUPTI's stream 7 of context 1 on cuda:0 "
                      "with 132 SMs, the whole device\n"),
            HasSubstr("process: 1 of 2 that were seen stayed"), Not(HasSubstr(" all "))));
}

TEST(CliAudit, ShowsOthersOutsideOfEveryPartitionAndDoesNotFailForThem) {
  ::setenv("PENSTOCK_RECORDING_CUPTI_ADD", "others", 1);
  const e2e::CommandResult result = audit("--audit=process");
  ::unsetenv("PENSTOCK_RECORDING_CUPTI_ADD");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("  OUTSIDE process kernel       added  on CUPTI's stream 7 of context 1 on cuda:0 "
                      "with 132 SMs, the whole device\n"),
            HasSubstr("1 of others in this process meanwhile, 1 of them in no partition")));
}

TEST(CliAudit, SaysThatThereIsNoCupti) {
  const std::string before = std::getenv("PENSTOCK_CUPTI");
  ::setenv("PENSTOCK_CUPTI", "/nonexistent/libcupti.so", 1);
  const e2e::CommandResult result = audit("--audit=process");
  ::setenv("PENSTOCK_CUPTI", before.c_str(), 1);
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, AllOf(HasSubstr("an audit of the process needs CUPTI, which was not found"),
                                HasSubstr("/nonexistent/libcupti.so"), HasSubstr("PENSTOCK_CUPTI")));
}

TEST(CliAudit, OfTheGraphTellsItsNodesAndOfAllWhereItHasSeenAll) {
  const e2e::CommandResult result = audit("--audit=graph");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(
      result.out,
      AllOf(HasSubstr("audit of what a replayed run does, on cuda:0: a stream with 32 SMs of a partition"),
            HasSubstr("  ok      graph   kernel       triton"),
            HasSubstr("graph: all 1 nodes of the replayed graph stayed in the stream's partition\n"),
            HasSubstr("not seen: on which SMs the driver ran the nodes")));
}

/// That `add` launches.
std::string kernel_of(const std::string& out) {
  const std::size_t begin = out.find("triton");
  return out.substr(begin, out.find_first_of(" \n", begin) - begin);
}

TEST(CliAudit, FailsWhereANodeOfTheGraphHasLeft) {
  const std::string kernel = kernel_of(audit("--audit=graph").out);
  const e2e::CommandResult result = captured_as("primary:" + kernel, [] { return audit("--audit=graph"); });
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("  LEFT    graph   kernel       " + kernel + "  on stream "),
                                HasSubstr(" with 132 SMs, the whole device\n"),
                                HasSubstr("graph: 0 of 1 that were seen stayed"), Not(HasSubstr(" all "))));
}

/// `mlp` of one row, which is copied to where there is room around it.
TEST(CliAudit, OfTheGraphMarksWhatItCannotTellThePlaceOf) {
  const e2e::CommandResult result = captured_as("child:cuMemcpyDtoDAsync", [] {
    return e2e::penstock_command({"run", std::string(PENSTOCK_TEST_PACKAGES) + "/torch-2.11-sm90/mlp.pt2",
                                  "--device", "cuda", "--partition", "32", "--shapes", "arg0:1x64",
                                  "--audit=graph"});
  });
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("  UNKNOWN graph   copy         a copy\n"),
                                HasSubstr("that were seen stayed"), Not(HasSubstr("graph: all "))));
}

TEST(CliAudit, RefusesOtherLevels) { EXPECT_EQ(audit("--audit=everything").exit_code, 2); }

}  // namespace
}  // namespace penstock::testing
