#include "objects_support.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

namespace penstock {
namespace {

using testing::expect_refused;
using testing::expect_same;
using testing::inputs_of;
using testing::load_objects;
using testing::open_objects;
using testing::outputs_of;
using testing::run;
using testing::views_of;
using testing::with;

TEST(ObjectMethods, KeepWhatRunsDoToAnObject) {
  const Model model = load_objects("queue");
  Session session(model);
  expect_same(run(session, "queue"), outputs_of("queue"));
  expect_same(run(session, "queue"), outputs_of("queue.run2"));
  const auto queue = object_cast<fixtures::Queue>(model.custom_objects().at("_torchbind_obj0"));
  ASSERT_NE(queue, nullptr);
  EXPECT_EQ(queue->items().size(), 2U);
  // Two pushes and two pops a run.
  EXPECT_EQ(queue->version(), 1U + 2 * 4);
}

TEST(ObjectMethods, AreNotCalledByALoad) {
  const Model model = load_objects("queue");
  const auto queue = object_cast<fixtures::Queue>(model.custom_objects().at("_torchbind_obj0"));
  EXPECT_EQ(queue->version(), 1U);
}

TEST(TwoModels, HaveObjectsOfTheirOwn) {
  const Package package = open_objects("objects_two_models");
  std::vector<std::shared_ptr<fixtures::Foo>> found;
  for (const char* name : {"first", "second"}) {
    const Model model = Model::load(package, with(fixtures::all_but({}), name));
    Session session(model);
    expect_same(run(session, "objects_two_models"), outputs_of("objects_two_models." + std::string(name)));
    found.push_back(object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0")));
  }
  EXPECT_NE(found[0], found[1]);
}

TEST(CustomObjects, AreThereByNameAndClass) {
  const Model model = load_objects("engines");
  const ObjectMap objects = model.custom_objects();
  ASSERT_EQ(objects.size(), 2U);
  const ObjectHandle& first = objects.at("_torchbind_obj0");
  EXPECT_EQ(first.name(), "_torchbind_obj0");
  EXPECT_EQ(first.class_name(), "tensorrt.Engine");
  const auto engine = object_cast<fixtures::Engine>(first);
  ASSERT_NE(engine, nullptr);
  EXPECT_EQ(engine->state()->at(1), "_run_on_acc_0_engine");
  EXPECT_EQ(object_cast<fixtures::Foo>(first), nullptr);
  EXPECT_EQ(object_cast<fixtures::Foo>(ObjectHandle()), nullptr);
}

TEST(CustomObjects, AreNoneWhereThePackageHasNone) {
  EXPECT_TRUE(testing::load_model("add").custom_objects().empty());
  EXPECT_TRUE(testing::open_package("add").custom_objects().empty());
}

TEST(CustomObjects, GiveTheirState) {
  const Model ints = load_objects("object_ints");
  const ObjectHandle foo = ints.custom_objects().at("_torchbind_obj0");
  EXPECT_EQ(to_string(foo.state()), "(10, 20)");
  object_cast<fixtures::Foo>(foo)->change([](fixtures::FooState& state) { state.y = 7; });
  EXPECT_EQ(to_string(foo.state()), "(10, 7)");

  const Model engines = load_objects("engines");
  expect_refused(ErrorCode::Unsupported, {"_torchbind_obj1", "tensorrt.Engine", "gives no state"},
                 [&] { static_cast<void>(engines.custom_objects().at("_torchbind_obj1").state()); });
}

TEST(CustomObjects, AChangeShowsInTheNextRun) {
  const Model model = load_objects("object_ints");
  Session session(model);
  Session other(model);
  const std::vector<Tensor> inputs = inputs_of("object_ints");
  const std::vector<double> x = testing::numbers(inputs[0].view());
  const auto expect_factor = [&](Session& runner, double factor) {
    const std::vector<double> result = testing::numbers(runner.run(views_of(inputs))[0].view());
    for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(result[i], x[i] * factor, 1e-3);
  };
  expect_factor(session, 30);
  const auto foo = object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0"));
  const std::uint64_t before = foo->version();
  foo->change([](fixtures::FooState& state) { state.x = 2; });
  EXPECT_EQ(foo->version(), before + 1);
  expect_factor(session, 22);
  expect_factor(other, 22);
}

TEST(CustomObjects, AFailedChangeLeavesThemAsTheyWere) {
  const Model model = load_objects("object_ints");
  const auto foo = object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0"));
  const std::uint64_t before = foo->version();
  EXPECT_THROW(foo->change([](fixtures::FooState& state) {
    state.x = 99;
    throw std::runtime_error("no");
  }),
               std::runtime_error);
  EXPECT_EQ(foo->state()->x, 10);
  EXPECT_EQ(foo->version(), before);
}

/// Asks its own object for its state when it goes.
struct Curious {
  std::shared_ptr<VersionedObject<Curious>> of;
  int number = 0;
  int* seen = nullptr;

  Curious() = default;
  Curious(const Curious&) = default;
  Curious& operator=(const Curious&) = delete;
  ~Curious() {
    if (of != nullptr && seen != nullptr) *seen = of->state()->number;
  }
};

TEST(VersionedObject, LetsAStateGoWhenNothingIsLocked) {
  const auto object = std::make_shared<VersionedObject<Curious>>(Curious{});
  int seen = 0;
  object->change([&](Curious& state) {
    state.of = object;
    state.number = 1;
    state.seen = &seen;
  });
  object->change([](Curious& state) {
    state.of = nullptr;
    state.number = 2;
  });
  EXPECT_EQ(seen, 2);
}

/// Changes an object in the middle of a run, and sees which state each call of the run uses.
TEST(CustomObjects, ARunUsesOneStateFromItsStartToItsEnd) {
  Registry registry = fixtures::all_but({"fixtures::takes_foo", "fixtures::takes_foo_pair"});
  std::vector<std::int64_t> seen;
  registry.add({.schema = "fixtures::takes_foo(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> Tensor",
                .run = [&](OperatorCall& call) {
                  seen.push_back(call.state<fixtures::FooState>(0).x);
                  call.object<fixtures::Foo>(0).change([](fixtures::FooState& state) { ++state.x; });
                  const TensorView x = call.tensor(1);
                  call.make_result(0, x.dtype(), x.sizes());
                }});
  registry.add({.schema = "fixtures::takes_foo_pair(__torch__.torch.classes.fixtures.Foo foo, Tensor x) -> "
                          "(Tensor, Tensor)",
                .run = [&](OperatorCall& call) {
                  seen.push_back(call.state<fixtures::FooState>(0).x);
                  call.give_argument(0, 1);
                  call.give_argument(1, 1);
                }});
  const Model model = Model::load(open_objects("object_ints"), with(registry));
  Session session(model);
  run(session, "object_ints");
  run(session, "object_ints");
  EXPECT_EQ(seen, (std::vector<std::int64_t>{10, 10, 11, 11}));
}

TEST(CustomObjects, AreChangedWhileSessionsRun) {
  const Model model = load_objects("object_ints");
  const std::vector<Tensor> inputs = inputs_of("object_ints");
  const std::vector<double> x = testing::numbers(inputs[0].view());
  const auto foo = object_cast<fixtures::Foo>(model.custom_objects().at("_torchbind_obj0"));
  std::atomic<bool> done = false;
  std::atomic<int> torn = 0;
  std::array<std::atomic<int>, 2> runs{};
  // Both numbers are always the same: a sum that is odd has one of each.
  foo->change([](fixtures::FooState& state) { state = {1, 1}; });
  const auto work = [&](std::atomic<int>& made) {
    Session session(model);
    for (; !done; ++made) {
      const double factor = testing::numbers(session.run(views_of(inputs))[0].view())[0] / x[0];
      const auto whole = static_cast<std::int64_t>(factor + 0.5);
      if (whole % 2 != 0) ++torn;
    }
  };
  std::thread first(work, std::ref(runs[0]));
  std::thread second(work, std::ref(runs[1]));
  for (int i = 0; i < 300 || std::min(runs[0].load(), runs[1].load()) < 100; ++i) {
    foo->change([i](fixtures::FooState& state) {
      state.x = i;
      std::this_thread::yield();
      state.y = i;
    });
  }
  done = true;
  first.join();
  second.join();
  EXPECT_EQ(torn, 0);
}

TEST(CustomObjects, OutliveTheirModel) {
  ObjectHandle handle;
  {
    LoadOptions options;
    options.libraries = {PENSTOCK_TEST_OPERATORS};
    const Model model = Model::load(open_objects("object_ints"), options);
    handle = model.custom_objects().at("_torchbind_obj0");
  }
  EXPECT_EQ(to_string(handle.state()), "(10, 20)");
}

TEST(CustomObjects, KeepDataForEachSession) {
  Registry registry = fixtures::all_but({"fixtures::add_held"});
  std::multiset<int> counts;
  registry.add(
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor",
       .run = [&](OperatorCall& call) {
         std::shared_ptr<void>& data = call.session_data(0);
         if (data == nullptr) data = std::make_shared<int>(0);
         counts.insert(++*static_cast<int*>(data.get()));
         call.give_argument(0, 1);
       }});
  const Model model = Model::load(open_objects("object_tensor"), with(registry));
  Session first(model);
  Session second(model);
  run(first, "object_tensor");
  run(first, "object_tensor");
  run(second, "object_tensor");
  EXPECT_EQ(counts, (std::multiset<int>{1, 1, 2}));
}

ClassDefinition foo_class(
    std::function<std::shared_ptr<CustomObject>(const Value&, const ObjectOrigin&)> create) {
  return {.name = "fixtures.Foo", .create = std::move(create)};
}

TEST(ObjectCreation, NamesWhatFailed) {
  const auto refused = [](ErrorCode code, ClassDefinition definition, const std::string& cause) {
    Registry registry = fixtures::all_but({"fixtures.Foo"});
    registry.add(std::move(definition));
    expect_refused(
        code,
        {"object_ints.pt2", "object \"_torchbind_obj0\" of class fixtures.Foo cannot be created", cause},
        [&] { static_cast<void>(Model::load(open_objects("object_ints"), with(registry))); });
  };
  refused(ErrorCode::Internal,
          foo_class([](const Value&, const ObjectOrigin&) -> std::shared_ptr<CustomObject> {
            throw std::runtime_error("the moon is full");
          }),
          "the moon is full");
  refused(ErrorCode::Internal,
          foo_class([](const Value&, const ObjectOrigin&) -> std::shared_ptr<CustomObject> { throw 7; }),
          "unknown type");
  refused(ErrorCode::OutOfMemory,
          foo_class([](const Value&, const ObjectOrigin&) -> std::shared_ptr<CustomObject> {
            throw std::bad_alloc();
          }),
          "out of memory");
  refused(ErrorCode::Internal,
          foo_class([](const Value&, const ObjectOrigin&) { return std::shared_ptr<CustomObject>(); }),
          "gives no object");
  // A state that does not fit the class.
  refused(ErrorCode::InvalidArgument,
          foo_class([](const Value& state, const ObjectOrigin&) -> std::shared_ptr<CustomObject> {
            static_cast<void>(state.text());
            return nullptr;
          }),
          "a value of kind tuple where text belongs: (10, 20)");
}

TEST(ObjectCreation, LeavesNothingOfWhatCameBefore) {
  static std::atomic<int> alive = 0;
  struct Counted : CustomObject {
    Counted() { ++alive; }
    ~Counted() override { --alive; }
  };
  Registry registry = fixtures::all_but({"fixtures.Foo", "fixtures.Holder"});
  registry.add(foo_class([](const Value&, const ObjectOrigin& origin) {
    EXPECT_EQ(origin.name, "_torchbind_obj0");
    EXPECT_EQ(origin.device, Device{});
    return std::make_shared<Counted>();
  }));
  registry.add(ClassDefinition{.name = "fixtures.Holder", .create = [](const Value&, const ObjectOrigin&) {
                                 EXPECT_EQ(alive, 1);
                                 throw std::runtime_error("no holder");
                                 return std::shared_ptr<CustomObject>();
                               }});
  expect_refused(ErrorCode::Internal, {"_torchbind_obj1", "fixtures.Holder", "no holder"}, [&] {
    static_cast<void>(Model::load(open_objects("objects_two_models"), with(registry, "first")));
  });
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace penstock
