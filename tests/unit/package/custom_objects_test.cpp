#include "package/custom_objects.hpp"

#include "package_builder.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::package {
namespace {

using test::expect_error;

constexpr const char* kConfig = "data/aotinductor/model/custom_objs_config.json";

std::vector<ObjectFile> read(const std::map<std::string, std::string>& more) {
  std::map<std::string, std::string> files = test::package_files();
  files.insert(more.begin(), more.end());
  const Archive archive = test::archive_of(files);
  const Manifest manifest = read_manifest(archive);
  NodeValue object;
  object.kind = NodeValueKind::Object;
  object.object = "a";
  object.class_name = "ns.Thing";
  const ExternNode call{.target = "ns::op", .inputs = {object}, .outputs = {}};
  return read_object_files(archive, manifest.models.front(), {&call, 1});
}

TEST(ObjectFiles, AreNoneWithoutAConfiguration) { EXPECT_TRUE(read({}).empty()); }

TEST(ObjectFiles, AreFoundInEitherPlace) {
  const auto files = read({{kConfig, R"({"b": "custom_obj_1", "a": "custom_obj_0"})"},
                           {"data/constants/custom_obj_0", "x"},
                           {"data/aotinductor/model/custom_obj_1", "y"}});
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].name, "a");
  EXPECT_EQ(files[0].class_name, "ns.Thing");
  EXPECT_EQ(files[0].entry, "data/constants/custom_obj_0");
  EXPECT_EQ(files[1].class_name, "");
  EXPECT_EQ(files[1].entry, "data/aotinductor/model/custom_obj_1");
}

TEST(ObjectFiles, RefusesWhatContradictsItself) {
  const auto refused = [](const std::string& config, std::string_view words) {
    expect_error(ErrorCode::Corrupt, words, [&] {
      read({{kConfig, config}, {"data/constants/custom_obj_0", "x"}});
    });
  };
  refused("[]", "is not a JSON object");
  refused(R"({"a": 5})", "does not name the file of \"a\"");
  refused(R"({"a": ""})", "as the file of \"a\"");
  refused(R"({"a": "../custom_obj_0"})", "names \"../custom_obj_0\" as the file of \"a\"");
  refused(R"({"a": "custom_obj_7"})",
          "object \"a\" of class ns.Thing: its file data/constants/custom_obj_7 is not there");
  refused(R"({"a": "custom_obj_0", "b": "custom_obj_0"})",
          "object \"a\" of class ns.Thing and object \"b\" have one file, data/constants/custom_obj_0");
  refused(R"({"a": "custom_obj_0", "a": "custom_obj_0"})", "is there twice");
}

TEST(ObjectFiles, AnObjectThatIsNoArchiveIsNamed) {
  const Archive archive = test::archive_of({{"data/constants/custom_obj_0", "no zip"}});
  expect_error(ErrorCode::Corrupt, "object \"a\" (data/constants/custom_obj_0)", [&] {
    ValueBudget budget;
    read_object(archive, {.name = "a", .class_name = {}, .entry = "data/constants/custom_obj_0"}, budget);
  });
}

}  // namespace
}  // namespace penstock::package
