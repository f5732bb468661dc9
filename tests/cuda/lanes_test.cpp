#include "on_recorder.hpp"

#include <optional>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Lanes : public OnRecorder {
 protected:
  Model model = load("add");
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  Session session{model, call_by_call()};
};

TEST_F(Lanes, AnotherStreamOfTheSameResourceWaitsOnce) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  session.enqueue(views, first);
  Calls::clear();
  session.enqueue(views, second);
  EXPECT_THAT(Calls::work(), ElementsAre(StartsWith("cuStreamWaitEvent"), StartsWith("cuLaunchKernel"),
                                         StartsWith("cuEventRecord")));
  expect_all_on(second, Calls::work());
  Calls::clear();
  session.enqueue(views, second);
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), IsEmpty());
  EXPECT_EQ(session.stream_waits().stream_changes, 1U);
}

TEST_F(Lanes, EachChangeIsOneWait) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  Calls::clear();
  for (int i = 0; i < 3; ++i) {
    session.enqueue(views, first);
    session.enqueue(views, second);
  }
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), SizeIs(5));
  EXPECT_EQ(session.stream_waits().stream_changes, 5U);
}

TEST_F(Lanes, TheNewStreamStartsAfterTheOldOnesWork) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  penstock_recording_hold(first.view().handle());
  session.enqueue(views, first);
  session.enqueue(views, second);
  EXPECT_FALSE(second.view().is_done());
  penstock_recording_let_go(first.view().handle());
  EXPECT_TRUE(second.view().is_done());
}

TEST_F(Lanes, GoOnAfterTheOldStreamHasBeenDestroyed) {
  std::optional<Stream> first(Stream::create());
  session.enqueue(views, *first);
  first.reset();
  const Stream second = Stream::create();
  Calls::clear();
  session.enqueue(views, second);
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), SizeIs(1));
  expect_all_on(second, Calls::work());
}

TEST_F(Lanes, AnotherPartitionIsAnotherLane) {
  const std::vector<SmResource> parts = SmResource::of_device().split("32,rest");
  const GreenContext left = GreenContext::create(parts[0]);
  const GreenContext right = GreenContext::create(parts[1]);
  const Stream on_left = left.create_stream();
  const Stream on_right = right.create_stream();
  session.enqueue(views, on_left);
  penstock_recording_hold(on_left.view().handle());
  session.enqueue(views, on_left);
  Calls::clear();
  session.enqueue(views, on_right);
  EXPECT_TRUE(on_right.view().is_done());
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), IsEmpty());
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), ElementsAre(HasSubstr("(100 SMs)")));
  penstock_recording_let_go(on_left.view().handle());
  EXPECT_EQ(session.stream_waits().stream_changes, 0U);
}

TEST_F(Lanes, MemoryIsFlatAndNoRunAllocates) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  const recording::Alive before = alive();
  const std::uint64_t held = session.memory().held_bytes;
  EXPECT_GT(held, 0U);
  EXPECT_GE(held, session.memory().peak_bytes);
  Calls::clear();
  for (int i = 0; i < 1000; ++i) session.enqueue(views, stream);
  EXPECT_THAT(
      Calls::of({"cuMem", "cuModule", "cuFunc", "cuStream", "cuEventCreate", "cuEventDestroy", "cuCtx"}),
      IsEmpty());
  EXPECT_EQ(alive(), before);
  EXPECT_EQ(session.memory().held_bytes, held);
}

TEST_F(Lanes, OutputsThatAreKeptAreNotUsedAgain) {
  const Stream stream = Stream::create();
  const std::vector<Tensor> first = session.enqueue(views, stream);
  const std::vector<Tensor> second = session.enqueue(views, stream);
  EXPECT_NE(first[0].view().data(), second[0].view().data());
  EXPECT_EQ(first[0].view().device(), (Device{DeviceType::Cuda, 0}));
}

TEST_F(Lanes, BorrowedOutputsAreTheSameMemoryEachTime) {
  const Stream stream = Stream::create();
  void* const first = session.enqueue_borrowed(views, stream)[0].data();
  EXPECT_EQ(session.enqueue_borrowed(views, stream)[0].data(), first);
}

TEST_F(Lanes, ReleaseGivesBackWhatNoOutputUses) {
  const Stream stream = Stream::create();
  const std::size_t before = alive().device_bytes;
  std::vector<Tensor> outputs = session.enqueue(views, stream);
  const std::size_t with_output = alive().device_bytes;
  EXPECT_GT(with_output, before);
  session.release_memory();
  EXPECT_EQ(alive().device_bytes, with_output);
  outputs.clear();
  session.release_memory();
  EXPECT_EQ(alive().device_bytes, before);
  session.enqueue(views, stream);
}

TEST_F(Lanes, MemoryIsGivenBackWhenReplaysThatUseItAreDone) {
  // The driver waits for no graph that is alone on a stream of a partition.
  SessionOptions options;
  options.graphs.seen_by_device_sync = false;
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  std::optional<Session> replayed(std::in_place, model, options);
  for (const bool ends : {false, true}) {
    for (int i = 0; i < 3; ++i) replayed->enqueue(views, stream);
    ASSERT_TRUE(replayed->last_run().replayed);
    penstock_recording_end_waits(true);
    penstock_recording_hold(stream.view().handle());
    replayed->enqueue(views, stream);
    Calls::clear();
    if (ends) {
      replayed.reset();
    } else {
      replayed->release_memory();
    }
    EXPECT_THAT(Calls::of({"cuMemFree"}), Not(IsEmpty()));
    EXPECT_THAT(Calls::lines(), Not(Contains(HasSubstr("passes over"))));
    EXPECT_TRUE(stream.view().is_done());
  }
}

TEST_F(Lanes, WhatMemoryRunsOutForIsGivenBackWhenReplaysThatUseItAreDone) {
  SessionOptions options;
  options.graphs.seen_by_device_sync = false;
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  Session replayed(model, options);
  for (int i = 0; i < 3; ++i) replayed.enqueue(views, stream);
  penstock_recording_end_waits(true);
  penstock_recording_hold(stream.view().handle());
  const std::vector<Tensor> kept = replayed.enqueue(views, stream);
  replayed.enqueue(views, stream);
  Calls::clear();
  penstock_recording_fail({.function = "cuMemAlloc", .result = cuda::kOutOfMemory});
  const std::vector<Tensor> first = replayed.enqueue(views, stream);
  const std::vector<Tensor> second = replayed.enqueue(views, stream);
  EXPECT_THAT(Calls::lines(), Contains("cuMemAlloc fails with 2"));
  EXPECT_THAT(Calls::lines(), Not(Contains(HasSubstr("passes over"))));
}

TEST_F(Lanes, AnOutputsMemoryIsNotUsedOnAnotherStreamBeforeItsReadersAreDone) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  for (const bool borrowed : {false, true}) {
    const void* memory = nullptr;
    if (borrowed) {
      memory = session.enqueue_borrowed(views, first)[0].data();
    } else {
      memory = session.enqueue(views, first)[0].view().data();
    }
    // What reads it on its own stream is on its way; the output is gone, or its time is over.
    penstock_recording_hold(first.view().handle());
    const std::vector<Tensor> next = session.enqueue(views, second);
    EXPECT_TRUE(second.view().is_done());
    EXPECT_NE(next[0].view().data(), memory);
    penstock_recording_let_go(first.view().handle());
    // On its own stream it is used again.
    EXPECT_EQ(session.enqueue(views, first)[0].view().data(), memory);
  }
  const recording::Alive before = alive();
  for (int i = 0; i < 20; ++i) {
    session.enqueue(views, first);
    session.enqueue(views, second);
  }
  EXPECT_EQ(alive(), before);
}

TEST_F(Lanes, ARunWhoseEndCouldNotBeRecordedIsNotOvertakenByAnotherStream) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  session.enqueue(views, first);
  session.enqueue(views, second);
  session.enqueue(views, first);
  penstock_recording_hold(first.view().handle());
  penstock_recording_fail({.function = "cuEventRecord", .every = true, .result = 46});
  EXPECT_EQ(error_of([&] { session.enqueue(views, first); }).cuda_result(), 46);
  penstock_recording_clear_faults();
  Calls::clear();
  const Error error = error_of([&] { session.enqueue(views, second); });
  EXPECT_EQ(error.code(), ErrorCode::Cuda);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("could not be recorded"), HasSubstr("the same stream")));
  EXPECT_THAT(Calls::work(), IsEmpty());
  // Behind it on its own stream all is in order again.
  session.enqueue(views, first);
  session.enqueue(views, second);
  EXPECT_FALSE(second.view().is_done());
  penstock_recording_let_go(first.view().handle());
  EXPECT_TRUE(second.view().is_done());
}

TEST_F(Lanes, ANewRunWaitsForOneThatFailedHalfWay) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  const std::vector<Tensor> targets = session.enqueue(views, first);
  const TensorView target = targets[0].view();
  penstock_recording_hold(first.view().handle());
  // The kernel is on its way when the copy of the result fails.
  penstock_recording_fail({.function = "cuMemcpyDtoDAsync", .every = true, .result = 46});
  penstock_recording_fail({.function = "cuLaunchKernel", .nth = 2, .result = 46});
  error_of([&] { session.enqueue(views, first, {.outputs = {&target, 1}}); });
  penstock_recording_clear_faults();
  session.enqueue(views, second);
  EXPECT_FALSE(second.view().is_done());
  penstock_recording_let_go(first.view().handle());
  EXPECT_TRUE(second.view().is_done());
}

TEST_F(Lanes, ASessionsEndWaitsForItsLastRun) {
  const Stream stream = Stream::create();
  std::optional<Session> other(std::in_place, model);
  for (int i = 0; i < 3; ++i) other->enqueue(views, stream);
  ASSERT_TRUE(other->last_run().replayed);
  penstock_recording_end_waits(true);
  penstock_recording_hold(stream.view().handle());
  other->enqueue(views, stream);
  Calls::clear();
  other.reset();
  EXPECT_THAT(Calls::of({"cuEventSynchronize waits for", "cuGraphExecDestroy"}),
              ElementsAre(StartsWith("cuEventSynchronize waits for"), StartsWith("cuGraphExecDestroy")));
}

TEST_F(Lanes, RunWaitsForItsWork) {
  session.run(views);
  Calls::clear();
  session.run(views);
  EXPECT_THAT(Calls::work().back(), StartsWith("cuStreamSynchronize"));
}

TEST_F(Lanes, OutputsOutliveTheirSessionAndModel) {
  std::vector<Tensor> outputs;
  {
    Session other(load("add"));
    outputs = other.run(views);
  }
  const std::size_t with_output = alive().device_bytes;
  outputs.clear();
  EXPECT_LT(alive().device_bytes, with_output);
}

TEST_F(Lanes, SessionsOfOneModelShareItsWeights) {
  const Model folded = load("folded");
  const std::size_t with_weights = alive().device_bytes;
  std::vector<Session> sessions;
  sessions.reserve(5);
  for (int i = 0; i < 5; ++i) sessions.emplace_back(folded);
  EXPECT_EQ(alive().device_bytes, with_weights);
  const unsigned modules = alive().modules;
  const std::vector<Tensor> x = inputs_of("folded");
  for (Session& each : sessions) each.run(views_of(x));
  EXPECT_EQ(alive().modules, modules);
}

TEST_F(Lanes, ThreadsRunTheirSessionsAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this] {
      Session own(model);
      const Stream stream = Stream::create();
      for (int run = 0; run < 50; ++run) own.enqueue(views, stream);
      stream.view().synchronize();
      EXPECT_EQ(own.stream_waits().stream_changes, 0U);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_F(Lanes, PrepareMakesReadyTheStreamsResource) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  session.prepare({.shapes = {}, .stream = stream.view()});
  Calls::clear();
  session.enqueue(views, stream);
  EXPECT_THAT(Calls::of({"cuMemAlloc", "cuEventCreate", "cuModule", "cuFunc"}), IsEmpty());
  EXPECT_THAT(Calls::work(), AllOf(SizeIs(2)));
}

}  // namespace
}  // namespace penstock::testing
