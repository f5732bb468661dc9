#include "cli_command.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace penstock::e2e {
namespace {

std::string objects_file(const std::string& name) { return package_file("../torch-2.15-objects/" + name); }

TEST(CliObjects, AreShownWithoutTheirClasses) {
  const CommandResult result = penstock_command({"inspect", objects_file("object_ints.pt2")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const char* part :
       {"operators     fixtures::takes_foo\n", "fixtures::takes_foo_pair", "classes       fixtures.Foo\n",
        "objects       _torchbind_obj0  fixtures.Foo  (10, 20)\n",
        "can run here  yes, with its operators and classes (--library FILE)"}) {
    EXPECT_TRUE(contains(result.out, part)) << part << "\n" << result.out;
  }
}

TEST(CliObjects, AreInTheJson) {
  const CommandResult result = penstock_command({"inspect", objects_file("object_mixed.pt2"), "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto model = nlohmann::json::parse(result.out)["models"].at(0);
  EXPECT_EQ(model["needs"]["operators"], nlohmann::json{"fixtures::scale_mixed"});
  const auto& object = model["custom_objects"].at(0);
  EXPECT_EQ(object["name"], "_torchbind_obj0");
  EXPECT_EQ(object["class"], "fixtures.Mixed");
  EXPECT_EQ(object["state"],
            "(True, 2.5, \"caf\u00e9\", [1, -2, 70000, 1099511627776], [0.25, -1e+300], [True, False], "
            "[\"caf\u00e9\", \"\", \"caf\u00e9\"], {\"a\": float32[4, 4], \"b\": float32[4, 4], \"again\": "
            "float32[4, 4]}, None, cpu, [[1, 2], [], [3]])");
}

TEST(CliObjects, RunWithALibrary) {
  const std::vector<std::string> command = {"run", objects_file("engines.pt2"), "--inputs",
                                            objects_file("engines.inputs.safetensors")};
  const CommandResult refused = penstock_command(command);
  EXPECT_EQ(refused.exit_code, 3);
  EXPECT_TRUE(
      contains(refused.err, "TensorRT engine _run_on_acc_0_engine runs on CUDA; load its model there"))
      << refused.err;
  std::vector<std::string> with_library = command;
  with_library.insert(with_library.end(), {"--library", PENSTOCK_TEST_OPERATORS});
  const CommandResult result = penstock_command(with_library);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(contains(result.out, "out1")) << result.out;
}

TEST(CliObjects, AreBenchedWithALibrary) {
  const CommandResult result =
      penstock_command({"bench", objects_file("object_ints.pt2"), "--library", PENSTOCK_TEST_OPERATORS,
                        "--iterations", "3", "--warm-up", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(CliObjects, ALibraryThatIsNoneIsNamed) {
  const CommandResult result =
      penstock_command({"run", objects_file("object_ints.pt2"), "--library", "/nonexistent.so"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(contains(result.err, "/nonexistent.so")) << result.err;
}

}  // namespace
}  // namespace penstock::e2e
