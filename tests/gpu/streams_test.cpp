#include "gpu.hpp"

#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::HasSubstr;

cuda::ContextHandle current_context() {
  cuda::ContextHandle context = nullptr;
  EXPECT_EQ(driver().current(&context), cuda::kSuccess);
  return context;
}

std::vector<unsigned> common(const std::set<unsigned>& a, const std::set<unsigned>& b) {
  std::vector<unsigned> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  return both;
}

/// `add` and its inputs.
class OnGpu : public ::testing::Test {
 protected:
  Model model = load_on_gpu("add");
  Session session{model};
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
};

TEST_F(OnGpu, ReturnsWhileTheStreamIsBlocked) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  stream.view().synchronize();
  Held held(stream, 1);
  held.wait_until_running();
  const std::vector<Tensor> outputs = session.enqueue(views, stream);
  EXPECT_FALSE(stream.view().is_done());
  held.let_go();
  stream.view().synchronize();
  expect_recorded("add", outputs);
}

TEST_F(OnGpu, ADefaultStreamReturnsWhileItIsBlocked) {
  const InPrimary context;
  session.enqueue(views, StreamView::legacy_default());
  StreamView::legacy_default().synchronize();
  Held held(StreamView::legacy_default(), 1);
  held.wait_until_running();
  const std::vector<Tensor> outputs = session.enqueue(views, StreamView::legacy_default());
  EXPECT_FALSE(StreamView::legacy_default().is_done());
  held.let_go();
  StreamView::legacy_default().synchronize();
  expect_recorded("add", outputs);
}

TEST_F(OnGpu, DefaultStreamsOrderTheRunWithTheCallersWork) {
  const InPrimary context;
  for (const StreamView stream : {StreamView::legacy_default(), StreamView::per_thread_default()}) {
    const std::vector<Tensor> outputs = session.enqueue(views, stream);
    stream.synchronize();
    expect_recorded("add", outputs);
  }
  EXPECT_EQ(session.stream_waits().fences, 4U);
}

TEST_F(OnGpu, ALaneChangesItsStreamByOneWaitAlsoWhereTheOldOneIsGone) {
  std::optional<Stream> first(Stream::create());
  session.enqueue(views, *first);
  first.reset();
  const Stream second = Stream::create();
  const std::vector<Tensor> outputs = session.enqueue(views, second);
  second.view().synchronize();
  expect_recorded("add", outputs);
  EXPECT_EQ(session.stream_waits().stream_changes, 1U);
}

TEST_F(OnGpu, RefusesACaptureAndLeavesItIntact) {
  const Stream stream = Stream::create();
  auto* const handle = static_cast<cuda::StreamHandle>(stream.view().handle());
  ASSERT_EQ(driver().begin_capture(handle, cuda::kCaptureGlobal), cuda::kSuccess);
  EXPECT_EQ(error_of([&] { static_cast<void>(session.audit(views, stream)); }).code(),
            ErrorCode::InvalidArgument);
  cuda::GraphHandle graph = nullptr;
  ASSERT_EQ(driver().end_capture(handle, &graph), cuda::kSuccess);
  ASSERT_NE(graph, nullptr);
  EXPECT_EQ(driver().graph_destroy(graph), cuda::kSuccess);
}

TEST_F(OnGpu, TheCurrentContextIsAsBefore) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  EXPECT_EQ(current_context(), nullptr);
  const InPrimary context;
  session.enqueue(views, stream);
  EXPECT_EQ(current_context(), context.handle());
  EXPECT_THROW(session.enqueue({}, stream), Error);
  EXPECT_EQ(current_context(), context.handle());
}

TEST_F(OnGpu, PartitionsShareNoSm) {
  const std::vector<SmResource> parts = SmResource::of_device().split("32,rest");
  const GreenContext left = GreenContext::create(parts[0]);
  const GreenContext right = GreenContext::create(parts[1]);
  const Stream on_left = left.create_stream();
  const Stream on_right = right.create_stream();
  const std::set<unsigned> left_sms = sms_of(on_left);
  const std::set<unsigned> right_sms = sms_of(on_right);
  EXPECT_EQ(left_sms.size(), left.sm_count());
  EXPECT_EQ(right_sms.size(), right.sm_count());
  EXPECT_TRUE(common(left_sms, right_sms).empty());
  session.enqueue(views, on_left);
  on_left.view().synchronize();
  EXPECT_EQ(sms_of(on_left), left_sms);
}

TEST_F(OnGpu, TwoSessionsRunInTwoPartitionsAtOnce) {
  const std::vector<SmResource> parts = SmResource::of_device().split("64,rest");
  std::atomic<int> wrong = 0;
  const auto work = [&](const SmResource& part) {
    const GreenContext partition = GreenContext::create(part);
    const Stream stream = partition.create_stream();
    Session own(load_on_gpu("mlp"));
    const std::vector<Tensor> x = inputs_of("mlp");
    for (int i = 0; i < 200; ++i) {
      const std::vector<Tensor> outputs = own.enqueue(views_of(x), stream);
      stream.view().synchronize();
      if (i % 50 == 0) expect_recorded("mlp", outputs);
    }
    if (own.stream_waits().stream_changes != 0) ++wrong;
  };
  std::thread other([&] { work(parts[1]); });
  work(parts[0]);
  other.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(OnGpu, OnePartitionGoesOnWhileTheOtherIsHeld) {
  const std::vector<SmResource> parts = SmResource::of_device().split("32,rest");
  const GreenContext left = GreenContext::create(parts[0]);
  const GreenContext right = GreenContext::create(parts[1]);
  const Stream on_left = left.create_stream();
  const Stream on_right = right.create_stream();
  session.enqueue(views, on_right);
  session.enqueue(views, on_left);
  on_left.view().synchronize();
  on_right.view().synchronize();
  Held held(on_right, 2 * right.sm_count());
  held.wait_until_running();
  const std::vector<Tensor> outputs = session.enqueue(views, on_left);
  on_left.view().synchronize();
  EXPECT_FALSE(on_right.view().is_done());
  held.let_go();
  expect_recorded("add", outputs);
}

TEST_F(OnGpu, TheLegacyDefaultStreamOfAGreenContextKeepsItsSms) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream occupied = partition.create_stream();
  const Current current(partition.context_handle());
  EXPECT_EQ(sms_of(StreamView::legacy_default()).size(), 32U);
  session.enqueue(views, StreamView::legacy_default());
  StreamView::legacy_default().synchronize();
  Held held(occupied, 2 * partition.sm_count());
  held.wait_until_running();
  const std::vector<Tensor> outputs = session.enqueue(views, StreamView::legacy_default());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(StreamView::legacy_default().is_done());
  held.let_go();
  StreamView::legacy_default().synchronize();
  expect_recorded("add", outputs);
  EXPECT_EQ(current_context(), partition.context_handle());
}

TEST_F(OnGpu, ThePerThreadDefaultStreamIsRefusedWhileAGreenContextIsCurrent) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Current current(partition.context_handle());
  const Error error = error_of([&] { session.enqueue(views, StreamView::per_thread_default()); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("per-thread default stream"));
}

TEST_F(OnGpu, PartitionsThatComeAndGoAreToldApartAndLeaveNothing) {
  const std::vector<SmResource> sms = SmResource::of_device().split("32,16,rest");
  Session own(model, {.max_lanes = 4});
  std::uint64_t held = 0;
  for (std::size_t i = 0; i < 40; ++i) {
    const GreenContext partition = GreenContext::create(sms[i % 2]);
    const Stream stream = partition.create_stream();
    EXPECT_EQ(own.audit(views, stream).sm_count, partition.sm_count());
    const std::vector<Tensor> outputs = own.enqueue(views, stream);
    stream.view().synchronize();
    expect_recorded("add", outputs);
    if (i == 0) held = own.memory().held_bytes;
    EXPECT_LE(own.memory().held_bytes, 4 * held) << i;
  }
}

TEST_F(OnGpu, TheDefaultStreamOfAPartitionIsThatOfTheNextOneWhenItIsGone) {
  const std::vector<SmResource> sms = SmResource::of_device().split("16,16,rest");
  Session own(model);
  for (std::size_t i = 0; i < 6; ++i) {
    const GreenContext partition = GreenContext::create(sms[i % 2]);
    const Current current(partition.context_handle());
    expect_recorded("add", own.run(views));
    EXPECT_EQ(current_context(), partition.context_handle());
  }
}

TEST_F(OnGpu, KeepsToAGreenContextThatSomeoneElseMade) {
  const InPrimary context;
  cuda::Resource all;
  cuda::Resource part;
  cuda::Resource rest;
  unsigned groups = 1;
  ASSERT_EQ(driver().device_resource(0, &all, cuda::Resource::Sm), cuda::kSuccess);
  ASSERT_EQ(driver().split(&part, &groups, &all, &rest, 0, 16), cuda::kSuccess);
  cuda::ResourceDescHandle description = nullptr;
  cuda::GreenContextHandle green = nullptr;
  cuda::StreamHandle stream = nullptr;
  cuda::StreamHandle occupied = nullptr;
  ASSERT_EQ(driver().description(&description, &part, 1), cuda::kSuccess);
  ASSERT_EQ(driver().green_create(&green, description, 0, cuda::kGreenContextDefaultStream), cuda::kSuccess);
  ASSERT_EQ(driver().green_stream(&stream, green, cuda::kStreamNonBlocking, 0), cuda::kSuccess);
  ASSERT_EQ(driver().green_stream(&occupied, green, cuda::kStreamNonBlocking, 0), cuda::kSuccess);
  {
    const StreamView view = StreamView::from_handle(stream);
    EXPECT_EQ(view.sm_count(), part.sm.sm_count);
    Session own(model);
    own.enqueue(views, view);
    view.synchronize();
    Held held(StreamView::from_handle(occupied), 2 * part.sm.sm_count);
    held.wait_until_running();
    const std::vector<Tensor> outputs = own.enqueue(views, view);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_FALSE(view.is_done());
    held.let_go();
    view.synchronize();
    expect_recorded("add", outputs);
  }
  EXPECT_EQ(driver().stream_destroy(stream), cuda::kSuccess);
  EXPECT_EQ(driver().stream_destroy(occupied), cuda::kSuccess);
  EXPECT_EQ(driver().green_destroy(green), cuda::kSuccess);
}

}  // namespace
}  // namespace penstock::testing
