#include "difference.hpp"
#include "e2e/cli_command.hpp"
#include "on_double.hpp"

#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

// penstock doctor --prove-tensorrt.
namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// The stand-in of another process computes nothing: of this plan the output is an input.
constexpr std::string_view kKept = R"({"aux_streams": 1, "device_memory": 4096, "tensors": [
    {"name": "cache", "mode": "input", "shape": [2]},
    {"name": "x", "mode": "input", "shape": [-1],
     "profiles": [{"min": [1], "opt": [2], "max": [8]}]},
    {"name": "y", "mode": "output", "shape": [2], "alias": "cache"}],
  "layers": [{"kind": "affine", "inputs": ["x"], "output": "between", "stream": 1},
             {"kind": "append", "inputs": ["cache", "between"], "output": "y"}]})";

std::string file_of(std::string_view plan, std::string_view name = "model.plan") {
  const std::string path = e2e::scratch_file(name);
  e2e::write_text(path, "penstock-double\n" + std::string(plan));
  return path;
}

class Proof : public OnDouble11 {
 protected:
  [[nodiscard]] e2e::CommandResult prove(const std::string& plan, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"doctor", "--prove-tensorrt", plan, "--tensorrt", flavor_.library});
    return e2e::penstock_command(more);
  }
};

TEST_F(Proof, RunsAPlanInAllWaysAndWritesWhatHeld) {
  const std::string plan = file_of(kKept);
  const std::string report = e2e::scratch_file("tensorrt.md");
  const auto done = e2e::penstock_command(
      {"doctor", "--prove-tensorrt", plan, "--tensorrt", flavor_.library, "--report", report});
  EXPECT_EQ(done.exit_code, 0) << done.err << e2e::read_text(report);
  EXPECT_THAT(
      e2e::read_text(report),
      AllOf(StartsWith("## TensorRT, proven by penstock"),
            HasSubstr("the plan taken | held | TensorRT 11.1.0"),
            HasSubstr("described | held | cache float32[2], x float32[-1] -> y float32[2]; profiles: 1, "
                      "auxiliary streams: 1"),
            HasSubstr("a quarter of the GPU | held | "), HasSubstr("runs call by call | held | twice"),
            HasSubstr("runs as a CUDA graph | held | replayed"),
            HasSubstr("another stream of the partition | held | nothing captured anew"),
            HasSubstr("`set_stream` | held | forked"), HasSubstr("seen by Penstock | held | "),
            HasSubstr("seen by CUPTI | held | "),
            HasSubstr("nodes of the graph are in the partition | held | ")));
}

TEST_F(Proof, TellsWhatDoesNotHold) {
  const std::string other = file_of(R"({"compute_capability": "7.5", "tensors": [
      {"name": "x", "mode": "input", "shape": [4]}, {"name": "y", "mode": "output", "shape": [4]}],
    "layers": [{"kind": "affine", "inputs": ["x"], "output": "y"}]})",
                                    "other.plan");
  const auto refused =
      e2e::penstock_command({"doctor", "--prove-tensorrt", other, "--tensorrt", flavor_.library});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.out,
              AllOf(HasSubstr("the plan taken | **failed** | other.plan: "), HasSubstr("refuses it")));
  EXPECT_EQ(e2e::penstock_command({"doctor", "--prove-tensorrt", "/nowhere/a.plan"}).exit_code, 3);
  EXPECT_EQ(e2e::penstock_command({"doctor", "--report", "tensorrt.md"}).exit_code, 2);
}

TEST_F(Proof, CallsNothingProvenThatWasNotTried) {
  // The values of a shape are read on the host: no graph holds such a run.
  const std::string plan = file_of(R"({"tensors": [
      {"name": "cache", "mode": "input", "shape": [2]},
      {"name": "x", "mode": "input", "shape": [1]},
      {"name": "s", "mode": "input", "dtype": "int64", "shape": [1], "location": "host",
       "shape_input": true, "profiles": [{"min": [1], "opt": [2], "max": [8]}]},
      {"name": "y", "mode": "output", "shape": [2], "alias": "cache"}],
    "layers": [{"kind": "append", "inputs": ["cache", "x"], "output": "y"}]})");
  const auto done = prove(plan);
  EXPECT_EQ(done.exit_code, 0) << done.err << done.out;
  EXPECT_THAT(done.out,
              AllOf(HasSubstr("runs as a CUDA graph | not possible | "),
                    HasSubstr("the graph on another stream of the partition | not possible | no graph"),
                    HasSubstr("nodes of the graph are in the partition | not possible | "),
                    Not(HasSubstr("captured anew"))));

  ASSERT_EQ(::setenv("PENSTOCK_CUPTI", "/nonexistent/libcupti.so", 1), 0);
  const auto without_cupti = prove(file_of(kKept));
  ASSERT_EQ(::setenv("PENSTOCK_CUPTI", PENSTOCK_RECORDING_CUPTI, 1), 0);
  EXPECT_EQ(without_cupti.exit_code, 0) << without_cupti.out;
  EXPECT_THAT(without_cupti.out, HasSubstr("seen by CUPTI | not possible | "));
}

TEST_F(Proof, EndsWithAReportAlsoWhereThereIsNoMemory) {
  const auto done = prove(file_of(R"({"tensors": [
      {"name": "x", "mode": "input", "shape": [1099511627776, 1024]},
      {"name": "y", "mode": "output", "shape": [1]}],
    "layers": [{"kind": "affine", "inputs": ["x"], "output": "y"}]})"));
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.out, AllOf(StartsWith("## TensorRT, proven by"), HasSubstr("the plan taken | held"),
                              HasSubstr("described | **failed** | "), Not(HasSubstr("call by call"))));
}

TEST_F(Proof, RefusesWhatItCannotWrite) {
  EXPECT_EQ(prove(file_of(kKept), {"--json"}).exit_code, 2);
  const auto done = prove(file_of(kKept), {"--report", "/nonexistent/report.md"});
  EXPECT_NE(done.exit_code, 0);
  EXPECT_THAT(done.err, HasSubstr("--report /nonexistent/report.md"));
}

using cli::difference;

std::vector<Tensor> outputs_of(const std::vector<std::vector<float>>& outputs) {
  std::vector<Tensor> made;
  for (const std::vector<float>& values : outputs) {
    Tensor tensor = Tensor::empty(DType::Float32, std::array{static_cast<std::int64_t>(values.size())});
    std::memcpy(tensor.view().data(), values.data(), values.size() * sizeof(float));
    made.push_back(std::move(tensor));
  }
  return made;
}

TEST(Difference, IsBesideTheLargestNumberOfEachOutput) {
  const auto found = difference(outputs_of({{1000}, {1, -2}}), outputs_of({{1000}, {1.5, -2}}));
  EXPECT_THAT(found.in_kind, IsEmpty());
  EXPECT_DOUBLE_EQ(found.of_largest, 0.25);
  EXPECT_TRUE(found.tells);
  EXPECT_EQ(difference(outputs_of({{0, 0}}), outputs_of({{0, 3}})).of_largest, 1.0);
}

TEST(Difference, IsNotHiddenByInfinityAndNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float odd : {kInfinity, -kInfinity, NAN}) {
    const auto found = difference(outputs_of({{odd, 2}}), outputs_of({{odd, 900}}));
    EXPECT_THAT(found.in_kind, IsEmpty()) << odd;
    EXPECT_GT(found.of_largest, 0.9) << odd;
    for (const float other : {-odd, 5.0F, 0.0F}) {
      if (std::isnan(odd) && std::isnan(other)) continue;
      EXPECT_THAT(difference(outputs_of({{3, odd}}), outputs_of({{3, other}})).in_kind,
                  HasSubstr("element 1 of output 0 is "))
          << odd << " and " << other;
    }
    EXPECT_FALSE(difference(outputs_of({{odd, 0}}), outputs_of({{odd, 0}})).tells) << odd;
  }
  EXPECT_THAT(difference(outputs_of({{1}}), outputs_of({{1, 2}})).in_kind,
              HasSubstr("output 0 is float32[1], and then float32[2]"));
}

}  // namespace
}  // namespace penstock::testing
