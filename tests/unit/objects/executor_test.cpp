#include "changed_package.hpp"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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
                 "a call is given object \"_torchbind_obj0\" of class "
                 "fixtures.Holder, which the package does not have; export the package again");
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

TEST(Executor, TellsAnEmptyListFromNone) {
  const std::string node = R"({"name": "x", "arg": {"as_tensor": {"name": "buf0"}}, "kind": 1})";
  const std::string more = R"(, {"name": "a", "arg": {"as_tensors": []}, "kind": 1})"
                           R"(, {"name": "b", "arg": {"as_ints": []}, "kind": 1})"
                           R"(, {"name": "c", "arg": {"as_none": true}, "kind": 1})";
  std::vector<bool> has;
  LoadOptions made;
  made.registry.add(
      {.schema =
           "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x, Tensor[]? a=None, "
           "int[]? b=None, int[]? c=None, int[]? d=None) -> Tensor",
       .run = [&has](OperatorCall& call) {
         for (std::size_t i = 2; i < call.argument_count(); ++i) has.push_back(call.has(i));
         EXPECT_EQ(call.argument_kind(2), ArgumentKind::Tensors);
         EXPECT_EQ(call.argument_kind(3), ArgumentKind::Integers);
         EXPECT_EQ(call.argument_kind(4), ArgumentKind::None);
         EXPECT_FALSE(call.has(2, 0));
         expect_error(ErrorCode::InvalidArgument, "has 0 items, and no item 0",
                      [&] { static_cast<void>(call.integer(3)); });
         expect_error(ErrorCode::InvalidArgument, "no tensor 0", [&] { call.give_argument(0, 2); });
         call.give_argument(0, 1);
       }});
  made.registry.add(ClassDefinition{
      .name = "fixtures.Holder",
      .create = [](const Value&, const ObjectOrigin&) { return std::make_shared<Held>(HeldState{}); }});
  Session session(Model::load(with_changed(kNodes, replaced(node, node + more)), made));
  const Tensor x = Tensor::empty(DType::Float32, {3, 4});
  std::fill_n(x.data_as<float>(), x.numel(), 1.0F);
  session.run({&x.view(), 1});
  EXPECT_EQ(has, (std::vector<bool>{true, true, false, false}));
}

TEST(Executor, NamesNoMoreThanAHundredOfWhatIsMissing) {
  const auto many = [](const std::string& text) {
    const std::string name = "fixtures::add_held";
    const std::size_t begin = text.find("{\"name\"");
    const std::size_t end = text.rfind(']');
    const std::string node = text.substr(begin, end - begin);
    std::string made = text.substr(0, end);
    for (int i = 0; i < 20'000; ++i) {
      std::string other = ", " + node;
      made += other.replace(other.find(name), name.size(), "no::op" + std::to_string(i));
    }
    made += text.substr(end);
    return made;
  };
  try {
    Model::load(with_changed(kNodes, many), options());
    ADD_FAILURE();
  } catch (const Error& error) {
    const std::string_view text = error.what();
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_NE(text.find("no::op0, no::op1, "), text.npos);
    EXPECT_NE(text.find("no::op99, 19900 more; register them"), text.npos) << text.substr(0, 3000);
    EXPECT_LT(text.size(), 3000U);
  }
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
