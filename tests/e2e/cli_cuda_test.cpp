#include "cli_command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <map>
#include <string>

namespace penstock::e2e {
namespace {

/// Runs the command on the recording driver.
class CliOnRecorder : public testing::Test {
 protected:
  CliOnRecorder() { set("PENSTOCK_LIBCUDA", PENSTOCK_RECORDING_DRIVER); }
  ~CliOnRecorder() override {
    for (const auto& [name, value] : variables_) ::unsetenv(name.c_str());
  }
  void set(const std::string& name, const std::string& value) {
    variables_[name] = value;
    ::setenv(name.c_str(), value.c_str(), 1);
  }

 private:
  std::map<std::string, std::string> variables_;
};

using CliPartition = CliOnRecorder;
using CliDoctorCuda = CliOnRecorder;

TEST_F(CliPartition, SaysWhatTheGpuCanGive) {
  const CommandResult result = penstock_command({"partition"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "cuda:0  Recording GPU, 132 SMs; parts of 8 or more in steps of 8, and the rest\n");
}

TEST_F(CliPartition, SaysWhatASplitGives) {
  const CommandResult result = penstock_command({"partition", "--split", "30,64,rest"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* line :
       {"\nasked      given\n", "\n30            32\n", "\n64            64\n", "\nrest          36\n"}) {
    EXPECT_TRUE(contains(result.out, line)) << line << result.out;
  }
  EXPECT_FALSE(contains(result.out, "in none")) << result.out;
  EXPECT_TRUE(contains(result.out, "within one process")) << result.out;
}

TEST_F(CliPartition, SaysWhatIsInNoPart) {
  const CommandResult result = penstock_command({"partition", "--split", "25%,50%"});
  EXPECT_TRUE(contains(result.out, "\nin none       36\n")) << result.out;
}

TEST_F(CliPartition, ProbesWhereBlocksRan) {
  const CommandResult result = penstock_command({"partition", "--split", "32,rest", "--probe"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "\n32            32  0-31\n")) << result.out;
  EXPECT_TRUE(contains(result.out, "\nrest         100  32-131\n")) << result.out;
  const CommandResult whole = penstock_command({"partition", "--probe"});
  EXPECT_TRUE(contains(whole.out, "\nall          132  0-131\n")) << whole.out;
}

TEST_F(CliPartition, PrintsJson) {
  set("PENSTOCK_RECORDING_GPUS", "2");
  const CommandResult result =
      penstock_command({"partition", "--device", "1", "--split", "32,64", "--probe", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const nlohmann::json page = nlohmann::json::parse(result.out);
  EXPECT_EQ(page["device"], 1);
  EXPECT_EQ(page["sm_count"], 132);
  EXPECT_EQ(page["least_sm_count"], 8);
  EXPECT_EQ(page["step_sm_count"], 8);
  EXPECT_EQ(page["probed"], true);
  EXPECT_EQ(page["in_no_part_sm_count"], 36);
  ASSERT_EQ(page["parts"].size(), 2U);
  EXPECT_EQ(page["parts"][1]["asked"], "64");
  EXPECT_EQ(page["parts"][1]["sm_count"], 64);
  EXPECT_EQ(page["parts"][1]["sms"].size(), 64U);
  EXPECT_EQ(page["parts"][1]["sms"][0], 32);
}

TEST_F(CliPartition, RefusesWhatCannotBeGiven) {
  const CommandResult large = penstock_command({"partition", "--split", "128,8"});
  EXPECT_EQ(large.exit_code, 2);
  EXPECT_TRUE(contains(large.err, "cuda:0 has 132 SMs, and gives parts of 8 or more in steps of 8"))
      << large.err;
  const CommandResult words = penstock_command({"partition", "--split", "a lot"});
  EXPECT_EQ(words.exit_code, 2);
  EXPECT_TRUE(contains(words.err, "neither a number of SMs (32), nor a share (25%), nor \"rest\""))
      << words.err;
  const CommandResult device = penstock_command({"partition", "--device", "1"});
  EXPECT_EQ(device.exit_code, 2);
  EXPECT_TRUE(contains(device.err, "there is no cuda:1; CUDA sees 1 GPU, cuda:0")) << device.err;
  EXPECT_EQ(penstock_command({"partition", "--device", "-1"}).exit_code, 2);
}

TEST_F(CliPartition, FailsWhereThereIsNoDriver) {
  set("PENSTOCK_LIBCUDA", "/nonexistent/libcuda.so.1");
  const CommandResult result = penstock_command({"partition"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "there is no CUDA driver: /nonexistent/libcuda.so.1")) << result.err;
}

TEST_F(CliPartition, SaysThatADriverIsTooOldForPartitions) {
  set("PENSTOCK_RECORDING_VERSION", "12020");
  const CommandResult result = penstock_command({"partition", "--split", "32,rest"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "the driver is of CUDA 12.2, and partitions need one of CUDA 12.5"))
      << result.err;
}

TEST_F(CliPartition, ReportsADriverCallThatFails) {
  set("PENSTOCK_RECORDING_FAIL", "cuGreenCtxCreate:2:2");
  const CommandResult result = penstock_command({"partition", "--split", "32,rest", "--probe"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "cuGreenCtxCreate failed: CUDA_ERROR_OUT_OF_MEMORY")) << result.err;
}

TEST_F(CliPartition, GivesBackWhatItMade) {
  const std::string log = scratch_file("driver_log");
  set("PENSTOCK_RECORDING_LOG", log);
  EXPECT_EQ(penstock_command({"partition", "--split", "32,rest", "--probe"}).exit_code, 0);
  const std::string text = read_text(log);
  EXPECT_TRUE(contains(text, "cuLaunchKernel penstock_sm_probe grid 528x1x1 stream#1 green#1 (32 SMs)\n"))
      << text;
  EXPECT_TRUE(contains(text, "cuLaunchKernel penstock_sm_probe grid 528x1x1 stream#2 green#2 (100 SMs)\n"))
      << text;
  EXPECT_TRUE(contains(text, "cuGreenCtxDestroy green#2 (100 SMs)\n")) << text;
  EXPECT_TRUE(text.ends_with("cuDevicePrimaryCtxRelease cuda:0 (132 SMs)\n")) << text;
}

TEST_F(CliDoctorCuda, TellsOfDriverGpusAndPartitions) {
  set("PENSTOCK_RECORDING_GPUS", "2");
  const CommandResult result = penstock_command({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"CUDA 13.0  ", "cuda:1        Recording GPU, compute capability 9.0, 132 SMs, 80.0 GiB",
        "partitions of 8 SMs or more in steps of 8", "streams of one process",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"}) {
    EXPECT_TRUE(contains(result.out, part)) << part << result.out;
  }
  const nlohmann::json page = nlohmann::json::parse(penstock_command({"doctor", "--json"}).out);
  EXPECT_EQ(page["cuda"]["driver_version"], 13000);
  EXPECT_EQ(page["cuda"]["problem"], "");
  EXPECT_EQ(page["cuda"]["devices"].size(), 2U);
  EXPECT_EQ(page["cuda"]["devices"][1]["compute_capability"], "9.0");
}

TEST_F(CliDoctorCuda, TellsOfADriverThatKnowsNoPartitions) {
  set("PENSTOCK_RECORDING_VERSION", "12020");
  const CommandResult result = penstock_command({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "no partitions: cuda:0: the driver is of CUDA 12.2")) << result.out;
  EXPECT_FALSE(contains(result.out, "CUDA_MPS")) << result.out;
}

TEST_F(CliDoctorCuda, TellsWhyThereIsNoGpu) {
  set("PENSTOCK_RECORDING_GPUS", "0");
  const CommandResult none = penstock_command({"doctor"});
  EXPECT_EQ(none.exit_code, 0);
  EXPECT_TRUE(contains(none.out, "none that can be used: ")) << none.out;
  EXPECT_TRUE(contains(none.out, "CUDA_VISIBLE_DEVICES")) << none.out;
  set("PENSTOCK_LIBCUDA", "/nonexistent/libcuda.so.1");
  const nlohmann::json page = nlohmann::json::parse(penstock_command({"doctor", "--json"}).out);
  EXPECT_EQ(page["cuda"]["driver_version"], 0);
  EXPECT_EQ(page["cuda"]["driver_library"], "");
  EXPECT_TRUE(contains(page["cuda"]["problem"].get<std::string>(), "there is no CUDA driver"));
}

}  // namespace
}  // namespace penstock::e2e
