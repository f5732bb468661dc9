#include "objects_support.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>

namespace penstock {
namespace {

using testing::expect_refused;
using testing::expect_same;
using testing::load_objects;
using testing::open_objects;
using testing::outputs_of;
using testing::run;
using testing::with;

class ObjectPackage : public ::testing::TestWithParam<const char*> {};

TEST_P(ObjectPackage, AgreesWithLibtorch) {
  const Model model = load_objects(GetParam());
  Session session(model);
  expect_same(run(session, GetParam()), outputs_of(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ObjectPackage,
                         ::testing::Values("object_ints", "object_tensor", "object_mixed", "object_methods",
                                           "operator_kinds", "operator_defaults", "operator_generator",
                                           "operator_effects", "operator_folded", "nothing_once",
                                           "nothing_often", "engines"),
                         [](const auto& package) { return std::string(package.param); });

TEST(OperatorLibrary, RegistersForALoad) {
  LoadOptions options;
  options.libraries = {PENSTOCK_TEST_OPERATORS};
  for (const char* name : {"object_mixed", "operator_kinds", "engines"}) {
    const Model model = Model::load(open_objects(name), options);
    Session session(model);
    expect_same(run(session, name), outputs_of(name));
  }
}

TEST(OperatorLibrary, GivesObjectsThatTheProgramKnows) {
  LoadOptions options;
  options.libraries = {PENSTOCK_TEST_OPERATORS};
  const Model model = Model::load(open_objects("object_ints"), options);
  Session session(model);
  const auto foo = object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0"));
  ASSERT_NE(foo, nullptr);
  foo->change([](fixtures::FooState& state) { state = {1, 0}; });
  const std::vector<Tensor> inputs = testing::inputs_of("object_ints");
  EXPECT_EQ(testing::numbers(session.run(testing::views_of(inputs))[0].view()),
            testing::numbers(inputs[0].view()));
}

TEST(OperatorLibrary, GoesWithTheLastThatUsesIt) {
  LoadOptions options;
  options.libraries = {PENSTOCK_TEST_OPERATORS};
  const auto load_and_run = [&] {
    Session session(Model::load(open_objects("object_ints"), options));
    run(session, "object_ints");
  };
  EXPECT_EQ(testing::growth_of(load_and_run, 5), "");
}

bool is_mapped(const std::filesystem::path& library) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(library.filename()) != std::string::npos) return true;
  }
  return false;
}

TEST(OperatorLibrary, StaysForTheMemoryThatItGave) {
  std::vector<Tensor> outputs;
  {
    LoadOptions options;
    options.libraries = {PENSTOCK_TEST_OWN_MEMORY};
    Session session(Model::load(open_objects("object_tensor"), options));
    outputs = run(session, "object_tensor");
  }
  std::vector<double> expected = testing::numbers(testing::inputs_of("object_tensor")[0].view());
  for (double& value : expected) value = std::max(value, 0.0);
  EXPECT_EQ(testing::numbers(outputs[0].view()), expected);
  EXPECT_TRUE(is_mapped(PENSTOCK_TEST_OWN_MEMORY));
  outputs.clear();
  if (!testing::kSanitized) {
    EXPECT_FALSE(is_mapped(PENSTOCK_TEST_OWN_MEMORY));
  }
}

TEST(OperatorLibrary, IsRefusedWhereItIsNone) {
  const auto load_with = [](const std::filesystem::path& library, Registry registry = {}) {
    LoadOptions options = with(std::move(registry));
    options.libraries = {library};
    return [options] { static_cast<void>(Model::load(open_objects("object_ints"), options)); };
  };
  expect_refused(ErrorCode::NotFound, {"/nonexistent/ops.so", "cannot be opened"},
                 load_with("/nonexistent/ops.so"));
  expect_refused(ErrorCode::InvalidArgument, {"libm.so.6", "PENSTOCK_LIBRARY"}, load_with("libm.so.6"));
  expect_refused(ErrorCode::Incompatible, {"other_version", "version 9", "compile it again"},
                 load_with(PENSTOCK_TEST_OTHER_VERSION));
  expect_refused(ErrorCode::Internal, {"throwing", "could not register its operators", "unknown type"},
                 load_with(PENSTOCK_TEST_THROWING));
  expect_refused(ErrorCode::InvalidArgument, {"fixtures::", "registered already"},
                 load_with(PENSTOCK_TEST_OPERATORS, fixtures::all_but({})));
}

TEST(OperatorLibrary, IsOpenedForModelsThatCallNothing) {
  LoadOptions options;
  options.libraries = {"/nonexistent/ops.so"};
  expect_refused(ErrorCode::NotFound, {"/nonexistent/ops.so", "cannot be opened"},
                 [&] { static_cast<void>(Model::load(testing::open_package("add"), options)); });
}

TEST(UnknownOperators, AreAllNamedAtOnce) {
  expect_refused(ErrorCode::Unsupported,
                 {"unknown_operators.pt2",
                  "operators that are not registered: aten::bincount, fixtures::counted", "--library"},
                 [] { static_cast<void>(Model::load(open_objects("unknown_operators"))); });
  expect_refused(ErrorCode::Unsupported,
                 {"fixtures::takes_foo, fixtures::takes_foo_list, fixtures::takes_foo_pair",
                  "classes that are not registered: fixtures.Foo"},
                 [] { static_cast<void>(Model::load(open_objects("object_ints"))); });
  expect_refused(ErrorCode::Unsupported, {"classes that are not registered: fixtures.Foo"}, [] {
    static_cast<void>(Model::load(open_objects("object_methods"), with(fixtures::all_but({"fixtures.Foo"}))));
  });
}

TEST(UnknownOperators, AreToldBeforeALoad) {
  const Package package = open_objects("object_ints");
  const Requirements& needs = package.model().needs;
  EXPECT_EQ(needs.operators, (std::vector<std::string>{"fixtures::takes_foo", "fixtures::takes_foo_list",
                                                       "fixtures::takes_foo_pair"}));
  EXPECT_EQ(needs.classes, std::vector<std::string>{"fixtures.Foo"});
  EXPECT_TRUE(open_objects("queue").model().needs.operators.empty());
  EXPECT_EQ(open_objects("queue").model().needs.classes, std::vector<std::string>{"fixtures.Queue"});
}

TEST(OtherSchemas, AreRefusedByEveryPoint) {
  const auto refused = [](std::string schema, const std::vector<std::string>& parts) {
    Registry registry = fixtures::all_but({"fixtures::every_kind"});
    registry.add({.schema = std::move(schema), .run = [](OperatorCall&) {}});
    expect_refused(ErrorCode::Unsupported, parts,
                   [&] { static_cast<void>(Model::load(open_objects("operator_kinds"), with(registry))); });
  };
  refused("fixtures::every_kind(Tensor[] x) -> Tensor",
          {"operator fixtures::every_kind is given as_tensor as \"x\", which its schema has as Tensor[]",
           "is given \"list\", which its schema does not have", "is given \"foo\"",
           "is to give 2 results, and its schema has 1"});
  refused("fixtures::every_kind(Tensor x, str missing) -> (Tensor[], Tensor)",
          {"is not given \"missing\", which has no default", "is to give as_tensor as result 0",
           "is to give as_tensors as result 1"});
  refused("fixtures::every_kind(__torch__.torch.classes.fixtures.Holder foo) -> (Tensor, Tensor[])",
          {"is given the object \"_torchbind_obj0\" of class fixtures.Foo, and takes fixtures.Holder"});
}

TEST(OtherSchemas, AMethodThatIsNotThereIsNamed) {
  Registry registry = fixtures::all_but({"fixtures.Queue"});
  registry.add(ClassDefinition{
      .name = "fixtures.Queue",
      .create = [](const Value&,
                   const ObjectOrigin&) { return std::make_shared<fixtures::Queue>(std::vector<Tensor>()); },
      .methods = {{.schema = "push(Tensor a, Tensor b) -> ()", .run = [](OperatorCall&) {}}}});
  expect_refused(ErrorCode::Unsupported,
                 {"method fixtures.Queue.pop of object \"_torchbind_obj0\" is not registered with the class",
                  "method fixtures.Queue.push of object \"_torchbind_obj0\" is not given \"b\""},
                 [&] { static_cast<void>(Model::load(open_objects("queue"), with(registry))); });
}

/// A model of the package with another `fixtures::takes_foo`, a session of it, and what it says.
void expect_run_fails(ErrorCode code, const std::vector<std::string>& parts,
                      const std::function<void(OperatorCall&)>& work) {
  Registry registry = fixtures::all_but({"fixtures::takes_foo"});
  bool fails = true;
  registry.add({.schema = "fixtures::takes_foo(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> Tensor",
                .run = [&](OperatorCall& call) {
                  if (fails) return work(call);
                  call.give_argument(0, 1);
                }});
  const Model model = Model::load(open_objects("object_ints"), with(registry));
  Session session(model);
  std::vector<std::string> all = parts;
  all.emplace_back("object_ints.pt2: operator fixtures::takes_foo: ");
  expect_refused(code, all, [&] { run(session, "object_ints"); });
  // The session is usable after it.
  fails = false;
  EXPECT_EQ(run(session, "object_ints").size(), 6U);
}

TEST(FailingOperator, EndsTheRunWithItsName) {
  expect_run_fails(ErrorCode::Internal, {"out of ideas"},
                   [](OperatorCall&) { throw std::runtime_error("out of ideas"); });
  expect_run_fails(ErrorCode::OutOfMemory, {"out of memory"}, [](OperatorCall&) { throw std::bad_alloc(); });
  expect_run_fails(ErrorCode::Unsupported, {"not today"},
                   [](OperatorCall&) { throw Error(ErrorCode::Unsupported, "not today"); });
  expect_run_fails(ErrorCode::Internal, {"unknown type"}, [](OperatorCall&) { throw 1; });
}

TEST(FailingOperator, NamesAMethodAndItsObject) {
  Session session(load_objects("queue"));
  const auto queue = object_cast<fixtures::Queue>(session.model().custom_objects().at("_torchbind_obj0"));
  Registry registry = fixtures::all_but({"fixtures.Queue"});
  registry.add(ClassDefinition{
      .name = "fixtures.Queue",
      .create = [](const Value&,
                   const ObjectOrigin&) { return std::make_shared<fixtures::Queue>(std::vector<Tensor>()); },
      .methods = {{.schema = "push(Tensor a) -> ()", .run = [](OperatorCall&) {}},
                  {.schema = "pop() -> Tensor", .run = [](OperatorCall& call) {
                     call.give_result(0, call.object<fixtures::Queue>(0).pop());
                   }}}});
  Session empty(Model::load(open_objects("queue"), with(registry)));
  expect_refused(
      ErrorCode::Internal,
      {"queue.pt2", "method fixtures.Queue.pop of object \"_torchbind_obj0\"", "the queue is empty"},
      [&] { run(empty, "queue"); });
}

TEST(FailingOperator, MustGiveWhatTheModelTakes) {
  expect_run_fails(ErrorCode::Internal, {"did not give tensor 0 of result 0"}, [](OperatorCall&) {});
  expect_run_fails(ErrorCode::Internal, {"tensor 1 of result 0", "does not take"}, [](OperatorCall& call) {
    call.give_argument(0, 1);
    call.make_result(0, DType::Float32, std::vector<std::int64_t>{1}, 1);
  });
  expect_run_fails(ErrorCode::Internal, {"result 3"},
                   [](OperatorCall& call) { static_cast<void>(call.result_count(3)); });
  expect_run_fails(ErrorCode::Internal, {"result 0 is given as an integer"},
                   [](OperatorCall& call) { call.give_integer(0, 3); });
  expect_run_fails(ErrorCode::Internal, {"it has to be on cpu"},
                   [](OperatorCall& call) { call.give_result(0, Tensor()); });
}

TEST(FailingOperator, MustAskForWhatThereIs) {
  expect_run_fails(ErrorCode::Internal, {"there are 2 arguments, and no argument 2"},
                   [](OperatorCall& call) { static_cast<void>(call.tensor(2)); });
  expect_run_fails(ErrorCode::Internal, {"argument 0 is no tensor"},
                   [](OperatorCall& call) { static_cast<void>(call.tensor(0)); });
  expect_run_fails(ErrorCode::Internal, {"argument 1 has 1 tensors, and no tensor 1"},
                   [](OperatorCall& call) { static_cast<void>(call.tensor(1, 1)); });
  expect_run_fails(ErrorCode::Internal, {"argument 1 is no integer"},
                   [](OperatorCall& call) { static_cast<void>(call.integer(1)); });
  expect_run_fails(ErrorCode::Internal, {"argument 1 is no object"},
                   [](OperatorCall& call) { static_cast<void>(call.object(1)); });
  expect_run_fails(ErrorCode::Internal, {"object \"_torchbind_obj0\" of class fixtures.Foo is no"},
                   [](OperatorCall& call) { static_cast<void>(call.object<fixtures::Holder>(0)); });
  expect_run_fails(ErrorCode::Internal, {"object \"_torchbind_obj0\" of class fixtures.Foo is no"},
                   [](OperatorCall& call) { static_cast<void>(call.state<Tensor>(0)); });
}

TEST(FailingOperator, HasNoStreamOnTheCpu) {
  expect_run_fails(ErrorCode::Internal, {"asks for a stream, and the model is on the CPU"},
                   [](OperatorCall& call) { static_cast<void>(call.stream()); });
}

TEST(FoldedOperators, AreCalledAnewForNewWeights) {
  Session session(load_objects("operator_folded"));
  Model model = session.model();
  const std::vector<Tensor> inputs = testing::inputs_of("operator_folded");
  std::vector<float> zeros(12, 0.0F);
  const NamedWeight weight{.name = "weight", .view = TensorView(zeros.data(), DType::Float32, {3, 4})};
  model.update_weights({&weight, 1});
  // (0 * 1.5 + 2 * (1 * 3 + 2) + 1) * 2
  std::vector<double> expected = testing::numbers(inputs[0].view());
  for (double& value : expected) value *= 22;
  const std::vector<double> given = testing::numbers(session.run(testing::views_of(inputs))[0].view());
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(given[i], expected[i], 1e-4);
}

TEST(IntegerResults, HaveToBeWhatIsBuiltIn) {
  Registry registry = fixtures::all_but({"fixtures::counted"});
  registry.add({.schema = "fixtures::counted(Tensor x) -> (Tensor, int)", .run = [](OperatorCall& call) {
                  EXPECT_EQ(call.name(), "fixtures::counted");
                  EXPECT_EQ(call.device(), Device{});
                  EXPECT_EQ(call.result_count(0), 1U);
                  call.give_argument(0, 0);
                  call.give_integer(1, 5);
                }});
  Session session(Model::load(open_objects("operator_effects"), with(registry)));
  expect_refused(ErrorCode::Unsupported,
                 {"fixtures::counted", "result 1 is 5, and the model was compiled for 2"},
                 [&] { run(session, "operator_effects"); });
}

TEST(IntegerResults, HaveToBeGiven) {
  Registry registry = fixtures::all_but({"fixtures::counted"});
  registry.add({.schema = "fixtures::counted(Tensor x) -> (Tensor, int)",
                .run = [](OperatorCall& call) { call.give_argument(0, 0); }});
  Session session(Model::load(open_objects("operator_effects"), with(registry)));
  expect_refused(ErrorCode::Internal, {"fixtures::counted", "did not give integer 0 of result 1"},
                 [&] { run(session, "operator_effects"); });
}

TEST(GivenResults, KeepTheirMemory) {
  Registry registry = fixtures::all_but({"fixtures::takes_foo"});
  const auto memory = std::make_shared<std::vector<float>>(12, 3.5F);
  registry.add({.schema = "fixtures::takes_foo(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> Tensor",
                .run = [&](OperatorCall& call) {
                  const TensorView view(memory->data(), DType::Float32, call.tensor(1).sizes());
                  call.give_result(0, Tensor::adopt(view, memory));
                }});
  std::vector<Tensor> outputs;
  {
    Session session(Model::load(open_objects("object_ints"), with(registry)));
    outputs = run(session, "object_ints");
  }
  EXPECT_EQ(outputs[0].view().data(), memory->data());
  EXPECT_GT(memory.use_count(), 1);
  outputs.clear();
}

}  // namespace
}  // namespace penstock
