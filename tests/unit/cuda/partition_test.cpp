#include <penstock/partition.hpp>

#include "cuda/context.hpp"
#include "cuda/sm_resource_impl.hpp"
#include "recorder.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace penstock::cuda {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class PartitionOnRecorder : public OnRecorder {};

std::vector<unsigned> counts(const std::vector<SmResource>& parts) {
  std::vector<unsigned> result;
  for (const SmResource& part : parts) result.push_back(part.sm_count());
  return result;
}

std::set<unsigned> probed(StreamView stream) {
  const std::vector<unsigned> sms = probe_sms(stream);
  return {sms.begin(), sms.end()};
}

TEST_F(PartitionOnRecorder, TellsWhatADeviceHas) {
  use({.devices = 2});
  const SmResource sms = SmResource::of_device(1);
  EXPECT_EQ(sms.device(), 1);
  EXPECT_EQ(sms.sm_count(), 132U);
  EXPECT_EQ(sms.least_sm_count(), 8U);
  EXPECT_EQ(sms.step_sm_count(), 8U);
  EXPECT_EQ(error_of([] { static_cast<void>(SmResource::of_device(2)); }).code(), ErrorCode::NotFound);
}

TEST_F(PartitionOnRecorder, SeesLeastAndStepWhereADriverDoesNotTell) {
  use({.driver_version = 12060, .sm_count = 108, .least = 4, .step = 2});
  const SmResource sms = SmResource::of_device();
  EXPECT_EQ(sms.least_sm_count(), 4U);
  EXPECT_EQ(sms.step_sm_count(), 2U);
  EXPECT_THAT(counts(sms.split("5,rest")), ElementsAre(6, 102));
}

TEST_F(PartitionOnRecorder, SplitsByNumbersSharesAndRest) {
  const SmResource sms = SmResource::of_device();
  EXPECT_THAT(counts(sms.split("32,rest")), ElementsAre(32, 100));
  EXPECT_THAT(counts(sms.split("32,64,rest")), ElementsAre(32, 64, 36));
  EXPECT_THAT(counts(sms.split("25%,75%")), ElementsAre(32, 100));
  EXPECT_THAT(counts(sms.split("64,64")), ElementsAre(64, 64));
  EXPECT_THAT(counts(sms.split("rest")), ElementsAre(132));
  EXPECT_THAT(counts(sms.split(std::array{24U, 40U})), ElementsAre(24, 40));
}

TEST_F(PartitionOnRecorder, SplitsWithoutReservingAnything) {
  const SmResource sms = SmResource::of_device();
  EXPECT_EQ(counts(sms.split("32,rest")), counts(sms.split("32,rest")));
  EXPECT_EQ(alive(), recording::Alive{});
}

TEST_F(PartitionOnRecorder, RaisesNumbersToTheStepOfTheGpu) {
  use({.sm_count = 125, .least = 10, .step = 10});
  EXPECT_THAT(counts(SmResource::of_device().split("111,rest")), ElementsAre(120, 5));
}

TEST_F(PartitionOnRecorder, RefusesSplitsThatDoNotFit) {
  const SmResource sms = SmResource::of_device();
  for (const char* parts : {"136", "128,8", "64,64,8,rest"}) {
    const Error error = error_of([&] { static_cast<void>(sms.split(parts)); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument) << parts;
    EXPECT_THAT(error.what(), HasSubstr("cuda:0 has 132 SMs, and gives parts of 8 or more in steps of 8"))
        << parts;
  }
  EXPECT_EQ(error_of([&] { static_cast<void>(sms.split("none")); }).code(), ErrorCode::InvalidArgument);
  EXPECT_EQ(error_of([&] {
              static_cast<void>(sms.split(std::array{8U, 0U}));
            }).code(),
            ErrorCode::InvalidArgument);
}

TEST_F(PartitionOnRecorder, DoesNotSplitAPartAgain) {
  const auto parts = SmResource::of_device().split("64,rest");
  const Error error = error_of([&] { static_cast<void>(parts[0].split("32,rest")); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), HasSubstr("make a GreenContext of them and split its resource()"));
  EXPECT_EQ(error_of([&] { static_cast<void>(parts[0].least_sm_count()); }).code(), ErrorCode::Unsupported);

  const GreenContext green = GreenContext::create(parts[0]);
  EXPECT_THAT(counts(green.resource().split("32,rest")), ElementsAre(32, 32));
}

TEST_F(PartitionOnRecorder, GivesStreamsThatStayOnItsSms) {
  const auto parts = SmResource::of_device().split("32,64,rest");
  std::set<unsigned> all;
  std::size_t sum = 0;
  for (const SmResource& part : parts) {
    const GreenContext green = GreenContext::create(part);
    EXPECT_EQ(green.sm_count(), part.sm_count());
    EXPECT_EQ(green.device(), 0);
    EXPECT_EQ(green.resource().sm_count(), part.sm_count());
    const Stream stream = green.create_stream({.priority = -2});
    EXPECT_EQ(stream.priority(), -2);
    EXPECT_EQ(stream.view().sm_count(), part.sm_count());
    EXPECT_TRUE(stream.view().in_green_context());
    EXPECT_EQ(stream.view().device().index, 0);
    const std::set<unsigned> sms = probed(stream);
    EXPECT_EQ(sms.size(), part.sm_count());
    all.insert(sms.begin(), sms.end());
    sum += sms.size();
  }
  EXPECT_EQ(all.size(), sum) << "partitions share SMs";
}

TEST_F(PartitionOnRecorder, IsMadeOfSeveralPartsOfOneSplit) {
  const auto parts = SmResource::of_device().split("32,64,rest");
  const GreenContext green = GreenContext::create(std::array{parts[0], parts[2]});
  EXPECT_EQ(green.sm_count(), 68U);
}

TEST_F(PartitionOnRecorder, IsNotMadeOfWhatDoesNotGoTogether) {
  use({.devices = 2});
  const auto first = SmResource::of_device().split("32,rest");
  const auto second = SmResource::of_device().split("32,rest");
  const Error splits = error_of([&] {
    static_cast<void>(GreenContext::create(std::array{first[0], second[1]}));
  });
  EXPECT_EQ(splits.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(splits.what(), HasSubstr("of one split"));
  const auto other = SmResource::of_device(1).split("32,rest");
  const Error devices = error_of([&] {
    static_cast<void>(GreenContext::create(std::array{first[0], other[0]}));
  });
  EXPECT_THAT(devices.what(), HasSubstr("the SMs of one GPU, not of cuda:0 and cuda:1"));
  EXPECT_EQ(error_of([] { static_cast<void>(GreenContext::create(std::span<const SmResource>())); }).code(),
            ErrorCode::InvalidArgument);
}

TEST_F(PartitionOnRecorder, KnowsTheGreenContextOfAStream) {
  const GreenContext green = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream inside = green.create_stream();
  const Stream outside = Stream::create();
  EXPECT_EQ(GreenContextView::of(inside), green.view());
  EXPECT_EQ(GreenContextView::of(outside), std::nullopt);
  EXPECT_NE(green.view().handle(), nullptr);
  EXPECT_EQ(SmResource::of_stream(inside).sm_count(), 32U);
  EXPECT_EQ(SmResource::of_stream(outside).sm_count(), 132U);
}

TEST_F(PartitionOnRecorder, KnowsAGreenContextThatSomeoneElseMade) {
  const Driver& table = driver();
  std::array<Resource, 1> group;
  Resource all;
  Resource rest;
  unsigned count = 1;
  ASSERT_EQ(table.device_get_dev_resource(0, &all, Resource::Sm), kSuccess);
  ASSERT_EQ(table.dev_sm_resource_split_by_count(group.data(), &count, &all, &rest, 0, 40), kSuccess);
  ResourceDescHandle description = nullptr;
  ASSERT_EQ(table.dev_resource_generate_desc(&description, group.data(), 1), kSuccess);
  GreenContextHandle theirs = nullptr;
  ASSERT_EQ(table.green_ctx_create(&theirs, description, 0, kGreenContextDefaultStream), kSuccess);
  StreamHandle their_stream = nullptr;
  ASSERT_EQ(table.green_ctx_stream_create(&their_stream, theirs, kStreamNonBlocking, 0), kSuccess);

  const StreamView stream = StreamView::from_handle(their_stream);
  EXPECT_EQ(stream.sm_count(), 40U);
  EXPECT_EQ(GreenContextView::of(stream)->handle(), theirs);
  EXPECT_EQ(SmResource::of_stream(stream).sm_count(), 40U);
  EXPECT_NO_THROW(stream.synchronize());

  EXPECT_EQ(table.stream_destroy(their_stream), kSuccess);
  EXPECT_EQ(table.green_ctx_destroy(theirs), kSuccess);
}

TEST_F(PartitionOnRecorder, IsUsedByThreadsAtOnceWithoutBeingCurrentOnAny) {
  const GreenContext green = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = green.create_stream();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const Stream own = green.create_stream();
      EXPECT_NO_THROW(own.view().synchronize());
      EXPECT_NO_THROW(stream.view().synchronize());
      EXPECT_EQ(current_context(), nullptr);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(alive().streams, 1U);
}

TEST_F(PartitionOnRecorder, LivesAsLongAsACopyOrAStream) {
  std::optional<GreenContext> first = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  std::optional<GreenContext> copy = first;
  std::optional<Stream> stream = first->create_stream();
  first.reset();
  EXPECT_EQ(copy->sm_count(), 32U);
  copy.reset();
  EXPECT_EQ(alive().green_contexts, 1U);
  stream.reset();
  EXPECT_EQ(alive().green_contexts, 0U);
}

TEST_F(PartitionOnRecorder, IsNotProbedWhileItsStreamIsCaptured) {
  const Stream stream = Stream::create();
  ASSERT_EQ(driver().stream_begin_capture(handle(stream), kCaptureRelaxed), kSuccess);
  const Error error = error_of([&] { static_cast<void>(probe_sms(stream)); });
  EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
  EXPECT_THAT(error.what(), HasSubstr("is being captured"));
  GraphHandle graph = nullptr;
  EXPECT_EQ(driver().stream_end_capture(handle(stream), &graph), kSuccess);
  EXPECT_EQ(driver().graph_destroy(graph), kSuccess);
}

TEST_F(PartitionOnRecorder, IsProbedOnTheWholeDeviceOutsideOfAPartition) {
  const Stream stream = Stream::create();
  EXPECT_EQ(probed(stream).size(), 132U);
  const auto context = primary_context(0);
  const ContextScope scope(*context);
  EXPECT_EQ(probed(StreamView::legacy_default()).size(), 132U);
}

TEST_F(PartitionOnRecorder, SurvivesEachFault) {
  expect_each_fault_is_survived([] {
    const auto parts = SmResource::of_device().split("32,64,rest");
    const GreenContext green = GreenContext::create(parts[1]);
    const Stream stream = green.create_stream();
    static_cast<void>(green.resource());
    static_cast<void>(SmResource::of_stream(stream));
    static_cast<void>(GreenContextView::of(stream));
    static_cast<void>(stream.view().sm_count());
    static_cast<void>(probe_sms(stream));
  });
}

TEST_F(PartitionOnRecorder, SaysThatAGpuCannotBePartitioned) {
  penstock_recording_fail({.function = "cuDeviceGetDevResource", .result = kNotSupported});
  const Error error = error_of([] { static_cast<void>(SmResource::of_device()); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_EQ(error.cuda_result(), kNotSupported);
  EXPECT_THAT(error.what(), HasSubstr("cuda:0: this GPU cannot be partitioned"));
}

}  // namespace
}  // namespace penstock::cuda
