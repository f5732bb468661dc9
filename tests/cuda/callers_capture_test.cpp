#include "on_recorder.hpp"

#include "entries.hpp"

#include <array>
#include <cstring>
#include <optional>

// Runs that are recorded into graphs which the caller captures.
namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

cuda::StreamHandle handle(StreamView stream) { return static_cast<cuda::StreamHandle>(stream.handle()); }

/// A graph that was captured as a caller does it, ready to be launched.
class CallersGraph {
 public:
  template <class Work>
  CallersGraph(StreamView stream, Work&& work, int mode = cuda::kCaptureGlobal) {
    EXPECT_EQ(cuStreamBeginCapture_v2(handle(stream), mode), cuda::kSuccess);
    work();
    EXPECT_EQ(cuStreamEndCapture(handle(stream), &graph_), cuda::kSuccess);
    if (graph_ != nullptr) {
      EXPECT_EQ(cuGraphInstantiateWithFlags(&exec_, graph_, 0), cuda::kSuccess);
    }
  }
  ~CallersGraph() {
    if (exec_ != nullptr) {
      EXPECT_EQ(cuGraphExecDestroy(exec_), cuda::kSuccess);
    }
    if (graph_ != nullptr) {
      EXPECT_EQ(cuGraphDestroy(graph_), cuda::kSuccess);
    }
  }
  CallersGraph(const CallersGraph&) = delete;
  CallersGraph& operator=(const CallersGraph&) = delete;

  void launch(StreamView stream) const { EXPECT_EQ(cuGraphLaunch(exec_, handle(stream)), cuda::kSuccess); }
  [[nodiscard]] std::size_t node_count() const {
    std::size_t count = 0;
    EXPECT_EQ(cuGraphGetNodes(graph_, nullptr, &count), cuda::kSuccess);
    return count;
  }

 private:
  cuda::GraphHandle graph_ = nullptr;
  cuda::GraphExecHandle exec_ = nullptr;
};

/// On `add`, which is one kernel of two inputs, one output and a count. What it would read and write is
/// written down.
class CallersCapture : public OnRecorder {
 protected:
  CallersCapture() {
    penstock_recording_kernel("", [this](const recording::KernelLaunch& launch) {
      Launched& seen = launches.emplace_back();
      if (launch.parameters.size() >= sizeof seen.pointers)
        std::memcpy(seen.pointers.data(), launch.parameters.data(), sizeof seen.pointers);
      seen.resource = launch.resource;
    });
  }
  struct Launched {
    std::array<void*, 3> pointers{};
    std::string resource;
  };

  std::vector<Launched> launches;
  std::optional<Model> model = load("add");
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  std::optional<Session> session = Session(*model);
};

TEST_F(CallersCapture, TakesThePreparedRunAsOneNodeAndNothingElse) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  std::vector<Tensor> outputs;
  launches.clear();
  const CallersGraph graph(stream, [&] {
    Calls::clear();
    outputs = session->enqueue(views, stream);
    EXPECT_THAT(
        Calls::of({"cuEventRecord", "cuStreamWaitEvent", "cuStreamSynchronize", "cuMemcpy", "cuGraphLaunch"}),
        IsEmpty());
  });
  EXPECT_EQ(graph.node_count(), 1U);
  EXPECT_THAT(launches, IsEmpty());
  EXPECT_FALSE(session->last_run().replayed);
  EXPECT_EQ(session->last_run().reason, "recorded into the caller's graph");
  EXPECT_EQ(session->graph_statistics().recorded, 1U);
  for (int i = 0; i < 3; ++i) graph.launch(stream);
  ASSERT_THAT(launches, SizeIs(3));
  for (const Launched& each : launches) {
    EXPECT_THAT(each.pointers,
                ElementsAre(inputs[0].view().data(), inputs[1].view().data(), outputs[0].view().data()));
  }
}

TEST_F(CallersCapture, KeepsTheOrderOfWhatTheCallerCaptures) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  const Tensor more = copy_to_device(ramp({8, 64}).view(), {DeviceType::Cuda, 0});
  const auto fill = [&] {
    EXPECT_EQ(
        cuMemsetD8Async(reinterpret_cast<cuda::DevicePointer>(more.view().data()), 1, 4, handle(stream)),
        cuda::kSuccess);
  };
  const CallersGraph graph(stream, [&] {
    fill();
    session->enqueue(views, stream);
    fill();
    session->enqueue(views, stream);
  });
  EXPECT_EQ(graph.node_count(), 4U);
}

TEST_F(CallersCapture, IsRefusedBeforePrepareAndGoesOnAsItWas) {
  const Stream stream = Stream::create();
  const CallersGraph graph(stream, [&] {
    const Error error = error_of([&] { session->enqueue(views, stream); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(),
                AllOf(HasSubstr("call Session::prepare"), HasSubstr("the capture is as it was")));
  });
  EXPECT_EQ(graph.node_count(), 0U);
  EXPECT_EQ(session->graph_statistics().recorded, 0U);
  session->enqueue(views, stream);
}

TEST_F(CallersCapture, OfThePerThreadDefaultStreamIsRefused) {
  const Primary primary;
  const Current current(primary.handle());
  const StreamView stream = StreamView::per_thread_default();
  session->prepare({.stream = stream});
  const CallersGraph graph(stream, [&] {
    const Error error = error_of([&] { session->enqueue(views, stream); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("only on a stream of its own; the capture is as it was"));
  });
  EXPECT_EQ(graph.node_count(), 0U);
}

TEST_F(CallersCapture, OfAnotherPartitionThanPreparedIsRefused) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  session->prepare();
  const CallersGraph graph(stream, [&] {
    EXPECT_EQ(error_of([&] { session->enqueue(views, stream); }).code(), ErrorCode::InvalidArgument);
  });
}

TEST_F(CallersCapture, StaysInThePartition) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  session->prepare({.stream = stream.view()});
  const CallersGraph graph(stream, [&] { session->enqueue(views, stream); });
  launches.clear();
  graph.launch(Stream::create());
  ASSERT_THAT(launches, SizeIs(1));
  EXPECT_THAT(launches[0].resource, HasSubstr("(32 SMs)"));
}

TEST_F(CallersCapture, ARunWithoutGraphsIsRecordedToo) {
  const Stream stream = Stream::create();
  Session plain(*model, call_by_call());
  plain.prepare({.stream = stream.view()});
  const CallersGraph graph(stream, [&] { plain.enqueue(views, stream); });
  EXPECT_EQ(graph.node_count(), 1U);
}

TEST_F(CallersCapture, ARunLikeItPreparesAsWell) {
  const Stream stream = Stream::create();
  session->enqueue(views, stream);
  const CallersGraph graph(stream, [&] { session->enqueue_borrowed(views, stream); });
  EXPECT_EQ(graph.node_count(), 1U);
}

TEST_F(CallersCapture, OfAnyModeIsServed) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  for (const int mode : {cuda::kCaptureGlobal, cuda::kCaptureThreadLocal, cuda::kCaptureRelaxed}) {
    const CallersGraph graph(
        stream, [&] { session->enqueue(views, stream); }, mode);
    EXPECT_EQ(graph.node_count(), 1U) << mode;
  }
}

TEST_F(CallersCapture, HoldsWhatItNeedsAfterSessionAndModelAreGone) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  {
    const CallersGraph graph(stream, [&] { session->enqueue(views, stream); });
    session.reset();
    model.reset();
    EXPECT_GT(alive().modules, 0U);
    launches.clear();
    graph.launch(stream);
    EXPECT_THAT(launches, SizeIs(1));
  }
  // The driver allows no call where it tells of the end: the next session that waits gives all back.
  Session(load("add")).run(views);
  EXPECT_EQ(alive().user_objects, 0U);
}

TEST_F(CallersCapture, HoldsItsMemoryAsLongAsItsResultsToo) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  session->release_memory();
  const std::uint64_t without = alive().device_bytes;
  session->prepare({.stream = stream.view()});
  std::vector<Tensor> outputs;
  {
    const CallersGraph graph(stream, [&] { session->enqueue_borrowed(views, stream); });
    session->run(views);
    session->release_memory();
    EXPECT_GT(alive().device_bytes, without) << "of the graph";
  }
  session->release_memory();
  EXPECT_EQ(alive().device_bytes, without);
  session->prepare({.stream = stream.view()});
  {
    const CallersGraph graph(stream, [&] { outputs = session->enqueue(views, stream); });
  }
  session->release_memory();
  EXPECT_GT(alive().device_bytes, without) << "of the results";
  outputs.clear();
  session->release_memory();
  EXPECT_EQ(alive().device_bytes, without);
}

TEST_F(CallersCapture, IsRefusedAfterNewWeightsUntilARunTookThem) {
  const Stream stream = Stream::create();
  Session mlp(load("mlp"));
  const std::vector<Tensor> rows = inputs_of("mlp");
  mlp.enqueue(views_of(rows), stream);
  const Tensor bias = ramp({10});
  Model(mlp.model()).update_weights(std::array{NamedWeight{.name = "2.bias", .view = bias.view()}});
  {
    const CallersGraph graph(stream, [&] {
      EXPECT_EQ(error_of([&] { mlp.enqueue(views_of(rows), stream); }).code(), ErrorCode::InvalidArgument);
    });
  }
  mlp.enqueue(views_of(rows), stream);
  const CallersGraph graph(stream, [&] { mlp.enqueue(views_of(rows), stream); });
  EXPECT_EQ(graph.node_count(), 1U);
}

TEST_F(CallersCapture, SeveralSessionsShareOneGraph) {
  const Stream stream = Stream::create();
  Session other(*model);
  session->prepare({.stream = stream.view()});
  other.prepare({.stream = stream.view()});
  std::vector<Tensor> first;
  std::vector<Tensor> second;
  const CallersGraph graph(stream, [&] {
    first = session->enqueue(views, stream);
    const std::vector<TensorView> chained{first[0].view(), inputs[1].view()};
    second = other.enqueue(chained, stream);
  });
  session.reset();
  launches.clear();
  graph.launch(stream);
  ASSERT_THAT(launches, SizeIs(2));
  EXPECT_EQ(launches[1].pointers[0], first[0].view().data());
  EXPECT_EQ(launches[1].pointers[2], second[0].view().data());
  EXPECT_NE(first[0].view().data(), second[0].view().data());
}

TEST_F(CallersCapture, OneSessionTwiceInOneGraphWorksInTwoPlaces) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  std::vector<Tensor> first;
  std::vector<Tensor> second;
  const CallersGraph graph(stream, [&] {
    first = session->enqueue(views, stream);
    second = session->enqueue(views, stream);
  });
  EXPECT_NE(first[0].view().data(), second[0].view().data());
}

TEST_F(CallersCapture, WritesWhereTheCallerWantsResults) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  const Tensor target = copy_to_device(copy_to_host(inputs[0].view()).view(), {DeviceType::Cuda, 0});
  const std::array<TensorView, 1> targets{target.view()};
  penstock_recording_kernel("", [](const recording::KernelLaunch& launch) {
    std::array<void*, 3> pointers{};
    std::memcpy(pointers.data(), launch.parameters.data(), sizeof pointers);
    *static_cast<float*>(pointers[2]) = 42;
  });
  const CallersGraph graph(stream, [&] { session->enqueue(views, stream, {.outputs = targets}); });
  EXPECT_NE(numbers(copy_to_host(target.view()).view())[0], 42);
  graph.launch(stream);
  EXPECT_EQ(numbers(copy_to_host(target.view()).view())[0], 42);
}

TEST_F(CallersCapture, IsNoPlaceForAnythingElse) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  const CallersGraph graph(stream, [&] {
    const Error prepared = error_of([&] { session->prepare({.stream = stream.view()}); });
    EXPECT_EQ(prepared.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(prepared.what(), HasSubstr("Session::enqueue can be recorded and nothing else"));
    EXPECT_EQ(error_of([&] { static_cast<void>(session->audit(views, stream)); }).code(),
              ErrorCode::InvalidArgument);
    const std::vector<Tensor> host{ramp({8, 64}), ramp({8, 64})};
    EXPECT_EQ(error_of([&] { session->enqueue(views_of(host), stream); }).code(), ErrorCode::InvalidArgument);
  });
  EXPECT_EQ(graph.node_count(), 0U);
}

TEST_F(CallersCapture, ThatHasFailedAlreadySaysSo) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  ASSERT_EQ(cuStreamBeginCapture_v2(handle(stream), cuda::kCaptureGlobal), cuda::kSuccess);
  EXPECT_NE(cuStreamSynchronize(handle(stream)), cuda::kSuccess);
  EXPECT_THAT(error_of([&] { session->enqueue(views, stream); }).what(), HasSubstr("has failed already"));
  cuda::GraphHandle graph = nullptr;
  EXPECT_NE(cuStreamEndCapture(handle(stream), &graph), cuda::kSuccess);
}

TEST_F(CallersCapture, IsAsItWasWhereverACallFails) {
  const Stream stream = Stream::create();
  session->prepare({.stream = stream.view()});
  const auto record = [&] {
    session->enqueue(views, stream);
    session->release_memory();
  };
  unsigned calls = 0;
  {
    const CallersGraph graph(stream, [&] {
      const unsigned before = penstock_recording_calls();
      session->enqueue(views, stream);
      calls = penstock_recording_calls() - before;
    });
  }
  session->release_memory();
  session->prepare({.stream = stream.view()});
  ASSERT_GT(calls, 5U);
  unsigned failures = 0;
  for (unsigned nth = 1; nth <= calls; ++nth) {
    std::size_t nodes = 0;
    {
      const CallersGraph graph(stream, [&] {
        penstock_recording_fail({.nth = nth, .result = 46});
        try {
          session->enqueue(views, stream);
          nodes = 1;
        } catch (const Error&) {
          ++failures;
        }
        penstock_recording_clear_faults();
      });
      EXPECT_EQ(graph.node_count(), nodes) << "call " << nth << "\n" << penstock_recording_log();
    }
    Calls::clear();
  }
  EXPECT_GT(failures, 5U);
  record();
}

}  // namespace
}  // namespace penstock::testing
