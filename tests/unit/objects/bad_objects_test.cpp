#include "changed_package.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

// What is wrong with an object is told with its name, its class, the package and the cause, by a load and by
// a look at the package, and nothing is made of it.
namespace penstock {
namespace {

using namespace std::string_literals;
using testing::Change;
using testing::kConfig;
using testing::kObject;
using testing::replaced_by;
using testing::with_changed;

constexpr const char* kMany = R"({"_torchbind_obj0": "custom_obj_0", "again": "custom_obj_0"})";

/// The file of an object whose pickle is of the class `name` and of this state, with more files beside it.
std::string object_file(const std::string& state, const std::map<std::string, std::string>& more = {},
                        const std::string& name = "Holder", const std::string& byte_order = "little") {
  const std::string pickle = "\x80\2c__torch__.torch.classes.fixtures\n" + name + "\n)\x81" + state + "b.";
  std::vector<package::test::ZipItem> items = {{"archive/data.pkl", pickle},
                                               {"archive/byteorder", byte_order}};
  for (const auto& [file, data] : more) items.push_back({"archive/" + file, data});
  return package::test::build_zip(items);
}

/// A float32 tensor of this size, whose storage is said to have this many elements.
std::string tensor(char size, char elements) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"s
         "0X\3\0\0\0cpuK"s +
         elements + "tQK\0K"s + size + "\x85K\1\x85\x89" + "ccollections\nOrderedDict\n)RtR";
}

template <class Work>
void expect_told(ErrorCode code, const std::string& cause, Work&& work) {
  try {
    work();
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const std::string& part :
         {"changed.pt2"s, "object \"_torchbind_obj0\" of class fixtures.Holder"s, cause})
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << part << "\n" << error.what();
  }
}

void expect_bad(std::string_view file, const Change& change, ErrorCode code, const std::string& cause) {
  const Package package = with_changed(file, change);
  LoadOptions options;
  options.registry.add(
      ClassDefinition{.name = "fixtures.Holder", .create = [](const Value&, const ObjectOrigin&) {
                        ADD_FAILURE() << "an object was made";
                        return std::make_shared<testing::Held>(testing::HeldState{});
                      }});
  expect_told(code, cause, [&] { static_cast<void>(Model::load(package, options)); });
  expect_told(code, cause, [&] { static_cast<void>(package.custom_objects()); });
}

void expect_bad(const std::string& file, ErrorCode code, const std::string& cause) {
  expect_bad(kObject, replaced_by(file), code, cause);
}

TEST(BadObject, HasInItWhatIsNotKnown) {
  expect_bad(object_file("cos\nsystem\nX\2\0\0\0ls\x85R"s), ErrorCode::Unsupported, "calls os system");
  expect_bad(object_file("cbuiltins\neval\n"), ErrorCode::Unsupported, "names builtins eval");
  expect_bad(object_file("cfunctools\npartial\n)\x81"), ErrorCode::Unsupported, "functools partial");
  expect_bad(object_file("P0\n"), ErrorCode::Unsupported, "opcode 0x50");
}

TEST(BadObject, IsWithinItself) {
  expect_bad(object_file("]q\0h\0a"s), ErrorCode::Corrupt, "has a container that is within itself");
}

TEST(BadObject, IsTooDeep) {
  expect_bad(object_file(std::string(70, ']') + std::string(69, 'a')), ErrorCode::Unsupported,
             "nested deeper than 64 levels");
}

TEST(BadObject, LiesAboutLengths) {
  expect_bad(object_file("X\xff\xff\xff\xff"s + "abc"), ErrorCode::Corrupt, "the pickle is truncated");
  expect_bad(object_file(tensor(2, 3), {{"data/0", std::string(8, '\0')}}), ErrorCode::Corrupt,
             "states 3 elements of float32, 8 bytes are there");
  expect_bad(object_file(tensor(3, 2), {{"data/0", std::string(8, '\0')}}), ErrorCode::Corrupt,
             "a tensor that reaches past its storage of 8 bytes");
  expect_bad(object_file("N").substr(0, 100), ErrorCode::Corrupt, "zip");
}

TEST(BadObject, LacksAFile) {
  expect_bad(object_file(tensor(2, 2)), ErrorCode::Corrupt, "data/0");
  expect_bad(package::test::build_zip({{"archive/byteorder", "little"}}), ErrorCode::Corrupt, "data.pkl");
  expect_bad(kObject, testing::nothing, ErrorCode::Corrupt,
             "its file data/constants/custom_obj_0 is not there");
}

TEST(BadObject, HasTheFileOfAnother) {
  expect_bad(kConfig, replaced_by(kMany), ErrorCode::Corrupt,
             "and object \"again\" have one file, data/constants/custom_obj_0");
}

TEST(BadObject, IsOfAnotherByteOrder) {
  expect_bad(object_file("N", {}, "Holder", "big"), ErrorCode::Incompatible, "byte order \"big\"");
}

TEST(BadObject, IsOfAnotherClassThanCallsTake) {
  LoadOptions options = testing::options();
  options.registry.add(
      ClassDefinition{.name = "fixtures.Foo", .create = [](const Value&, const ObjectOrigin&) {
                        ADD_FAILURE() << "an object was made";
                        return std::make_shared<testing::Held>(testing::HeldState{});
                      }});
  package::test::expect_error(
      ErrorCode::Unsupported,
      "is given the object \"_torchbind_obj0\" of class fixtures.Foo, and takes fixtures.Holder", [&] {
        const Package package = with_changed(kObject, replaced_by(object_file("N", {}, "Foo")));
        static_cast<void>(Model::load(package, options));
      });
}

TEST(BadObject, IsNotWhatTheSoundOneIs) {
  const Package package = with_changed(kObject, replaced_by(object_file("K\5")));
  EXPECT_EQ(Model::load(package, testing::options()).custom_objects().size(), 1U);
  EXPECT_EQ(to_string(package.custom_objects().at(0).state), "5");
}

}  // namespace
}  // namespace penstock
