#include "changed_package.hpp"
#include "objects/executor.hpp"
#include "package/manifest.hpp"

#include <memory>
#include <stdexcept>
#include <string>

namespace penstock::objects {
namespace {

using package::test::expect_error;
using testing::Held;
using testing::HeldState;

/// Of two objects of a class, of which the model calls the first.
std::shared_ptr<const Executor> make_executor(const LoadOptions& options = testing::options()) {
  const auto bytes = testing::changed_bytes(
      testing::kConfig,
      testing::replaced_by(R"({"_torchbind_obj0": "custom_obj_0", "not_called": "custom_obj_1"})"));
  const auto archive = package::Archive::open_memory(bytes, "two.pt2");
  const package::Manifest manifest = package::read_manifest(archive);
  return Executor::make({.archive = archive,
                         .files = manifest.models.front(),
                         .registry = options.registry,
                         .libraries = {},
                         .built_in = options.registry,
                         .device = {},
                         .what = "two.pt2"});
}

void change(const Executor& executor, const std::string& name) {
  const auto held = object_cast<Held>(executor.objects().at(name));
  ASSERT_NE(held, nullptr);
  held->change([](HeldState& state) { ++state.changes; });
}

TEST(ExecutorSession, HasAnotherVersionAfterAChangeOfAnObjectThatIsCalled) {
  const auto executor = make_executor();
  const auto session = make_session(executor);
  const std::uint64_t first = session->version();
  session->begin_run();
  EXPECT_EQ(session->version(), first);
  change(*executor, "_torchbind_obj0");
  EXPECT_EQ(session->version(), first) << "a run that has begun goes on with what it took up";
  session->begin_run();
  const std::uint64_t second = session->version();
  EXPECT_GT(second, first);
  session->begin_run();
  EXPECT_EQ(session->version(), second);
  EXPECT_EQ(make_session(executor)->version(), second);
}

TEST(ExecutorSession, HasTheSameVersionAfterAChangeOfAnother) {
  const auto executor = make_executor();
  const auto session = make_session(executor);
  const std::uint64_t first = session->version();
  change(*executor, "not_called");
  session->begin_run();
  EXPECT_EQ(session->version(), first);
}

TEST(ExecutorSession, NamesTheObjectThatCannotBeTakenUp) {
  struct Failing : CustomObject {
    using CustomObject::changed;
    [[nodiscard]] ObjectSnapshot snapshot() const override {
      if (version() == 2) throw std::runtime_error("not now");
      return {version(), nullptr, nullptr};
    }
  };
  LoadOptions options;
  Registry& registry = options.registry;
  registry.add(ClassDefinition{.name = "fixtures.Holder", .create = [](const Value&, const ObjectOrigin&) {
                                 return std::make_shared<Failing>();
                               }});
  registry.add(
      {.schema = "fixtures::add_held(__torch__.torch.classes.fixtures.Holder holder, Tensor x) -> Tensor",
       .run = [](OperatorCall& call) { call.give_argument(0, 1); }});
  const auto executor = make_executor(options);
  const auto session = make_session(executor);
  const auto failing = object_cast<Failing>(executor->objects().at("_torchbind_obj0"));
  failing->changed();
  expect_error(ErrorCode::Internal, "two.pt2: object \"_torchbind_obj0\" of class fixtures.Holder: not now",
               [&] { session->begin_run(); });
  failing->changed();
  EXPECT_NO_THROW(session->begin_run());
}

TEST(Executor, TellsWhichCallKeepsItFromGraphs) {
  EXPECT_EQ(make_executor()->kept_from_graphs(), "operator fixtures::add_held");
  EXPECT_EQ(make_executor(testing::options(Capture::Allowed))->kept_from_graphs(), "");
}

}  // namespace
}  // namespace penstock::objects
