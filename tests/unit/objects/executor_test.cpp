#include "unit/package/package_builder.hpp"

#include <penstock/penstock.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace penstock {
namespace {

using package::test::expect_error;

constexpr std::string_view kNodes = ".wrapper.json";
constexpr std::string_view kConfig = "custom_objs_config.json";
constexpr std::string_view kObject = "custom_obj_0";

/// The package object_tensor with the data of one file passed through `change`; without the file where it
/// becomes empty.
Package with_changed(std::string_view file, const std::function<std::string(std::string)>& change) {
  const auto archive =
      package::Archive::open(package::test::package_path("torch-2.15-objects/object_tensor.pt2"));
  std::vector<package::test::ZipItem> items;
  bool found = false;
  for (const package::ArchiveEntry& entry : archive.entries()) {
    std::string data = package::test::text_of(archive.read(entry.name));
    if (entry.name.ends_with(file)) {
      found = true;
      data = change(std::move(data));
      if (data.empty()) continue;
    }
    items.push_back({"top/" + entry.name, std::move(data)});
  }
  EXPECT_TRUE(found) << file;
  const auto bytes = package::test::shared(package::test::build_zip(items));
  return Package::open_memory(bytes.bytes, bytes.owner, "changed.pt2");
}

std::string nothing(const std::string&) { return {}; }

/// Replaces the first `from` by `to`.
std::function<std::string(std::string)> replaced(const std::string& from, const std::string& to) {
  return [from, to](std::string text) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in " << text;
    return text.replace(at, from.size(), to);
  };
}

struct Held : CustomObject {};

LoadOptions options() {
  LoadOptions made;
  made.registry.add(
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor",
       .run = [](OperatorCall& call) { call.give_argument(0, 1); }});
  made.registry.add(
      ClassDefinition{.name = "fixtures.Holder",
                      .create = [](const Value&, const ObjectOrigin&) { return std::make_shared<Held>(); }});
  return made;
}

void expect_refused(const Package& package, ErrorCode code, std::string_view words) {
  expect_error(code, words, [&] { static_cast<void>(Model::load(package, options())); });
}

TEST(Executor, ALoadOfTheUnchangedPackageSucceeds) {
  const Package package = with_changed(kNodes, [](std::string text) { return text; });
  EXPECT_EQ(Model::load(package, options()).custom_objects().size(), 1U);
}

TEST(Executor, RefusesCallsThatNothingNames) {
  expect_refused(with_changed(kNodes, nothing), ErrorCode::Corrupt, "the file beside it that names them");
}

TEST(Executor, RefusesObjectsThatAreNotThere) {
  expect_refused(with_changed(kConfig, nothing), ErrorCode::Unsupported,
                 "is given the object \"_torchbind_obj0\", which the package does not have");
  expect_refused(with_changed(kObject, nothing), ErrorCode::Corrupt, "custom_obj_0 as the file of");
}

TEST(Executor, RefusesKindsThatAreNotKnown) {
  const Package package =
      with_changed(kNodes, replaced(R"({"as_tensor": {"name": "buf0"}})", R"({"as_graph": {}})"));
  expect_refused(package, ErrorCode::Unsupported,
                 "is given as_graph as \"x\", which its schema has as Tensor");
}

TEST(Executor, NamesPackageObjectAndFileOfACorruptObject) {
  const Package package =
      with_changed(kObject, [](std::string data) { return data.substr(0, data.size() / 2); });
  expect_refused(package, ErrorCode::Corrupt,
                 "changed.pt2: object \"_torchbind_obj0\" (data/constants/custom_obj_0)");
  expect_error(ErrorCode::Corrupt, "object \"_torchbind_obj0\"",
               [&] { static_cast<void>(package.custom_objects()); });
}

TEST(Executor, RefusesCallsThatAreNotJson) {
  expect_error(ErrorCode::Corrupt, "not valid JSON",
               [] { with_changed(kNodes, [](const std::string& text) { return text.substr(0, 40); }); });
}

TEST(Executor, EndsARunWhoseCountsAreOthers) {
  // The library hands over a tensor more than its package says.
  const std::string node = R"({"name": "x", "arg": {"as_tensor": {"name": "buf0"}}, "kind": 1})";
  const Package package = with_changed(kNodes, replaced(", " + node, ""));
  LoadOptions other;
  other.registry.add(
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder) -> Tensor",
       .run = [](OperatorCall&) { ADD_FAILURE() << "was called"; }});
  other.registry.add(
      ClassDefinition{.name = "fixtures.Holder",
                      .create = [](const Value&, const ObjectOrigin&) { return std::make_shared<Held>(); }});
  Session session(Model::load(package, other));
  const Tensor x = Tensor::empty(DType::Float32, {3, 4});
  const TensorView view = x.view();
  expect_error(
      ErrorCode::Internal,
      "operator fixtures::add_held: the model hands over 2 tensors and 0 integers, the package describes 1",
      [&] {
        static_cast<void>(session.run({&view, 1}));
      });
}

TEST(Executor, EndsARunThatMakesACallWhichIsNotDescribed) {
  const Package package =
      with_changed(kNodes, [](const std::string&) { return std::string(R"({"nodes": []})"); });
  Session session(Model::load(package, options()));
  const Tensor x = Tensor::empty(DType::Float32, {3, 4});
  const TensorView view = x.view();
  expect_error(ErrorCode::Internal, "the model makes call 0, and the package describes 0", [&] {
    static_cast<void>(session.run({&view, 1}));
  });
}

}  // namespace
}  // namespace penstock
