#include "on_recorder.hpp"

#include <functional>
#include <optional>
#include <string_view>
#include <utility>

// How versions of weights come and go while work that reads them is on its way.
namespace penstock::testing {
namespace {

using ::testing::IsEmpty;

class WeightVersions : public OnRecorder {
 protected:
  Model model = load("aliases");
  std::vector<Tensor> inputs = inputs_of("aliases");
  std::vector<TensorView> views = views_of(inputs);

  void update() { update_of(model); }
  static void update_of(Model& model) {
    const Tensor value = ramp({4, 4});
    const NamedWeight weight{.name = "weight", .view = value.view()};
    model.update_weights({&weight, 1});
  }
};

TEST_F(WeightVersions, StayWhileARunThatReadsThemIsOnItsWay) {
  update();
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  const std::size_t one_version = alive().device_bytes;
  penstock_recording_hold(stream.view().handle());
  session.enqueue(views, stream);
  Calls::clear();
  update();
  EXPECT_GT(alive().device_bytes, one_version);
  EXPECT_THAT(Calls::of({"cuMemFree", "cuCtxSynchronize", "cuEventSynchronize"}), IsEmpty());
  penstock_recording_let_go(stream.view().handle());
  update();
  update();
  EXPECT_EQ(alive().device_bytes, one_version);
}

TEST_F(WeightVersions, GoWithoutAWaitForTheDevice) {
  Calls::clear();
  {
    Model other = load("aliases");
    Session session(other);
    session.run(views);
    update_of(other);
    session.run(views);
  }
  EXPECT_THAT(Calls::of({"cuCtxSynchronize"}), IsEmpty());
}

/// Changes the weights in the middle of the run that is on, once.
struct UpdateWithinRun {
  static inline std::function<void()> update;
  explicit UpdateWithinRun(std::function<void()> what) {
    update = std::move(what);
    penstock_recording_listen([](const recording::Work& work) {
      if (update == nullptr || !std::string_view(work.name).starts_with("cuLaunchKernel")) return;
      std::exchange(update, nullptr)();
    });
  }
  ~UpdateWithinRun() { penstock_recording_listen(nullptr); }
};

TEST_F(WeightVersions, AreNotWaitedForByTheRunThatWasTheLastToUseThem) {
  Model folded = load("folded");
  const std::vector<Tensor> x = inputs_of("folded");
  const std::vector<TensorView> x_views = views_of(x);
  Session session(folded, call_by_call());
  const Stream stream = Stream::create();
  session.enqueue(x_views, stream);
  const Tensor scale = folded.weight("scale");
  const NamedWeight same{.name = "scale", .view = scale.view()};
  folded.update_weights({&same, 1});
  session.enqueue(x_views, stream);
  // Of somebody else, who holds it.
  const Stream held = Stream::create();
  penstock_recording_hold(held.view().handle());
  const std::size_t before = alive().device_bytes;
  {
    const UpdateWithinRun within([&] { folded.update_weights({&same, 1}); });
    Calls::clear();
    session.enqueue(x_views, stream);
    EXPECT_EQ(UpdateWithinRun::update, nullptr);
  }
  session.enqueue(x_views, stream);
  EXPECT_THAT(Calls::of({"cuMemFree", "cuCtxSynchronize", "cuEventSynchronize"}), IsEmpty());
  penstock_recording_let_go(held.view().handle());
  session.release_memory();
  EXPECT_LE(alive().device_bytes, before);
}

TEST_F(WeightVersions, ThatAnOutputIsStayWithIt) {
  std::optional<Tensor> kept;
  {
    Model other = load("aliases");
    Session session(other, call_by_call());
    kept = session.run(views)[1];
    update_of(other);
    session.run(views);
  }
  EXPECT_EQ(numbers(copy_to_host(kept->view()).view()).size(), 16U);
}

}  // namespace
}  // namespace penstock::testing
