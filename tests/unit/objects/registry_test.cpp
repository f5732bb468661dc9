#include <penstock/operators.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

namespace penstock {
namespace {

void expect_refused(const std::string& part, const std::function<void()>& work) {
  try {
    work();
    ADD_FAILURE() << "was accepted: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

void nothing(OperatorCall&) {}

std::shared_ptr<CustomObject> no_object(const Value&, const ObjectOrigin&) { return nullptr; }

TEST(Registry, NamesWhatItHas) {
  Registry registry;
  EXPECT_TRUE(registry.operators().empty());
  EXPECT_TRUE(registry.classes().empty());
  registry.add({.schema = "ns::b() -> ()", .run = nothing});
  registry.add({.schema = "ns::a.out() -> ()", .run = nothing});
  registry.add(ClassDefinition{.name = "__torch__.torch.classes.ns.Thing", .create = no_object});
  EXPECT_EQ(registry.operators(), (std::vector<std::string>{"ns::a.out", "ns::b"}));
  EXPECT_EQ(registry.classes(), std::vector<std::string>{"ns.Thing"});
}

TEST(Registry, ACopyIsItsOwn) {
  Registry registry;
  registry.add({.schema = "ns::a() -> ()", .run = nothing});
  Registry copy = registry;
  copy.add({.schema = "ns::b() -> ()", .run = nothing});
  EXPECT_EQ(registry.operators().size(), 1U);
  EXPECT_EQ(copy.operators().size(), 2U);
}

TEST(Registry, RefusesWhatCannotBeCalled) {
  Registry registry;
  registry.add({.schema = "ns::a() -> ()", .run = nothing});
  registry.add(ClassDefinition{.name = "ns.Thing", .create = no_object});
  expect_refused("the operator ns::a is registered already",
                 [&] { registry.add({.schema = "ns::a(Tensor x) -> ()", .run = nothing}); });
  expect_refused("no namespace", [&] { registry.add({.schema = "a() -> ()", .run = nothing}); });
  expect_refused("ns::c has no function", [&] { registry.add({.schema = "ns::c() -> ()", .run = {}}); });
  expect_refused("cannot be read", [&] { registry.add({.schema = "ns::c(", .run = nothing}); });
  expect_refused("the class ns.Thing is registered already",
                 [&] { registry.add(ClassDefinition{.name = "ns.Thing", .create = no_object}); });
  expect_refused("ns.Other has no function",
                 [&] { registry.add(ClassDefinition{.name = "ns.Other", .create = {}}); });
  expect_refused("without a name", [&] { registry.add(ClassDefinition{.name = "", .create = no_object}); });
  expect_refused("the method ns.Other.m is registered already", [&] {
    registry.add(ClassDefinition{.name = "ns.Other",
                                 .create = no_object,
                                 .methods = {{"m() -> ()", nothing}, {"m() -> ()", nothing}}});
  });
  expect_refused("the method ns.Other.m has no function", [&] {
    registry.add(ClassDefinition{.name = "ns.Other", .create = no_object, .methods = {{"m() -> ()", {}}}});
  });
  EXPECT_EQ(registry.operators().size(), 1U);
  EXPECT_EQ(registry.classes().size(), 1U);
}

}  // namespace
}  // namespace penstock
