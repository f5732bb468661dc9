#include "cli_command.hpp"

#include <penstock/io.hpp>

#include <gtest/gtest.h>

#include <array>

namespace penstock::e2e {
namespace {

CommandResult run_package(const std::string& name, const std::string& outputs, const std::string& weights) {
  std::vector<std::string> arguments{"run",       package_file(name + ".pt2"),
                                     "--inputs",  package_file(name + ".inputs.safetensors"),
                                     "--outputs", outputs};
  if (!weights.empty()) arguments.insert(arguments.end(), {"--weights", weights});
  return penstock_command(arguments);
}

TEST(CliWeights, AreGivenToAPackageWithoutWeights) {
  const std::string outputs = scratch_file("external.out.safetensors");
  const CommandResult result = run_package("external", outputs, package_file("external.weights.safetensors"));
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const NamedTensors got = read_tensors(outputs);
  const NamedTensors expected = read_tensors(package_file("external.outputs.safetensors"));
  ASSERT_EQ(got.size(), expected.size());
  for (std::int64_t i = 0; i < got[0].second.numel(); ++i)
    EXPECT_NEAR(got[0].second.data_as<float>()[i], expected[0].second.data_as<float>()[i], 1e-5);
}

TEST(CliWeights, ThatAreMissingAreNamed) {
  const CommandResult result = run_package("external", scratch_file("missing.safetensors"), "");
  EXPECT_EQ(result.exit_code, 3);
  for (const char* part : {"--weights", "0.weight", "2.bias"})
    EXPECT_TRUE(contains(result.err, part)) << result.err;
}

TEST(CliWeights, ReplaceThoseOfThePackage) {
  const std::string weights = scratch_file("weights.npz");
  Tensor zeros = Tensor::empty(DType::Float32, {10, 32});
  for (int i = 0; i < 320; ++i) zeros.data_as<float>()[i] = 0;
  Tensor bias = Tensor::empty(DType::Float32, {10});
  for (int i = 0; i < 10; ++i) bias.data_as<float>()[i] = 0.5F;
  write_tensors(weights, {{"2.weight", zeros}, {"2.bias", bias}});
  const std::string outputs = scratch_file("replaced.safetensors");
  const CommandResult result = run_package("mlp", outputs, weights);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const NamedTensors got = read_tensors(outputs);
  for (std::int64_t i = 0; i < got[0].second.numel(); ++i) EXPECT_EQ(got[0].second.data_as<float>()[i], 0.5F);
}

TEST(CliWeights, AreToldByInspect) {
  const std::array<std::pair<const char*, const char*>, 5> forms{{{"mlp", "in the library"},
                                                                  {"blob", "in a file of their own"},
                                                                  {"pickle", "in files of their own"},
                                                                  {"external", "--weights FILE"},
                                                                  {"add", "none"}}};
  for (const auto& [name, text] : forms) {
    const CommandResult result = penstock_command({"inspect", package_file(std::string(name) + ".pt2")});
    EXPECT_EQ(result.exit_code, 0);
    EXPECT_TRUE(contains(result.out, text)) << result.out;
    EXPECT_TRUE(contains(result.out, "can run here  yes")) << result.out;
  }
}

}  // namespace
}  // namespace penstock::e2e
