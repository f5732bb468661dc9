#include "cli_command.hpp"
#include "support.hpp"

#include <penstock/io.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace penstock::e2e {
namespace {

std::string_view bytes(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.view().data()),
          static_cast<std::size_t>(tensor.numel()) * element_bytes(tensor.dtype())};
}

/// Compares by name: floats within `tolerance` and everything else by its bytes.
void expect_close(NamedTensors got, NamedTensors expected, double tolerance) {
  const auto by_name = [](const auto& a, const auto& b) { return a.first < b.first; };
  std::sort(got.begin(), got.end(), by_name);
  std::sort(expected.begin(), expected.end(), by_name);
  ASSERT_EQ(got.size(), expected.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    const Tensor& a = got[i].second;
    const Tensor& b = expected[i].second;
    EXPECT_EQ(got[i].first, expected[i].first);
    ASSERT_EQ(to_string(a.view()), to_string(b.view())) << got[i].first;
    if (a.dtype() != DType::Float32) {
      EXPECT_EQ(bytes(a), bytes(b)) << got[i].first;
      continue;
    }
    for (std::int64_t k = 0; k < a.numel(); ++k) {
      ASSERT_NEAR(a.data_as<float>()[k], b.data_as<float>()[k], tolerance)
          << got[i].first << " element " << k;
    }
  }
}

void expect_recorded_outputs(const std::string& name, double tolerance) {
  const std::string outputs = scratch_file(name + ".out.safetensors");
  const CommandResult result =
      penstock_command({"run", package_file(name + ".pt2"), "--inputs",
                        package_file(name + ".inputs.safetensors"), "--outputs", outputs});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "");
  expect_close(read_tensors(outputs), read_tensors(package_file(name + ".outputs.safetensors")), tolerance);
}

TEST(CliRun, GivesLibtorchsOwnAnswers) {
  for (const char* name : {"add", "mlp", "shared", "multi", "dtypes", "strided", "empty", "weights_out"}) {
    SCOPED_TRACE(name);
    expect_recorded_outputs(name, 1e-5);
  }
}

TEST(CliRun, RunsTheModelThatIsNamed) {
  const std::string outputs = scratch_file("second.safetensors");
  const CommandResult result =
      penstock_command({"run", package_file("two_models.pt2"), "--model", "second", "--inputs",
                        package_file("two_models.inputs.safetensors"), "--outputs", outputs});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_close(read_tensors(outputs), read_tensors(package_file("two_models.second.outputs.safetensors")),
               1e-6);
  const CommandResult none =
      penstock_command({"run", package_file("two_models.pt2"), "--shapes", "arg0:4x8"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_TRUE(contains(none.err, "first") && contains(none.err, "second")) << none.err;
}

TEST(CliRun, PrintsOutputsWithoutAFile) {
  const CommandResult result =
      penstock_command({"run", package_file("add.pt2"), "--inputs", package_file("add.inputs.safetensors")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("out0  float32[8, 64]\n  [")) << result.out;
  EXPECT_TRUE(contains(result.out, ", ...]\n  min ")) << result.out;
  const CommandResult dtypes = penstock_command(
      {"run", package_file("dtypes.pt2"), "--inputs", package_file("dtypes.inputs.safetensors")});
  EXPECT_TRUE(contains(dtypes.out, "out9  bool[4, 6]\n  [")) << dtypes.out;
  EXPECT_TRUE(contains(dtypes.out, "out3  bfloat16[4, 6]\n  [")) << dtypes.out;
}

TEST(CliRun, TellsOfAnOutputThatIsNoneAndLeavesItOutOfTheFile) {
  const std::string stem = testing::package_path("nested", "2.15-calls").replace_extension("").string();
  const CommandResult shown =
      penstock_command({"run", stem + ".pt2", "--inputs", stem + ".inputs.safetensors"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_TRUE(contains(shown.out, "\nout2  None\nout3  float32[2, 4]\n")) << shown.out;
  const std::string file = scratch_file("nested.safetensors");
  const CommandResult written =
      penstock_command({"run", stem + ".pt2", "--inputs", stem + ".inputs.safetensors", "--outputs", file});
  EXPECT_EQ(written.exit_code, 0) << written.err;
  expect_close(read_tensors(file), read_tensors(stem + ".outputs.safetensors"), 1e-6);
}

TEST(CliRun, RunsSizesOutsideOfTheRangesWhereAsked) {
  const std::string stem = testing::package_path("narrowed", "2.15-calls").replace_extension("").string();
  const std::vector<std::string> arguments{"run", stem + ".pt2", "--inputs",
                                           stem + ".n40.inputs.safetensors"};
  const CommandResult refused = penstock_command(arguments);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_TRUE(contains(refused.err, "--size-ranges ignored")) << refused.err;
  std::vector<std::string> more = arguments;
  more.insert(more.end(), {"--size-ranges", "ignored"});
  const CommandResult ran = penstock_command(more);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  more.back() = "none";
  EXPECT_EQ(penstock_command(more).exit_code, 2);
}

TEST(CliRun, RefusesAnOutputFileBeforeTheRun) {
  const auto refused = [](const std::string& file, const std::string& words) {
    // The inputs are not there, which is looked at next.
    const CommandResult result =
        penstock_command({"run", package_file("add.pt2"), "--inputs", "missing.npz", "--outputs", file});
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_TRUE(contains(result.err, words)) << result.err;
  };
  refused("results.txt", "--outputs results.txt: tensors are written to .npz, .safetensors or .npy files");
  refused("no/such/folder/results.npz", "there is no folder no/such/folder");
}

TEST(CliRun, TakesKeywordsAndSingleFiles) {
  const NamedTensors inputs = read_tensors(package_file("shared.inputs.safetensors"));
  std::vector<std::string> arguments{"run", package_file("shared.pt2"), "--outputs", scratch_file("kw.npz")};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const std::string file = scratch_file(inputs[i].first + ".npy");
    write_tensors(file, {inputs[i]});
    arguments.insert(arguments.end(), {"--input", (i == 2 ? "scale" : inputs[i].first) + "=" + file});
  }
  const CommandResult result = penstock_command(arguments);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  expect_close(read_tensors(scratch_file("kw.npz")), read_tensors(package_file("shared.outputs.safetensors")),
               1e-6);
}

TEST(CliRun, MakesUpInputsFromShapes) {
  const std::vector<std::string> arguments{"run", package_file("shared.pt2"), "--shapes",
                                           "arg0:4x5,arg1:4x5,scale:scalar"};
  const CommandResult first = penstock_command(arguments);
  ASSERT_EQ(first.exit_code, 0) << first.err;
  EXPECT_TRUE(contains(first.out, "out0  float32[4, 5]")) << first.out;
  EXPECT_EQ(penstock_command(arguments).out, first.out);
  std::vector<std::string> other = arguments;
  other.insert(other.end(), {"--seed", "1"});
  EXPECT_NE(penstock_command(other).out, first.out);
  std::vector<std::string> typed = arguments;
  typed.back() = "scale:,arg1:float32:4x5,arg0:float:4x5";
  EXPECT_EQ(penstock_command(typed).out, first.out);
}

TEST(CliRun, MakesUpTheSameFloatsOnEveryMachine) {
  // The first number of std::mt19937_64 seeded with 0 is 2947667278772165694: its upper 24 bits over 2^24.
  const CommandResult result =
      penstock_command({"run", package_file("shared.pt2"), "--shapes", "arg0:2x2,arg1:2x2,arg2:", "--outputs",
                        scratch_file("seed.npz")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const NamedTensors outputs = read_tensors(scratch_file("seed.npz"));
  EXPECT_EQ(outputs.at(3).second.data_as<float>()[0],
            static_cast<float>(2947667278772165694ULL >> 40) / 16777216.0f);
}

TEST(CliRun, MakesUpZerosForIntegersAndBooleans) {
  std::string shapes;
  for (int i = 0; i < 10; ++i) shapes += "arg" + std::to_string(i) + ":4x6,";
  shapes.pop_back();
  const CommandResult result = penstock_command({"run", package_file("dtypes.pt2"), "--shapes", shapes});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "out8  int64[4, 6]\n  [1, 1, 1, ")) << result.out;
  EXPECT_TRUE(contains(result.out, "out9  bool[4, 6]\n  [true, true, ")) << result.out;
}

TEST(CliRun, RefusesNamesThatAreUnknownMissingOrTwice) {
  const std::string file = package_file("shared.pt2");
  const std::pair<std::string, const char*> cases[] = {
      {"arg0:4x5,arg1:4x5,size:", "no input is called \"size\""},
      {"arg0:4x5,arg1:4x5", "nothing is given for arg2 (scale)"},
      {"arg0:4x5,arg1:4x5,arg2:,scale:", "arg2 (scale) is given twice"},
  };
  for (const auto& [shapes, part] : cases) {
    const CommandResult result = penstock_command({"run", file, "--shapes", shapes});
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_TRUE(contains(result.err, part)) << result.err;
    EXPECT_TRUE(contains(result.err, "arg0") && contains(result.err, "arg2 (scale)")) << result.err;
    EXPECT_TRUE(contains(result.err, "hint: penstock run --help")) << result.err;
  }
  EXPECT_EQ(penstock_command({"run", file}).exit_code, 2);
}

TEST(CliRun, RefusesShapesThatCannotBeUnderstood) {
  for (const char* shapes : {"arg0", "arg0:2x", "arg0:axb", "arg0:-1", "arg0:int7:2", "arg0:int64:2:3", ":2",
                             "", "arg0:99999999999999999999", "arg0:9223372036854775807x2,arg1:2"}) {
    const CommandResult result = penstock_command({"run", package_file("add.pt2"), "--shapes", shapes});
    EXPECT_EQ(result.exit_code, 2) << shapes << result.err;
    EXPECT_TRUE(contains(result.err, "--shapes")) << shapes << result.err;
  }
}

TEST(CliRun, SaysWhatIsWrongWithAnInput) {
  const std::pair<const char*, std::vector<const char*>> cases[] = {
      {"arg0:8x64,arg1:8x65", {"arg1", "65"}},
      {"arg0:8x64,arg1:int64:8x64", {"arg1", "int64"}},
      {"arg0:8,arg1:8x64", {"arg0", "1 dimensions"}},
      // Nothing is made of such sizes before it is known whether the model takes them.
      {"arg0:8x900000000000,arg1:8x64", {"arg0", "900000000000"}},
  };
  for (const auto& [shapes, parts] : cases) {
    const CommandResult result = penstock_command({"run", package_file("add.pt2"), "--shapes", shapes});
    EXPECT_EQ(result.exit_code, 2) << shapes << result.err;
    for (const char* part : parts) EXPECT_TRUE(contains(result.err, part)) << part << "\n" << result.err;
  }
  const std::string file = scratch_file("other.npz");
  write_tensors(file, {{"arg0", Tensor::empty(DType::Float32, {8, 64})},
                       {"arg1", Tensor::empty(DType::Float32, {8, 63})}});
  const CommandResult result = penstock_command({"run", package_file("add.pt2"), "--inputs", file});
  EXPECT_EQ(result.exit_code, 2) << result.err;
  EXPECT_TRUE(contains(result.err, "arg1") && contains(result.err, "63")) << result.err;
}

TEST(CliRun, SaysAtOnceThatThereIsNotSoMuchMemory) {
  // A model that takes sizes up to 2^20.
  const CommandResult result = penstock_command({"run", testing::package_path("square", "2.9").string(),
                                                 "--shapes", "arg0:1x1048576,arg1:1048576x1048576"});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_TRUE(contains(result.err, "out of memory") && contains(result.err, "--shapes")) << result.err;
  EXPECT_TRUE(contains(result.err, "4.0 TiB")) << result.err;
}

TEST(CliRun, RefusesValuesThatAreEmpty) {
  for (const char* option : {"--outputs", "--inputs", "--weights", "--sha256", "--model", "--labels",
                             "--accuracy-against", "--ascii-image"}) {
    const CommandResult result =
        penstock_command({"run", package_file("add.pt2"), "--shapes", "arg0:8x64,arg1:8x64", option, ""});
    EXPECT_EQ(result.exit_code, 2) << option << result.out;
    EXPECT_TRUE(contains(result.err, option) && contains(result.err, "empty")) << result.err;
  }
}

TEST(CliRun, SaysThatALibraryCannotBeMapped) {
  if (testing::kSanitized)
    GTEST_SKIP() << "needs a build without sanitizers, which reserve terabytes of addresses";
  // oneDNN takes 50 MB of addresses, the command with a model far less.
  const CommandResult result = limited_command(
      60'000, {"run", package_file("conv.pt2"), "--inputs", package_file("conv.inputs.safetensors")});
  EXPECT_EQ(result.exit_code, 1) << result.out;
  EXPECT_TRUE(contains(result.err, "oneDNN") && contains(result.err, "memory to map it")) << result.err;
  const CommandResult doctor = limited_command(40'000, {"doctor"});
  EXPECT_EQ(doctor.exit_code, 0) << doctor.err;
  EXPECT_TRUE(contains(doctor.out, "give this process more memory")) << doctor.out;
}

TEST(CliRun, ReportsARunThatFails) {
  const CommandResult result = penstock_command(
      {"run", package_file("fails.pt2"), "--inputs", package_file("fails.bad.inputs.safetensors")});
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_TRUE(result.err.starts_with("penstock: error: ")) << result.err;
  EXPECT_EQ(result.out, "");
}

TEST(CliRun, RefusesPackagesWithTheirOwnExitCode) {
  const CommandResult missing =
      penstock_command({"run", package_file("unsupported_ops.pt2"), "--shapes", "arg0:6x6,arg1:6x6"});
  EXPECT_EQ(missing.exit_code, 3);
  EXPECT_TRUE(contains(missing.err, "aoti_torch_cpu_geqrf") && contains(missing.err, "aoti_torch_cpu_ormqr"))
      << missing.err;
  EXPECT_TRUE(contains(missing.err, "hint: penstock inspect")) << missing.err;
  const CommandResult cuda =
      penstock_command({"run", package_file("cuda_meta.pt2"), "--shapes", "arg0:8x64,arg1:8x64"});
  EXPECT_EQ(cuda.exit_code, 3) << cuda.err;
}

TEST(CliRun, NamesAllThatALoadLacksAndNothingThatIsBuiltIn) {
  const char* const before = std::getenv("PENSTOCK_LIBCUDA");
  const std::string kept = before == nullptr ? "" : before;
  ASSERT_EQ(::setenv("PENSTOCK_LIBCUDA", "/nonexistent/libcuda.so.1", 1), 0);
  const auto refused = [](std::string_view name, const std::string& folder) {
    return penstock_command({"run", testing::package_path(name, folder).string(), "--device", "cuda"}).err;
  };
  const std::string operators = refused("operators", "2.15-sm90-objects");
  const std::string engine = refused("alone", "2.15-engines");
  if (before == nullptr) {
    ::unsetenv("PENSTOCK_LIBCUDA");
  } else {
    ::setenv("PENSTOCK_LIBCUDA", kept.c_str(), 1);
  }
  EXPECT_TRUE(contains(operators, "needs a CUDA device")) << operators;
  EXPECT_TRUE(contains(operators, "operators that are not registered: fixtures::")) << operators;
  EXPECT_TRUE(contains(engine, "needs a CUDA device")) << engine;
  EXPECT_FALSE(contains(engine, "not registered")) << engine;
}

TEST(CliRun, ChecksTheDigest) {
  const std::vector<std::string> run{"run", package_file("add.pt2"), "--shapes", "arg0:8x64,arg1:8x64",
                                     "--sha256"};
  std::vector<std::string> other = run;
  other.push_back(std::string(64, '0'));
  EXPECT_EQ(penstock_command(other).exit_code, 3);
  std::vector<std::string> malformed = run;
  malformed.push_back("abc");
  const CommandResult result = penstock_command(malformed);
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_TRUE(contains(result.err, "64 hexadecimal digits")) << result.err;
}

TEST(CliRun, SaysWhichInputFileIsBad) {
  const std::string bad = scratch_file("bad.npz");
  write_text(bad, "not an archive of arrays");
  for (const std::string& file : {bad, scratch_file("none.npz")}) {
    const CommandResult result = penstock_command({"run", package_file("add.pt2"), "--inputs", file});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_TRUE(contains(result.err, file)) << result.err;
  }
  const CommandResult form = penstock_command({"run", package_file("add.pt2"), "--input", "arg0"});
  EXPECT_EQ(form.exit_code, 2);
}

TEST(CliRun, RefusesOutputsThatNumpyCannotHold) {
  const CommandResult result =
      penstock_command({"run", package_file("dtypes.pt2"), "--inputs",
                        package_file("dtypes.inputs.safetensors"), "--outputs", scratch_file("dtypes.npz")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(contains(result.err, "bfloat16") && contains(result.err, ".safetensors")) << result.err;
  EXPECT_FALSE(std::filesystem::exists(scratch_file("dtypes.npz")));
}

TEST(CliRun, ReadsTheDigits) {
  const CommandResult result =
      penstock_command({"run", digits_file("digits.pt2"), "--inputs", digits_file("heldout.npz"),
                        "--ascii-image", "image", "--labels", digits_file("labels.txt"), "--top-k", "1",
                        "--accuracy-against", digits_file("labels.npy")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "██") && contains(result.out, "read ")) << result.out;
  // As many as libtorch: expected.npz has its answers.
  const std::size_t at = result.out.find("accuracy  ");
  ASSERT_NE(at, std::string::npos) << result.out;
  EXPECT_EQ(std::stoi(result.out.substr(at + std::string_view("accuracy  ").size())), 352) << result.out;
}

TEST(CliRun, AnswersAsLibtorchDidOnTheDigits) {
  const std::string outputs = scratch_file("digits_outputs.npz");
  const CommandResult result = penstock_command(
      {"run", digits_file("digits.pt2"), "--inputs", digits_file("heldout.npz"), "--outputs", outputs});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::vector<Tensor> given;
  std::vector<Tensor> expected;
  for (const auto& [name, tensor] : read_tensors(outputs)) given.push_back(tensor);
  for (const auto& [name, tensor] : read_tensors(digits_file("expected.npz"))) expected.push_back(tensor);
  testing::expect_same(given, expected);
}

TEST(CliRun, RanksClasses) {
  const std::vector<std::string> run{"run", digits_file("digits.pt2"), "--inputs",
                                     digits_file("heldout.npz")};
  std::vector<std::string> top = run;
  top.insert(top.end(), {"--top-k", "3"});
  const CommandResult result = penstock_command(top);
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out.starts_with("out0  float32[360, 10], the best 3 of each row\n  row   0   "))
      << result.out;
  const std::string labels = scratch_file("labels.txt");
  write_text(labels, "one\ntwo\n");
  top.insert(top.end(), {"--labels", labels});
  const CommandResult wrong = penstock_command(top);
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_TRUE(contains(wrong.err, "2 labels") && contains(wrong.err, "10 classes")) << wrong.err;
  std::vector<std::string> alone = run;
  alone.insert(alone.end(), {"--labels", digits_file("labels.txt")});
  EXPECT_EQ(penstock_command(alone).exit_code, 2);
}

}  // namespace
}  // namespace penstock::e2e
