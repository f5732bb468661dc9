#include "on_recorder.hpp"

#include "entries.hpp"

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

/// On `add`, which is one kernel.
class StreamPolicy : public OnRecorder {
 protected:
  Model model = load("add");
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  Session session{model, call_by_call()};

  /// All is made that a run on the stream makes the first time.
  void warm(StreamView stream) {
    session.enqueue(views, stream);
    Calls::clear();
  }
};

TEST_F(StreamPolicy, PutsAllWorkOnTheCallersStreamAndAddsNoWait) {
  const Stream stream = Stream::create();
  warm(stream);
  session.enqueue(views, stream);
  const std::vector<std::string> calls = Calls::lines();
  EXPECT_THAT(calls, ElementsAre(StartsWith("cuLaunchKernel triton"), StartsWith("cuEventRecord")));
  expect_all_on(stream, calls);
  EXPECT_EQ(session.stream_waits().fences, 0U);
  EXPECT_EQ(session.stream_waits().stream_changes, 0U);
}

TEST_F(StreamPolicy, TheFirstRunOnAStreamAddsNoWaitEither) {
  const Stream stream = Stream::create();
  Calls::clear();
  session.enqueue(views, stream);
  EXPECT_THAT(Calls::work(), ElementsAre(StartsWith("cuLaunchKernel triton"), StartsWith("cuEventRecord")));
  expect_all_on(stream, Calls::work());
}

TEST_F(StreamPolicy, KeepsToTheStreamOfAPartition) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  warm(stream);
  session.enqueue(views, stream);
  EXPECT_THAT(Calls::work(), AllOf(SizeIs(2), Each(HasSubstr("green#1 (32 SMs)"))));
  expect_all_on(stream, Calls::work());
}

TEST_F(StreamPolicy, KeepsToAGreenContextThatSomeoneElseMade) {
  const Primary primary;
  const Current current(primary.handle());
  cuda::Resource all;
  cuda::Resource part;
  cuda::Resource rest;
  unsigned groups = 1;
  ASSERT_EQ(cuDeviceGetDevResource(0, &all, cuda::Resource::Sm), cuda::kSuccess);
  ASSERT_EQ(cuDevSmResourceSplitByCount(&part, &groups, &all, &rest, 0, 16), cuda::kSuccess);
  cuda::ResourceDescHandle description = nullptr;
  cuda::GreenContextHandle green = nullptr;
  cuda::StreamHandle stream = nullptr;
  ASSERT_EQ(cuDevResourceGenerateDesc(&description, &part, 1), cuda::kSuccess);
  ASSERT_EQ(cuGreenCtxCreate(&green, description, 0, cuda::kGreenContextDefaultStream), cuda::kSuccess);
  ASSERT_EQ(cuGreenCtxStreamCreate(&stream, green, cuda::kStreamNonBlocking, 0), cuda::kSuccess);
  Calls::clear();
  session.enqueue(views, StreamView::from_handle(stream));
  EXPECT_THAT(Calls::work(), AllOf(SizeIs(2), Each(HasSubstr("(16 SMs)"))));
  cuStreamDestroy_v2(stream);
  cuGreenCtxDestroy(green);
}

TEST_F(StreamPolicy, FencesTheLegacyDefaultStreamTwice) {
  const Primary primary;
  const Current current(primary.handle());
  warm(StreamView::legacy_default());
  session.enqueue(views, StreamView::legacy_default());
  EXPECT_THAT(Calls::work(), ElementsAre(AllOf(StartsWith("cuEventRecord"), HasSubstr("legacy stream")),
                                         AllOf(StartsWith("cuStreamWaitEvent"), HasSubstr("stream#")),
                                         AllOf(StartsWith("cuLaunchKernel"), HasSubstr("stream#")),
                                         AllOf(StartsWith("cuEventRecord"), HasSubstr("stream#")),
                                         AllOf(StartsWith("cuStreamWaitEvent"), HasSubstr("legacy stream"))));
  EXPECT_EQ(session.stream_waits().fences, 4U);
}

TEST_F(StreamPolicy, FencesThePerThreadDefaultStreamTwice) {
  const Primary primary;
  const Current current(primary.handle());
  warm(StreamView::per_thread_default());
  session.enqueue(views, StreamView::per_thread_default());
  const std::vector<std::string> work = Calls::work();
  ASSERT_THAT(work, SizeIs(5));
  EXPECT_THAT(work.front(), HasSubstr("per-thread stream"));
  EXPECT_THAT(work[2], AllOf(StartsWith("cuLaunchKernel"), HasSubstr("stream#")));
  EXPECT_THAT(work.back(), HasSubstr("per-thread stream"));
}

TEST_F(StreamPolicy, KeepsTheLegacyDefaultStreamOfAGreenContextInIt) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Current current(partition.context_handle());
  Calls::clear();
  session.enqueue(views, StreamView::legacy_default());
  EXPECT_THAT(Calls::work(), AllOf(SizeIs(5), Each(HasSubstr("green#1 (32 SMs)"))));
  EXPECT_EQ(current_context(), partition.context_handle());
}

TEST_F(StreamPolicy, RefusesThePerThreadDefaultStreamWhileAGreenContextIsCurrent) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Current current(partition.context_handle());
  Calls::clear();
  const Error error = error_of([&] { session.enqueue(views, StreamView::per_thread_default()); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("per-thread default stream"));
  EXPECT_THAT(Calls::work(), IsEmpty());
  EXPECT_EQ(current_context(), partition.context_handle());
}

TEST_F(StreamPolicy, RefusesAStreamOfAContextBesideThePrimaryOneByName) {
  const StreamView stream = StreamView::from_handle(penstock_recording_stream_of_other_context(0));
  Calls::clear();
  const Error error = error_of([&] { session.enqueue(views, stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("not its primary one"), HasSubstr("cuCtxCreate")));
  EXPECT_THAT(Calls::work(), IsEmpty());
  // Its default stream likewise, where it is current.
  cuda::ContextHandle context = nullptr;
  ASSERT_EQ(cuStreamGetCtx(static_cast<cuda::StreamHandle>(stream.handle()), &context), cuda::kSuccess);
  const Current current(context);
  EXPECT_EQ(error_of([&] { session.run(views); }).code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(Calls::work(), IsEmpty());
}

TEST_F(StreamPolicy, RunsOnOneDefaultStreamComeOneAfterTheOther) {
  const Primary primary;
  const Current current(primary.handle());
  Session other{model, call_by_call()};
  const auto own = [&](Session& each) {
    return StreamView::from_handle(each.audit(views, StreamView::legacy_default()).stream);
  };
  const StreamView first = own(session);
  const StreamView second = own(other);
  penstock_recording_hold(first.handle());
  session.enqueue(views, StreamView::legacy_default());
  other.enqueue(views, StreamView::legacy_default());
  EXPECT_FALSE(second.is_done());
  penstock_recording_let_go(first.handle());
  EXPECT_TRUE(second.is_done());
}

TEST_F(StreamPolicy, TheDefaultStreamIsTheDevicesWhereNoContextIsCurrent) {
  Calls::clear();
  session.run(views);
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), ElementsAre(HasSubstr("cuda:0 (132 SMs)")));
  EXPECT_EQ(current_context(), nullptr);
}

TEST_F(StreamPolicy, ReturnsWhileTheStreamIsHeld) {
  const Stream stream = Stream::create();
  warm(stream);
  penstock_recording_hold(stream.view().handle());
  const std::vector<Tensor> outputs = session.enqueue(views, stream);
  EXPECT_FALSE(stream.view().is_done());
  EXPECT_STREQ(penstock_recording_violations(), "");
  penstock_recording_let_go(stream.view().handle());
  EXPECT_TRUE(stream.view().is_done());
}

TEST_F(StreamPolicy, EnqueueOnTheDefaultStreamReturnsWhileTheCallersWorkIsHeld) {
  const Primary primary;
  const Current current(primary.handle());
  warm(StreamView::legacy_default());
  // A blocking stream, for which the legacy default stream waits.
  const Stream busy = Stream::create({.waits_for_default_stream = true});
  penstock_recording_hold(busy.view().handle());
  session.enqueue(views, StreamView::legacy_default());
  EXPECT_FALSE(StreamView::legacy_default().is_done());
  penstock_recording_let_go(busy.view().handle());
  EXPECT_TRUE(StreamView::legacy_default().is_done());
}

TEST_F(StreamPolicy, TheCurrentContextIsAsBefore) {
  const Primary primary;
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  EXPECT_EQ(current_context(), nullptr);
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  for (void* const context : {primary.handle(), partition.context_handle()}) {
    const Current current(context);
    session.enqueue(views, stream);
    EXPECT_EQ(current_context(), context);
    session.run(views);
    EXPECT_EQ(current_context(), context);
  }
}

TEST_F(StreamPolicy, RefusesTheLegacyDefaultStreamWhileABlockingStreamIsCaptured) {
  const Primary primary;
  const Current current(primary.handle());
  session.run(views);
  const Stream blocking = Stream::create({.waits_for_default_stream = true});
  ASSERT_EQ(cuStreamBeginCapture_v2(static_cast<cuda::StreamHandle>(blocking.view().handle()),
                                    cuda::kCaptureThreadLocal),
            cuda::kSuccess);
  Calls::clear();
  const Error error = error_of([&] { session.run(views); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("legacy default stream"), HasSubstr("the capture is as it was")));
  EXPECT_THAT(Calls::work(), IsEmpty());
  cuda::GraphHandle graph = nullptr;
  EXPECT_EQ(cuStreamEndCapture(static_cast<cuda::StreamHandle>(blocking.view().handle()), &graph),
            cuda::kSuccess);
  EXPECT_EQ(cuGraphDestroy(graph), cuda::kSuccess);
  session.run(views);
}

TEST_F(StreamPolicy, RefusesACaptureAndLeavesItIntact) {
  const Stream stream = Stream::create();
  warm(stream);
  auto* const handle = static_cast<cuda::StreamHandle>(stream.view().handle());
  ASSERT_EQ(cuStreamBeginCapture_v2(handle, cuda::kCaptureGlobal), cuda::kSuccess);
  const Error error = error_of([&] { session.enqueue(views, stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("captured"));
  EXPECT_TRUE(stream.view().is_capturing());
  cuda::GraphHandle graph = nullptr;
  ASSERT_EQ(cuStreamEndCapture(handle, &graph), cuda::kSuccess);
  ASSERT_NE(graph, nullptr);
  cuGraphDestroy(graph);
  session.enqueue(views, stream);
}

TEST_F(StreamPolicy, RefusesADestroyedStream) {
  StreamView gone = StreamView::legacy_default();
  {
    const Stream stream = Stream::create();
    gone = stream;
  }
  const Error error = error_of([&] { session.enqueue(views, gone); });
  EXPECT_EQ(error.code(), ErrorCode::Cuda);
  EXPECT_THAT(error.what(), HasSubstr("destroyed"));
}

TEST_F(StreamPolicy, SessionsOnTheDefaultStreamDoNotShareAStream) {
  const Primary primary;
  const Current current(primary.handle());
  Session other(model);
  Calls::clear();
  session.enqueue(views, StreamView::legacy_default());
  other.enqueue(views, StreamView::legacy_default());
  const std::vector<std::string> launches = Calls::of({"cuLaunchKernel"});
  ASSERT_THAT(launches, SizeIs(2));
  EXPECT_NE(launches[0], launches[1]);
}

class TwoGpus : public OnRecorder {
 protected:
  TwoGpus() { penstock_recording_reset({.devices = 2}); }
};

TEST_F(TwoGpus, RefuseAStreamOfTheOther) {
  Session session(load("add", 1));
  const std::vector<Tensor> inputs = inputs_of("add", 1);
  const std::vector<TensorView> views = views_of(inputs);
  const Stream stream = Stream::create({.device = 0});
  Calls::clear();
  const Error error = error_of([&] { session.enqueue(views, stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("another device"), HasSubstr("cuda:1")));
  EXPECT_THAT(Calls::work(), IsEmpty());
  const Stream right = Stream::create({.device = 1});
  session.enqueue(views, right);
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), ElementsAre(HasSubstr("cuda:1")));
}

TEST_F(TwoGpus, RefuseTheDefaultStreamOfTheOther) {
  Session session(load("add", 1));
  const std::vector<Tensor> inputs = inputs_of("add", 1);
  const Primary primary(0);
  const Current current(primary.handle());
  const Error error = error_of([&] { session.enqueue(views_of(inputs), StreamView::legacy_default()); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("current context"), HasSubstr("cuda:1")));
}

TEST_F(TwoGpus, RefuseInputsOfTheOther) {
  Session session(load("add", 1));
  const std::vector<Tensor> inputs = inputs_of("add", 0);
  const Stream stream = Stream::create({.device = 1});
  const Error error = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("cuda:0"));
}

TEST_F(TwoGpus, RunTheSamePackageSideBySide) {
  const Model first = load("add", 0);
  const Model second = load("add", 1);
  EXPECT_EQ(first.device(), (Device{DeviceType::Cuda, 0}));
  EXPECT_EQ(second.device(), (Device{DeviceType::Cuda, 1}));
  Session on_first(first);
  Session on_second(second);
  Calls::clear();
  on_first.run(views_of(inputs_of("add", 0)));
  on_second.run(views_of(inputs_of("add", 1)));
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), ElementsAre(HasSubstr("cuda:0"), HasSubstr("cuda:1")));
}

}  // namespace
}  // namespace penstock::testing
