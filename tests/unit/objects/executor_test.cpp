#include "changed_package.hpp"

#include <memory>
#include <string>
#include <string_view>

namespace penstock {
namespace {

using package::test::expect_error;
using testing::Held;
using testing::HeldState;
using testing::kConfig;
using testing::kNodes;
using testing::kObject;
using testing::nothing;
using testing::options;
using testing::replaced;
using testing::replaced_by;
using testing::with_changed;

void expect_refused(const Package& package, ErrorCode code, std::string_view words) {
  expect_error(code, words, [&] { static_cast<void>(Model::load(package, options())); });
}

TEST(Executor, ALoadOfTheUnchangedPackageSucceeds) {
  const Package package = with_changed(kNodes, [](std::string text) { return text; });
  EXPECT_EQ(Model::load(package, options()).custom_objects().size(), 1U);
}

TEST(Executor, RefusesCallsThatNothingNames) {
  expect_error(ErrorCode::Corrupt, "the file beside it that names them",
               [] { static_cast<void>(with_changed(kNodes, nothing)); });
}

TEST(Executor, RefusesObjectsThatAreNotThere) {
  expect_refused(with_changed(kConfig, nothing), ErrorCode::Corrupt,
                 "calls are given objects that the package does not have: \"_torchbind_obj0\" of class "
                 "fixtures.Holder; export the package again");
}

TEST(Executor, RefusesKindsThatAreNotKnown) {
  const Package package =
      with_changed(kNodes, replaced(R"({"as_tensor": {"name": "buf0"}})", R"({"as_graph": {}})"));
  expect_refused(package, ErrorCode::Unsupported,
                 "is given as_graph as \"x\", which its schema has as Tensor");
}

TEST(Executor, RefusesAnArgumentThatIsGivenTwice) {
  const std::string node = R"({"name": "x", "arg": {"as_tensor": {"name": "buf0"}}, "kind": 1})";
  expect_refused(with_changed(kNodes, replaced(node, node + ", " + node)), ErrorCode::Unsupported,
                 "operator fixtures::add_held is given \"x\" twice");
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
  other.registry.add(ClassDefinition{
      .name = "fixtures.Holder",
      .create = [](const Value&, const ObjectOrigin&) { return std::make_shared<Held>(HeldState{}); }});
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
  const Package package = with_changed(kNodes, replaced_by(R"({"nodes": []})"));
  Session session(Model::load(package, options()));
  const Tensor x = Tensor::empty(DType::Float32, {3, 4});
  const TensorView view = x.view();
  expect_error(ErrorCode::Internal, "the model makes call 0, and the package describes 0", [&] {
    static_cast<void>(session.run({&view, 1}));
  });
}

}  // namespace
}  // namespace penstock
