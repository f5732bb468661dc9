#include "cli_command.hpp"
#include "support.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace penstock::e2e {
namespace {

using Json = nlohmann::json;

TEST(CliInspect, ShowsWhatAPackageHoldsAndNeeds) {
  const CommandResult result = penstock_command({"inspect", package_file("mlp.pt2")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char* part : {"mlp.pt2\n", "model \"model\"", "device        cpu", "compiled for 1", "arg0",
                           "float32[", "..64 (s", "out0", "glibc", "x86_64 ", "AVX2", "can run here  yes"}) {
    EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out;
  }
  EXPECT_FALSE(contains(result.out, "aoti_torch_"));
  EXPECT_FALSE(contains(result.out, "\x1b"));
}

TEST(CliInspect, ListsFunctionsAndMetadataWhenVerbose) {
  const CommandResult result = penstock_command({"inspect", package_file("mlp.pt2"), "--verbose"});
  EXPECT_TRUE(contains(result.out, "aoti_torch_empty_strided")) << result.out;
  EXPECT_TRUE(contains(result.out, "AOTI_DEVICE_KEY = cpu")) << result.out;
}

TEST(CliInspect, ShowsKeywordsSharedSymbolsAndOutputs) {
  const CommandResult result = penstock_command({"inspect", package_file("shared.pt2")});
  EXPECT_TRUE(contains(result.out, "arg2  scale")) << result.out;
  EXPECT_TRUE(contains(result.out, "float32[]")) << result.out;
  EXPECT_TRUE(contains(result.out, "out0 out['a']  out1 out['b'][0]  out2 out['b'][1]")) << result.out;
}

TEST(CliInspect, GivesEverythingAsJson) {
  const CommandResult result = penstock_command({"inspect", package_file("shared.pt2"), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json page = Json::parse(result.out);
  EXPECT_EQ(page["bytes"], std::filesystem::file_size(package_file("shared.pt2")));
  EXPECT_EQ(page["archive_version"], "0");
  const Json& model = page["models"].at(0);
  for (const char* key : {"name", "device", "can_run_here", "obstacles", "library", "library_bytes",
                          "weights_form", "weights_bytes", "compiled_threads", "inputs", "outputs", "needs",
                          "metadata", "call_spec_in", "call_spec_out"}) {
    EXPECT_TRUE(model.contains(key)) << key;
  }
  EXPECT_EQ(model["can_run_here"], true);
  EXPECT_EQ(model["inputs"].size(), 3u);
  EXPECT_EQ(model["inputs"][0]["dims"][0]["symbol"], model["inputs"][1]["dims"][0]["symbol"]);
  EXPECT_EQ(model["inputs"][0]["dims"][0]["max"], 64);
  EXPECT_EQ(model["inputs"][2]["keyword"], "scale");
  EXPECT_FALSE(model["needs"]["shim_functions"].empty());
}

TEST(CliInspect, ListsModelsAndPicksOne) {
  const std::string file = package_file("two_models.pt2");
  const CommandResult both = penstock_command({"inspect", file});
  EXPECT_TRUE(contains(both.out, "models        2")) << both.out;
  EXPECT_TRUE(contains(both.out, "model \"first\"") && contains(both.out, "model \"second\"")) << both.out;
  const CommandResult one = penstock_command({"inspect", file, "--model", "second"});
  EXPECT_FALSE(contains(one.out, "model \"first\"")) << one.out;
  const CommandResult none = penstock_command({"inspect", file, "--model", "third"});
  EXPECT_EQ(none.exit_code, 3);
  EXPECT_TRUE(contains(none.err, "first") && contains(none.err, "second")) << none.err;
}

TEST(CliInspect, SaysWhatKeepsAPackageFromRunning) {
  const CommandResult missing = penstock_command({"inspect", package_file("unsupported_ops.pt2")});
  EXPECT_EQ(missing.exit_code, 0);
  EXPECT_TRUE(contains(missing.out, "missing     aoti_torch_cpu_cholesky_inverse")) << missing.out;
  EXPECT_TRUE(contains(missing.out, "can run here  no\n    - ")) << missing.out;
  const CommandResult cuda = penstock_command({"inspect", package_file("cuda_meta.pt2"), "--json"});
  EXPECT_EQ(cuda.exit_code, 0);
  const Json model = Json::parse(cuda.out)["models"][0];
  EXPECT_EQ(model["device"], "cuda");
  EXPECT_EQ(model["can_run_here"], false);
}

TEST(CliInspect, RefusesWhatIsNoPackage) {
  const std::string text = scratch_file("text.pt2");
  write_text(text, "this is not a package");
  for (const std::string& file : {text, scratch_file("none.pt2"), digits_file("heldout.npz")}) {
    const CommandResult result = penstock_command({"inspect", file});
    EXPECT_EQ(result.exit_code, 3) << file;
    EXPECT_TRUE(result.err.starts_with("penstock: error: ")) << result.err;
    EXPECT_TRUE(contains(result.err, file)) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(CliInspect, ShowsControlBytesInsteadOfSendingThem) {
  const CommandResult result = penstock_command({"inspect", "no\x1b[31m \xc2\x9b\xc3\xbc.pt2"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(contains(result.err, "\\x1b[31m \\x9b\xc3\xbc.pt2")) << result.err;
  EXPECT_FALSE(contains(result.err, "\x1b"));
}

TEST(CliInspect, ShowsNoLinesThatAPackageMadeUp) {
  const testing::TemporaryFolder folder;
  testing::unpack_package("add", folder.path());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    if (!entry.path().string().ends_with("wrapper_metadata.json")) continue;
    Json metadata = Json::parse(std::ifstream(entry.path()));
    metadata["AOTI_NOTE"] = "x\n  can run here  always \xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80 \xc2\x9b";
    write_text(entry.path().string(), metadata.dump());
  }
  const CommandResult result = penstock_command({"inspect", folder.path().string(), "--verbose"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_FALSE(contains(result.out, "\n  can run here  always")) << result.out;
  EXPECT_TRUE(contains(
      result.out, "AOTI_NOTE = x\\x0a  can run here  always \xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80 \\x9b\n"))
      << result.out;
}

TEST(CliInspect, ShowsBytesThatAreNoTextAsNumbers) {
  // A lone byte of the range of control characters, a character cut short, one that is longer than it needs
  // to be.
  const CommandResult result = penstock_command({"inspect", "no\x9b[31m\xe2\x82 \xc0\xaf.pt2"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(contains(result.err, "no\\x9b[31m\\xe2\\x82 \\xc0\\xaf.pt2")) << result.err;
}

TEST(CliInspect, TellsWhereInTheCallATensorIs) {
  const CommandResult inputs = penstock_command({"inspect", package_file("multi.pt2")});
  EXPECT_EQ(inputs.exit_code, 0) << inputs.err;
  EXPECT_TRUE(contains(inputs.out, "  args[0][1]\n")) << inputs.out;
  const CommandResult outputs =
      penstock_command({"inspect", testing::package_path("nested", "2.15-calls").string()});
  EXPECT_TRUE(contains(outputs.out, "out0 out[0]['y']  out1 out[0]['pair'][0]")) << outputs.out;
  EXPECT_TRUE(contains(outputs.out, "  out6\n")) << outputs.out;
  const CommandResult plain = penstock_command({"inspect", package_file("add.pt2")});
  EXPECT_FALSE(contains(plain.out, "args[")) << plain.out;
}

}  // namespace
}  // namespace penstock::e2e
