#include "e2e/cli_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// The command on the recording driver, which this program names for its children as well, with a tool of
/// NVTX.
class Ranges : public ::testing::Test {
 protected:
  Ranges() {
    ::setenv("NVTX_INJECTION64_PATH", PENSTOCK_RECORDING_TOOL, 1);
    ::setenv("PENSTOCK_RECORDING_RANGES", file.c_str(), 1);
  }
  ~Ranges() override {
    ::unsetenv("NVTX_INJECTION64_PATH");
    ::unsetenv("PENSTOCK_RECORDING_RANGES");
  }

  static int run(std::string_view package) {
    const std::string path = std::string(PENSTOCK_TEST_PACKAGES) + "/torch-2.11-sm90/" + std::string(package);
    return e2e::penstock_command(
               {"run", path + ".pt2", "--device", "cuda", "--inputs", path + ".inputs.safetensors"})
        .exit_code;
  }
  [[nodiscard]] std::vector<std::string> told() const {
    std::istringstream text(e2e::read_text(file));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }

  std::string file = e2e::scratch_file("ranges");
};

TEST_F(Ranges, NameTheModelTheOperatorsAndTheCallsOfLibraries) {
  ASSERT_EQ(run("mlp"), 0);
  EXPECT_THAT(told(), ElementsAre(HasSubstr("mlp.pt2"), "push mm", "push cublasLtMatmul", "pop", "pop",
                                  "push addmm", "push cublasLtMatmul", "pop", "pop", "pop"));
}

TEST_F(Ranges, GoNowhereWhereTheToolRefusesOrIsNotThere) {
  ::unsetenv("PENSTOCK_RECORDING_RANGES");
  EXPECT_EQ(run("add"), 0);
  ::setenv("NVTX_INJECTION64_PATH", "/nonexistent/tool.so", 1);
  EXPECT_EQ(run("add"), 0);
  // A library that is none.
  ::setenv("NVTX_INJECTION64_PATH", PENSTOCK_RECORDING_CUPTI, 1);
  EXPECT_EQ(run("add"), 0);
}

}  // namespace
}  // namespace penstock::testing
