#include "on_recorder.hpp"

#include <optional>

namespace penstock::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

/// Sessions that see more partitions than they keep lanes for.
class LaneBound : public OnRecorder {
 protected:
  /// A partition with a stream in it.
  struct Part {
    explicit Part(const SmResource& sms) : green(GreenContext::create(sms)), stream(green.create_stream()) {}
    GreenContext green;
    Stream stream;
  };
  static constexpr const char* kSplit = "32,16,16,rest";

  Model model = load("add");
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  std::vector<SmResource> sms = SmResource::of_device().split(kSplit);
};

/// Lanes that were made since `Calls` began: each has one event of its own.
auto lanes_made() { return Calls::of({"cuEventCreate"}); }

TEST_F(LaneBound, PartitionsThatComeAndGoLeaveNothing) {
  Session session(model);
  std::optional<recording::Alive> after_first;
  for (int i = 0; i < 100; ++i) {
    const Part part(sms[static_cast<std::size_t>(i) % sms.size()]);
    session.enqueue(views, part.stream);
    if (!after_first) after_first = alive();
    ASSERT_EQ(alive(), *after_first) << i;
  }
}

TEST_F(LaneBound, AHandleThatComesAgainIsAnotherPartition) {
  Session session(model);
  void* first = nullptr;
  {
    const Part part(sms[0]);
    first = part.green.view().handle();
    EXPECT_EQ(session.audit(views, part.stream).sm_count, 32U);
  }
  const Part part(sms[1]);
  ASSERT_EQ(part.green.view().handle(), first);
  EXPECT_EQ(session.audit(views, part.stream).sm_count, 16U);
  Calls::clear();
  session.enqueue(views, part.stream);
  EXPECT_THAT(lanes_made(), IsEmpty());
}

TEST_F(LaneBound, TheOwnStreamOfAPartitionThatIsGoneIsNotUsedForTheNextOne) {
  Session session(model);
  for (const std::size_t i : {1, 2}) {
    // As large as the other, and with the same handle.
    const GreenContext green = GreenContext::create(sms[i]);
    const Current current(green.context_handle());
    Calls::clear();
    session.run(views);
    EXPECT_THAT(Calls::of({"cuLaunchKernel"}), ::testing::ElementsAre(HasSubstr("(16 SMs)")));
    EXPECT_THAT(Calls::of({"cuGreenCtxStreamCreate"}), SizeIs(1));
  }
}

TEST_F(LaneBound, TheOwnStreamTellsThatAPartitionIsGone) {
  Session session(model);
  const Part other(sms[0]);
  std::optional<GreenContext> green(GreenContext::create(sms[1]));
  {
    const Current current(green->context_handle());
    session.run(views);
  }
  const std::uint64_t held = session.memory().held_bytes;
  green.reset();
  session.enqueue(views, other.stream);
  EXPECT_EQ(session.memory().held_bytes, held);
}

TEST_F(LaneBound, TheOneThatWasUsedLongestAgoGoes) {
  Session session(model, {.max_lanes = 2});
  const Part a(sms[0]);
  const Part b(sms[1]);
  const Part c(sms[2]);
  Calls::clear();
  for (const Part* part : {&a, &b, &a, &c, &a}) session.enqueue(views, part->stream);
  EXPECT_THAT(lanes_made(), SizeIs(3));
  EXPECT_THAT(Calls::of({"cuEventDestroy"}), SizeIs(1));
  Calls::clear();
  session.enqueue(views, b.stream);
  EXPECT_THAT(lanes_made(), SizeIs(1));
  EXPECT_THAT(Calls::of({"cuEventDestroy"}), SizeIs(1));
}

TEST_F(LaneBound, OneInFlightStaysAndIsNotWaitedFor) {
  Session session(model, {.max_lanes = 1});
  const Part a(sms[0]);
  const Part b(sms[1]);
  const Part c(sms[2]);
  penstock_recording_hold(a.stream.view().handle());
  session.enqueue(views, a.stream);
  Calls::clear();
  session.enqueue(views, b.stream);
  EXPECT_THAT(Calls::of({"cuEventDestroy", "cuMemFree", "cuEventSynchronize"}), IsEmpty());
  EXPECT_FALSE(a.stream.view().is_done());
  penstock_recording_let_go(a.stream.view().handle());
  session.enqueue(views, c.stream);
  EXPECT_THAT(Calls::of({"cuEventDestroy"}), SizeIs(2));
}

TEST_F(LaneBound, OutputsOutliveTheLaneThatTheyCameFrom) {
  Session session(model, {.max_lanes = 1});
  const Part a(sms[0]);
  const Part b(sms[1]);
  std::vector<Tensor> outputs = session.enqueue(views, a.stream);
  session.enqueue(views, b.stream);
  const std::size_t with_output = alive().device_bytes;
  EXPECT_EQ(outputs[0].view().device(), (Device{DeviceType::Cuda, 0}));
  outputs.clear();
  EXPECT_LT(alive().device_bytes, with_output);
}

TEST_F(LaneBound, CapturedRunsGoWithTheirLane) {
  Session session(model, {.max_lanes = 1});
  {
    const Part part(sms[0]);
    for (int i = 0; i < 3; ++i) session.enqueue(views, part.stream);
    EXPECT_EQ(session.graph_statistics().held, 1U);
  }
  const Part next(sms[1]);
  session.enqueue(views, next.stream);
  EXPECT_EQ(session.graph_statistics().held, 0U);
  EXPECT_EQ(session.graph_statistics().dropped, 1U);
  EXPECT_EQ(alive().graphs, 0U);
}

TEST_F(LaneBound, KeepsSixteenUnlessToldOtherwise) {
  Session session(model);
  const std::vector<SmResource> many = SmResource::of_device().split("8,8,8,8,8,8,8,8,8,8,8,8,8,8,8,rest");
  ASSERT_THAT(many, SizeIs(16));
  std::vector<Part> parts;
  for (const SmResource& each : many) parts.emplace_back(each);
  for (const Part& part : parts) session.enqueue(views, part.stream);
  Calls::clear();
  for (const Part& part : parts) session.enqueue(views, part.stream);
  EXPECT_THAT(lanes_made(), IsEmpty());
  const Stream of_device = Stream::create();
  session.enqueue(views, of_device);
  EXPECT_THAT(Calls::of({"cuEventDestroy"}), SizeIs(1));
}

TEST_F(LaneBound, IsAtLeastOne) {
  const Error error = error_of([&] { Session(model, {.max_lanes = 0}); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("at most 0 lanes"));
}

}  // namespace
}  // namespace penstock::testing
