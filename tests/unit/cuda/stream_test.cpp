#include <penstock/stream.hpp>

#include "cuda/context.hpp"
#include "recorder.hpp"

#include <penstock/log.hpp>
#include <penstock/partition.hpp>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace penstock::cuda {
namespace {

using testing::HasSubstr;
using testing::Not;

static_assert(!std::is_constructible_v<StreamView, int>);
static_assert(!std::is_constructible_v<StreamView, std::nullptr_t>);
static_assert(!std::is_default_constructible_v<StreamView>);
static_assert(!std::is_copy_constructible_v<Stream> && std::is_nothrow_move_constructible_v<Stream>);
static_assert(std::is_convertible_v<const Stream&, StreamView>);

class StreamOnRecorder : public OnRecorder {};

TEST_F(StreamOnRecorder, DefaultStreamsAreNamed) {
  EXPECT_EQ(StreamView::legacy_default().handle(), reinterpret_cast<void*>(1));
  EXPECT_EQ(StreamView::per_thread_default().handle(), reinterpret_cast<void*>(2));
  EXPECT_EQ(StreamView::from_handle(nullptr), StreamView::legacy_default());
  EXPECT_TRUE(StreamView::legacy_default().is_default());
  EXPECT_TRUE(StreamView::per_thread_default().is_default());
  EXPECT_NE(StreamView::legacy_default(), StreamView::per_thread_default());
}

TEST_F(StreamOnRecorder, DefaultStreamsAreThoseOfTheCurrentContext) {
  use({.devices = 2});
  const auto context = primary_context(1);
  const ContextScope scope(*context);
  for (const StreamView stream : {StreamView::legacy_default(), StreamView::per_thread_default()}) {
    EXPECT_EQ(stream.device(), (Device{DeviceType::Cuda, 1}));
    EXPECT_EQ(stream.sm_count(), 132U);
    EXPECT_FALSE(stream.in_green_context());
    EXPECT_FALSE(stream.is_capturing());
    EXPECT_TRUE(stream.is_done());
    EXPECT_NO_THROW(stream.synchronize());
  }
}

TEST_F(StreamOnRecorder, DefaultStreamsNeedACurrentContext) {
  for (const StreamView stream : {StreamView::legacy_default(), StreamView::per_thread_default()}) {
    const Error error = error_of([&] { static_cast<void>(stream.device()); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), HasSubstr("this thread has none; make one current"));
    EXPECT_EQ(error_of([&] { stream.synchronize(); }).code(), ErrorCode::InvalidArgument);
  }
}

TEST_F(StreamOnRecorder, TheLegacyDefaultStreamKeepsAGreenContext) {
  const auto green = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const ContextScope scope(static_cast<ContextHandle>(green.context_handle()));
  EXPECT_EQ(StreamView::legacy_default().sm_count(), 32U);
  EXPECT_TRUE(StreamView::legacy_default().in_green_context());
  const Error error = error_of([] { static_cast<void>(StreamView::per_thread_default().sm_count()); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("no per-thread default stream while a green context is current"));
}

TEST_F(StreamOnRecorder, IsNonBlockingUnlessItIsAskedToWait) {
  const Stream plain = Stream::create();
  const Stream waiting = Stream::create({.waits_for_default_stream = true});
  unsigned flags = 99;
  ASSERT_EQ(driver().stream_get_flags(handle(plain), &flags), kSuccess);
  EXPECT_EQ(flags, kStreamNonBlocking);
  ASSERT_EQ(driver().stream_get_flags(handle(waiting), &flags), kSuccess);
  EXPECT_EQ(flags, kStreamDefault);
  EXPECT_FALSE(plain.view().is_default());
}

TEST_F(StreamOnRecorder, IsMadeOnItsDeviceWithItsPriority) {
  use({.devices = 2});
  const Stream stream = Stream::create({.device = 1, .priority = -3});
  EXPECT_EQ(stream.view().device(), (Device{DeviceType::Cuda, 1}));
  EXPECT_EQ(stream.view().sm_count(), 132U);
  EXPECT_FALSE(stream.view().in_green_context());
  EXPECT_EQ(stream.priority(), -3);
  const Stream most = Stream::create({.priority = -100});
  EXPECT_EQ(most.priority(), stream_priorities().greatest);
  EXPECT_EQ(stream_priorities(1).greatest, -5);
  EXPECT_EQ(stream_priorities(1).least, 0);
}

TEST_F(StreamOnRecorder, HasTheSmsOfTheDeviceWhereTheGpuKnowsNoPartitions) {
  const Stream stream = Stream::create();
  penstock_recording_fail({.function = "cuCtxGetDevResource", .result = kNotSupported});
  EXPECT_EQ(stream.view().sm_count(), 132U);
}

TEST_F(StreamOnRecorder, NamesADeviceThatThereIsNot) {
  const Error error = error_of([] { static_cast<void>(Stream::create({.device = 7})); });
  EXPECT_EQ(error.code(), ErrorCode::NotFound);
  EXPECT_THAT(error.what(), HasSubstr("cuda:7: there is no such GPU"));
  EXPECT_EQ(error_of([] { stream_priorities(7); }).code(), ErrorCode::NotFound);
  EXPECT_EQ(error_of([] { static_cast<void>(Event::create({.device = 7})); }).code(), ErrorCode::NotFound);
}

TEST_F(StreamOnRecorder, MovesAndGivesBackOnce) {
  Stream first = Stream::create();
  const StreamView view = first;
  Stream second = std::move(first);
  EXPECT_EQ(second.view(), view);
  EXPECT_EQ(alive().streams, 1U);
  second = Stream::create();
  EXPECT_EQ(alive().streams, 1U);
  EXPECT_NE(second.view(), view);
}

TEST_F(StreamOnRecorder, SaysThatAStreamIsDestroyed) {
  std::optional<Stream> stream = Stream::create();
  const StreamView view = *stream;
  stream.reset();
  const Error error = error_of([&] { view.synchronize(); });
  EXPECT_EQ(error.code(), ErrorCode::Cuda);
  EXPECT_EQ(error.cuda_result(), kInvalidHandle);
  EXPECT_THAT(error.what(), HasSubstr("has been destroyed, or the handle was never one"));
  EXPECT_EQ(error_of([&] { static_cast<void>(view.device()); }).cuda_result(), kInvalidHandle);
}

TEST_F(StreamOnRecorder, TellsWhetherItsWorkIsDone) {
  may_violate_ = true;
  const Stream stream = Stream::create();
  penstock_recording_hold(stream.view().handle());
  EXPECT_FALSE(stream.view().is_done());
  EXPECT_EQ(error_of([&] { stream.view().synchronize(); }).cuda_result(), kUnknown);
  EXPECT_THAT(penstock_recording_violations(), HasSubstr("cuStreamSynchronize would wait for stream#1"));
  penstock_recording_let_go(stream.view().handle());
  EXPECT_TRUE(stream.view().is_done());
  EXPECT_NO_THROW(stream.view().synchronize());
}

TEST_F(StreamOnRecorder, IsDestroyedWithWorkOnItWithoutWaiting) {
  const Event event = Event::create();
  {
    const Stream stream = Stream::create();
    penstock_recording_hold(stream.view().handle());
    event.record(stream);
  }
  EXPECT_EQ(alive().streams, 0U);
  EXPECT_FALSE(event.is_done());
}

TEST_F(StreamOnRecorder, IsUsedFromThreadsWithoutAContext) {
  const Stream stream = Stream::create();
  std::thread([view = stream.view()] {
    EXPECT_EQ(view.device().index, 0);
    EXPECT_NO_THROW(view.synchronize());
    EXPECT_EQ(current_context(), nullptr);
  }).join();
}

TEST_F(StreamOnRecorder, TellsThatItIsCaptured) {
  const Stream stream = Stream::create();
  EXPECT_FALSE(stream.view().is_capturing());
  ASSERT_EQ(driver().stream_begin_capture(handle(stream), kCaptureThreadLocal), kSuccess);
  EXPECT_TRUE(stream.view().is_capturing());
  // The driver does not tell the device then: it is that of the stream's context.
  EXPECT_EQ(stream.view().device().index, 0);
  EXPECT_EQ(stream.view().sm_count(), 132U);
  GraphHandle graph = nullptr;
  ASSERT_EQ(driver().stream_end_capture(handle(stream), &graph), kSuccess);
  EXPECT_FALSE(stream.view().is_capturing());
  EXPECT_EQ(driver().graph_destroy(graph), kSuccess);
}

TEST_F(StreamOnRecorder, OutlivesTheObjectsThatItDependsOn) {
  std::optional<GreenContext> green = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = green->create_stream();
  green.reset();
  EXPECT_EQ(alive().green_contexts, 1U);
  EXPECT_EQ(stream.view().sm_count(), 32U);
}

TEST_F(StreamOnRecorder, SurvivesEachFault) {
  expect_each_fault_is_survived([] {
    const Stream stream = Stream::create({.priority = -1});
    static_cast<void>(stream.priority());
    static_cast<void>(stream.view().device());
    static_cast<void>(stream.view().sm_count());
    static_cast<void>(stream.view().in_green_context());
    static_cast<void>(stream.view().is_capturing());
    static_cast<void>(stream.view().is_done());
    static_cast<void>(stream_priorities());
    stream.view().synchronize();
  });
}

TEST_F(StreamOnRecorder, IsNamedUnusableForGoodAfterAStickyError) {
  const Stream stream = Stream::create();
  penstock_recording_fail({.function = "cuStreamSynchronize", .sticky = true, .result = kIllegalAddress});
  EXPECT_THAT(error_of([&] { stream.view().synchronize(); }).what(), HasSubstr("start the process again"));
  const Error next = error_of([&] { static_cast<void>(stream.view().is_done()); });
  EXPECT_EQ(next.cuda_result(), kIllegalAddress);
  EXPECT_THAT(next.what(), HasSubstr("start the process again"));
}

TEST_F(StreamOnRecorder, ReportsOnceWhatCannotBeDestroyed) {
  std::string said;
  set_log_callback([&](LogLevel, std::string_view text) { said += std::string(text) + "\n"; });
  penstock_recording_fail({.function = "cuStreamDestroy", .result = kInvalidHandle});
  static_cast<void>(Stream::create());
  set_log_callback({});
  EXPECT_EQ(said, "a stream: cuStreamDestroy failed: CUDA_ERROR_INVALID_HANDLE (invalid resource handle)\n");
}

}  // namespace
}  // namespace penstock::cuda
