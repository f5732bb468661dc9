#include "e2e/cli_command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace penstock::e2e {
namespace {

std::string package(const std::string& name) {
  return std::string(PENSTOCK_TEST_PACKAGES) + "/torch-2.11-sm90/" + name;
}

/// The command on the recording driver, with a stand-in for cuBLASLt and no cuDNN.
class CliOnCuda : public testing::Test {
 protected:
  CliOnCuda() {
    set("PENSTOCK_LIBCUDA", PENSTOCK_RECORDING_DRIVER);
    set("PENSTOCK_CUBLASLT", PENSTOCK_RECORDING_CUBLASLT);
    set("PENSTOCK_CUDNN", "/nonexistent/libcudnn.so.9");
  }
  ~CliOnCuda() override {
    for (const auto& [name, before] : variables_) {
      if (before.empty()) {
        ::unsetenv(name.c_str());
      } else {
        ::setenv(name.c_str(), before.c_str(), 1);
      }
    }
  }
  void set(const std::string& name, const std::string& value) {
    const char* const before = ::getenv(name.c_str());
    variables_.emplace(name, before == nullptr ? "" : before);
    ::setenv(name.c_str(), value.c_str(), 1);
  }
  /// A call of the driver takes longer than what it does on the device: it writes to a file.
  void slow_down_host() { set("PENSTOCK_RECORDING_LOG", scratch_file("slow_log")); }

 private:
  std::map<std::string, std::string> variables_;
};

TEST_F(CliOnCuda, DoctorTellsTheLibrariesOfNvidiaThatItFinds) {
  const CommandResult result = penstock_command({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(
      contains(result.out, std::string("  cuBLASLt      13.0.0  ") + PENSTOCK_RECORDING_CUBLASLT + "\n"))
      << result.out;
  const nlohmann::json page = nlohmann::json::parse(penstock_command({"doctor", "--json"}).out);
  const nlohmann::json& libraries = page["cuda"]["libraries"];
  ASSERT_EQ(libraries.size(), 4U);
  EXPECT_EQ(libraries[0]["name"], "penstock_cuda");
  EXPECT_TRUE(contains(libraries[0]["path"].get<std::string>(), "libpenstock_cuda.so")) << libraries;
  EXPECT_EQ(libraries[0]["version"], page["penstock"]);
  EXPECT_EQ(libraries[1]["found"], true);
  EXPECT_EQ(libraries[1]["attempts"].size(), 0U);
  EXPECT_EQ(libraries[3]["name"], "CUPTI");
}

TEST_F(CliOnCuda, DoctorTellsWhereItLookedForThoseThatAreMissing) {
  const CommandResult named = penstock_command({"doctor"});
  for (const char* part :
       {"  cuDNN 9       missing\n", "tried: /nonexistent/libcudnn.so.9: cannot open shared object file",
        "to get it: Install it (pip install nvidia-cudnn-cu13", "or set PENSTOCK_CUDNN to the file",
        "What a missing library is for is refused"}) {
    EXPECT_TRUE(contains(named.out, part)) << part << "\n" << named.out;
  }
  const std::string environment = scratch_file("environment");
  const std::string wheel = environment + "/lib/python3.11/site-packages/nvidia/cudnn/lib";
  std::filesystem::create_directories(wheel);
  set("PENSTOCK_CUDNN", "");
  set("VIRTUAL_ENV", environment);
  const nlohmann::json page = nlohmann::json::parse(penstock_command({"doctor", "--json"}).out);
  const nlohmann::json& cudnn = page["cuda"]["libraries"][2];
  if (cudnn["found"] == true) GTEST_SKIP() << "needs a machine where the linker finds no cuDNN";
  const auto attempts = cudnn["attempts"].get<std::vector<std::string>>();
  EXPECT_EQ(std::ranges::count(attempts, "not in " + wheel), 1) << cudnn;
}

TEST_F(CliOnCuda, DoctorTellsOfALibraryThatIsAnotherOne) {
  set("PENSTOCK_CUDNN", PENSTOCK_RECORDING_CUBLASLT);
  const CommandResult result = penstock_command({"doctor"});
  EXPECT_TRUE(contains(result.out, "it is of another version than Penstock can use")) << result.out;
}

TEST_F(CliOnCuda, DoctorTellsThatTheOperatorsAreMissing) {
  set("PENSTOCK_CUDA_LIBRARY", "/nonexistent/libpenstock_cuda.so.0");
  const CommandResult result = penstock_command({"doctor"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "  penstock_cuda missing\n")) << result.out;
  EXPECT_TRUE(contains(result.out, "build Penstock with CUDA's compiler")) << result.out;
  EXPECT_FALSE(contains(result.out, "cuBLASLt")) << result.out;
}

TEST_F(CliOnCuda, DoctorLooksForNoneWhereThereIsNoGpu) {
  set("PENSTOCK_RECORDING_GPUS", "0");
  const nlohmann::json page = nlohmann::json::parse(penstock_command({"doctor", "--json"}).out);
  EXPECT_EQ(page["cuda"]["libraries"].size(), 0U);
}

/// Runs of `add`, a kernel each, measured and given as JSON.
nlohmann::json bench_of_add(std::vector<std::string> more) {
  std::vector<std::string> arguments{"bench", package("add.pt2"), "--device", "cuda", "--json", "--warm-up",
                                     "0",     "--iterations",     "40"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  const CommandResult result = penstock_command(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  return nlohmann::json::parse(result.out);
}

TEST_F(CliOnCuda, BenchTellsTheGpusTimeByEventsAndThatTheGpuIsTheBound) {
  set("PENSTOCK_RECORDING_KERNEL_MS", "50");
  const nlohmann::json page = bench_of_add({});
  // The kernel, the event of the lane and the event behind the run.
  for (const char* of : {"min", "mean", "p50", "p99", "max"}) {
    EXPECT_NEAR(page["gpu_ms"][of].get<double>(), 50.003, 0.0005) << of;
    EXPECT_GT(page["enqueue_ms"][of], 0.0) << of;
    EXPECT_LE(page["enqueue_ms"][of], page["latency_ms"][of]) << of;
  }
  EXPECT_EQ(page["bound_by"], "gpu");
  EXPECT_EQ(page["runs_in"], "132 SMs, the whole device");
  EXPECT_EQ(page["runs"], 40);
}

TEST_F(CliOnCuda, BenchTellsThatTheHostIsTheBound) {
  slow_down_host();
  const nlohmann::json page = bench_of_add({});
  EXPECT_NEAR(page["gpu_ms"]["p50"].get<double>(), 0.003, 0.0005);
  EXPECT_EQ(page["bound_by"], "host");
}

TEST_F(CliOnCuda, BenchPrintsBothSidesOfARun) {
  set("PENSTOCK_RECORDING_KERNEL_MS", "50");
  const std::vector<std::string> arguments{"bench", package("add.pt2"), "--device", "cuda", "--iterations",
                                           "5",     "--warm-up",        "0"};
  const CommandResult slow = penstock_command(arguments);
  for (const char* part :
       {"  runs in       132 SMs, the whole device\n", "  latency       min ", "  host enqueue  min ",
        "  GPU           min 50.00 ms\n", "p99 50.00 ms\n", "  bound by      the GPU: "}) {
    EXPECT_TRUE(contains(slow.out, part)) << part << "\n" << slow.out;
  }
  set("PENSTOCK_RECORDING_KERNEL_MS", "0");
  slow_down_host();
  const CommandResult fast = penstock_command(arguments);
  EXPECT_TRUE(contains(fast.out, "  bound by      the host: ")) << fast.out;
}

TEST_F(CliOnCuda, BenchRunsEachSessionOnAStreamOfOnePartition) {
  const std::string log = scratch_file("bench_log");
  std::filesystem::remove(log);
  set("PENSTOCK_RECORDING_LOG", log);
  const nlohmann::json page = bench_of_add({"--partition", "32", "--sessions", "3"});
  EXPECT_EQ(page["runs_in"], "32 SMs of a partition");
  EXPECT_EQ(page["runs"], 120);
  std::set<std::string> streams;
  std::istringstream lines(read_text(log));
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("cuLaunchKernel triton")) continue;
    EXPECT_TRUE(line.ends_with("green#1 (32 SMs)")) << line;
    streams.insert(line.substr(line.find("stream#")));
  }
  EXPECT_EQ(streams.size(), 3U);
}

TEST_F(CliOnCuda, BenchExportsBothSidesOfEveryRun) {
  set("PENSTOCK_RECORDING_KERNEL_MS", "2");
  const std::string file = scratch_file("cuda_times.json");
  bench_of_add({"--export-times", file});
  const nlohmann::json times = nlohmann::json::parse(read_text(file));
  ASSERT_EQ(times.size(), 40U);
  for (const nlohmann::json& run : times) {
    EXPECT_NEAR(run["gpuMs"].get<double>(), 2.003, 0.0005);
    EXPECT_GT(run["enqueueMs"], 0.0);
    EXPECT_LE(run["enqueueMs"], run["latencyMs"]);
  }
}

TEST_F(CliOnCuda, BenchExportsWhichRunsWereReplayed) {
  const std::string file = scratch_file("replayed_times.json");
  const auto exported = [&](const char* mode) {
    bench_of_add({"--export-times", file, "--graphs", mode});
    return nlohmann::json::parse(read_text(file));
  };
  for (const nlohmann::json& run : exported("auto")) EXPECT_EQ(run["replayed"], true);
  for (const nlohmann::json& run : exported("off")) EXPECT_EQ(run["replayed"], false);
}

TEST_F(CliOnCuda, BenchAdvisesTheSameBuffersWhereAGraphTakesNoOthers) {
  // Its driver does not tell the parameters of kernels, so that addresses cannot be found.
  set("PENSTOCK_RECORDING_VERSION", "12030");
  const nlohmann::json page = bench_of_add({});
  EXPECT_NE(page["graphs"]["fixed"], "") << page;
  EXPECT_TRUE(contains(page["advice"].get<std::string>(), "give inputs at the same addresses")) << page;
}

TEST_F(CliOnCuda, BenchTellsWhatGraphsDid) {
  const nlohmann::json page = bench_of_add({"--sessions", "2", "--partition", "32"});
  EXPECT_EQ(page["graphs"]["captures"], 2);
  // Of 40 runs in each session, and of one before in the first, all but the first of each.
  EXPECT_EQ(page["graphs"]["replays"], 79);
  EXPECT_EQ(page["graphs"]["fills"], 79);
  EXPECT_EQ(page["graphs"]["eager"],
            nlohmann::json::parse(R"([{"reason": "the first run of these shapes", "runs": 2}])"));
  EXPECT_EQ(page["advice"], "");
  const CommandResult text = penstock_command(
      {"bench", package("add.pt2"), "--device", "cuda", "--iterations", "5", "--warm-up", "0"});
  EXPECT_TRUE(contains(text.out, "  graphs        1 captured, 5 replays, ")) << text.out;
  EXPECT_TRUE(contains(text.out, "1 run call by call: the first run of these shapes\n")) << text.out;
}

TEST_F(CliOnCuda, BenchAdvisesGraphsWhereTheHostIsTheBound) {
  slow_down_host();
  const nlohmann::json page = bench_of_add({"--graphs", "off"});
  EXPECT_EQ(page["graphs"]["captures"], 0);
  EXPECT_EQ(page["advice"], "the host is the bound: --graphs auto replays runs as CUDA graphs");
  EXPECT_EQ(bench_of_add({"--graphs", "auto"})["advice"], "");
}

TEST_F(CliOnCuda, RunReplaysWhatIsRequiredToBeAGraphOrSaysWhatPreventsIt) {
  const std::string log = scratch_file("graphs_log");
  std::filesystem::remove(log);
  set("PENSTOCK_RECORDING_LOG", log);
  EXPECT_EQ(penstock_command({"run", package("add.pt2"), "--device", "cuda", "--shapes",
                              "arg0:8x64,arg1:8x64", "--graphs", "require"})
                .exit_code,
            0);
  EXPECT_TRUE(contains(read_text(log), "cuGraphLaunch ")) << read_text(log);
  const CommandResult refused = penstock_command({"run", package("item.pt2"), "--device", "cuda", "--inputs",
                                                  package("item.inputs.safetensors"), "--graphs", "require"});
  EXPECT_EQ(refused.exit_code, 1) << refused.out;
  EXPECT_TRUE(contains(refused.err, "the run cannot be captured into a CUDA graph, which was required: item"))
      << refused.err;
  const CommandResult cpu = penstock_command({"run", package("add.pt2"), "--graphs", "off"});
  EXPECT_NE(cpu.exit_code, 0);
}

TEST_F(CliOnCuda, BenchRefusesPartitionsThatThereAreNot) {
  EXPECT_EQ(
      penstock_command({"bench", package("add.pt2"), "--device", "cuda", "--partition", "1000"}).exit_code,
      2);
}

}  // namespace
}  // namespace penstock::e2e
