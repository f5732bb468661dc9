#include "on_recorder.hpp"

#include "entries.hpp"

#include <functional>
#include <optional>
#include <thread>

// Captures that the caller makes of other streams go on, whatever is called meanwhile.
namespace penstock::testing {
namespace {

cuda::StreamHandle handle(StreamView stream) { return static_cast<cuda::StreamHandle>(stream.handle()); }

class OthersCaptures : public OnRecorder {
 protected:
  std::optional<Model> model = load("aliases");
  std::vector<Tensor> inputs = inputs_of("aliases");
  std::vector<TensorView> views = views_of(inputs);
  Stream captured = Stream::create();

  /// Expects that `work` throws nothing, and that a capture which is on meanwhile is as it was, in each mode,
  /// begun by another thread or by that of the work.
  void expect_undisturbed(const char* what, const std::function<void()>& work) {
    for (const int mode : {cuda::kCaptureGlobal, cuda::kCaptureThreadLocal, cuda::kCaptureRelaxed}) {
      for (const bool same_thread : {false, true}) {
        SCOPED_TRACE(std::string(what) + ", mode " + std::to_string(mode) +
                     (same_thread ? ", this thread" : ""));
        ASSERT_EQ(cuStreamBeginCapture_v2(handle(captured), mode), cuda::kSuccess);
        const auto guarded = [&] { EXPECT_NO_THROW(work()); };
        if (same_thread) {
          guarded();
        } else {
          std::thread(guarded).join();
        }
        cuda::GraphHandle graph = nullptr;
        EXPECT_EQ(cuStreamEndCapture(handle(captured), &graph), cuda::kSuccess);
        if (graph != nullptr) {
          EXPECT_EQ(cuGraphDestroy(graph), cuda::kSuccess);
        }
      }
    }
  }
};

TEST_F(OthersCaptures, GoOnWhileModelsComeAndGo) {
  expect_undisturbed("load", [] { load("aliases"); });
  expect_undisturbed("load with folding", [] { load("folded"); });
}

TEST_F(OthersCaptures, GoOnWhileWeightsChange) {
  const Tensor value = ramp({4, 4});
  const NamedWeight weight{.name = "weight", .view = value.view()};
  Session session(*model);
  expect_undisturbed("update", [&] {
    model->update_weights({&weight, 1});
    session.run(views);
    model->update_weights({&weight, 1});
  });
  expect_undisturbed("weight", [&] { static_cast<void>(model->weight("weight")); });
}

TEST_F(OthersCaptures, GoOnWhileSessionsComeRunAndGo) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream in_partition = partition.create_stream();
  for (const GraphMode mode : {GraphMode::Off, GraphMode::Auto}) {
    SessionOptions options;
    options.graphs.mode = mode;
    options.max_lanes = 1;
    expect_undisturbed("session", [&] {
      Session session(*model, options);
      const Stream stream = Stream::create();
      session.prepare({.stream = stream.view()});
      for (int i = 0; i < 3; ++i) session.enqueue(views, stream);
      for (int i = 0; i < 3; ++i) session.enqueue(views, in_partition);
      session.run(views);
      session.release_memory();
      EXPECT_TRUE(session.model().healthy());
    });
  }
}

TEST_F(OthersCaptures, GoOnWhileRunsAreAudited) {
  Session session(*model);
  const Stream stream = Stream::create();
  expect_undisturbed("audit", [&] { static_cast<void>(session.audit(views, stream)); });
  expect_undisturbed("audit of the graph",
                     [&] { static_cast<void>(session.audit(views, stream, {.level = AuditLevel::Graph})); });
}

TEST_F(OthersCaptures, GoOnWhileTensorsAreCopiedAndDropped) {
  const Tensor value = ramp({4, 4});
  expect_undisturbed("copies", [&] {
    const Tensor there = copy_to_device(value.view(), {DeviceType::Cuda, 0});
    EXPECT_EQ(numbers(copy_to_host(there.view()).view()), numbers(value.view()));
  });
}

TEST_F(OthersCaptures, GoOnWhileSmsAreProbed) {
  const Stream stream = Stream::create();
  expect_undisturbed("probe", [&] { static_cast<void>(probe_sms(stream)); });
}

TEST_F(OthersCaptures, GoOnWhileAValueIsReadOnTheHost) {
  Session session(load("item"));
  const std::vector<Tensor> x = inputs_of("item");
  const Stream stream = Stream::create();
  expect_undisturbed("item", [&] { session.enqueue(views_of(x), stream); });
}

}  // namespace
}  // namespace penstock::testing
