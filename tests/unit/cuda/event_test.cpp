#include "recorder.hpp"

#include <penstock/log.hpp>
#include <penstock/partition.hpp>
#include <penstock/stream.hpp>

#include <optional>
#include <string>
#include <utility>

namespace penstock::cuda {
namespace {

using testing::HasSubstr;

class EventOnRecorder : public OnRecorder {};

TEST_F(EventOnRecorder, IsDoneBeforeItIsRecorded) {
  const Event event = Event::create();
  EXPECT_TRUE(event.is_done());
  EXPECT_NO_THROW(event.synchronize());
}

TEST_F(EventOnRecorder, StandsForTheWorkBeforeIt) {
  may_violate_ = true;
  const Stream stream = Stream::create();
  const Event event = Event::create();
  penstock_recording_hold(stream.view().handle());
  event.record(stream);
  EXPECT_FALSE(event.is_done());
  EXPECT_EQ(error_of([&] { event.synchronize(); }).cuda_result(), kUnknown);
  EXPECT_THAT(penstock_recording_violations(),
              HasSubstr("cuEventSynchronize would wait for event#1 of stream#1"));
  penstock_recording_let_go(stream.view().handle());
  EXPECT_TRUE(event.is_done());
  EXPECT_NO_THROW(event.synchronize());
}

TEST_F(EventOnRecorder, HoldsBackTheStreamThatWaitsForIt) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  const Event event = Event::create();
  penstock_recording_hold(first.view().handle());
  event.record(first);
  second.view().wait_for(event);
  EXPECT_FALSE(second.view().is_done());
  EXPECT_THAT(log(), HasSubstr("cuStreamWaitEvent event#1 of stream#1 stream#2 cuda:0 (132 SMs)"));
  penstock_recording_let_go(first.view().handle());
  EXPECT_TRUE(second.view().is_done());
}

TEST_F(EventOnRecorder, MayBeDestroyedWhileAStreamWaitsForIt) {
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  penstock_recording_hold(first.view().handle());
  {
    const Event event = Event::create();
    event.record(first);
    second.view().wait_for(event);
  }
  EXPECT_FALSE(second.view().is_done());
  penstock_recording_let_go(first.view().handle());
  EXPECT_TRUE(second.view().is_done());
}

TEST_F(EventOnRecorder, JoinsStreamsOfTwoPartitions) {
  const auto parts = SmResource::of_device().split("32,rest");
  const Stream first = GreenContext::create(parts[0]).create_stream();
  const Stream second = GreenContext::create(parts[1]).create_stream();
  const Event event = Event::create();
  event.record(first);
  second.view().wait_for(event);
  EXPECT_TRUE(second.view().is_done());
  EXPECT_THAT(log(), HasSubstr("cuEventRecord event#1 stream#1 green#1 (32 SMs)"));
  EXPECT_THAT(log(), HasSubstr("cuStreamWaitEvent event#1 of stream#1 stream#2 green#2 (100 SMs)"));
}

TEST_F(EventOnRecorder, IsRefusedOnAStreamOfAnotherDevice) {
  use({.devices = 2});
  const Stream stream = Stream::create({.device = 1});
  const Event event = Event::create({.device = 0});
  const Error error = error_of([&] { event.record(stream); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("is of cuda:1; an event of cuda:0 cannot be recorded on it"));
}

TEST_F(EventOnRecorder, MeasuresTheTimeBetweenTwo) {
  const Stream stream = Stream::create();
  const Event start = Event::create({.timing = true});
  const Event end = Event::create({.timing = true});
  EXPECT_EQ(error_of([&] { static_cast<void>(Event::milliseconds_between(start, end)); }).code(),
            ErrorCode::InvalidArgument);
  start.record(stream);
  end.record(stream);
  EXPECT_GT(Event::milliseconds_between(start, end), 0);
  EXPECT_LT(Event::milliseconds_between(end, start), 0);
  const Event untimed = Event::create();
  untimed.record(stream);
  EXPECT_THAT(error_of([&] { static_cast<void>(Event::milliseconds_between(start, untimed)); }).what(),
              HasSubstr("EventOptions::timing"));
}

TEST_F(EventOnRecorder, HasNoTimeBeforeItIsDone) {
  const Stream stream = Stream::create();
  const Event start = Event::create({.timing = true});
  const Event end = Event::create({.timing = true});
  start.record(stream);
  penstock_recording_hold(stream.view().handle());
  end.record(stream);
  EXPECT_THAT(error_of([&] { static_cast<void>(Event::milliseconds_between(start, end)); }).what(),
              HasSubstr("synchronize with the later one first"));
  penstock_recording_let_go(stream.view().handle());
}

TEST_F(EventOnRecorder, MovesAndGivesBackOnce) {
  Event first = Event::create({.yielding = true});
  void* const handle = first.handle();
  Event second = std::move(first);
  EXPECT_EQ(second.handle(), handle);
  EXPECT_EQ(alive().events, 1U);
  second = Event::create();
  EXPECT_EQ(alive().events, 1U);
}

TEST_F(EventOnRecorder, SurvivesEachFault) {
  expect_each_fault_is_survived([] {
    const Stream stream = Stream::create();
    const Stream other = Stream::create();
    const Event start = Event::create({.timing = true});
    const Event end = Event::create({.timing = true});
    start.record(stream);
    end.record(stream);
    other.view().wait_for(end);
    static_cast<void>(end.is_done());
    end.synchronize();
    static_cast<void>(Event::milliseconds_between(start, end));
  });
}

TEST_F(EventOnRecorder, ReportsOnceWhatCannotBeDestroyed) {
  std::string said;
  set_log_callback([&](LogLevel, std::string_view text) { said += std::string(text) + "\n"; });
  penstock_recording_fail({.function = "cuEventDestroy", .result = kInvalidHandle});
  static_cast<void>(Event::create());
  set_log_callback({});
  EXPECT_EQ(said, "an event: cuEventDestroy failed: CUDA_ERROR_INVALID_HANDLE (invalid resource handle)\n");
}

}  // namespace
}  // namespace penstock::cuda
