#include "on_recorder.hpp"

#include "entries.hpp"

#include <array>
#include <cstring>
#include <map>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

SessionOptions with(GraphMode mode) {
  SessionOptions options;
  options.graphs.mode = mode;
  return options;
}

/// On `add`, which is one kernel of two inputs, one output and a count. What it would read and write is
/// written down.
class Graphs : public OnRecorder {
 protected:
  Graphs() {
    penstock_recording_kernel("", [this](const recording::KernelLaunch& launch) {
      std::array<void*, 3> pointers{};
      if (launch.parameters.size() >= sizeof pointers)
        std::memcpy(pointers.data(), launch.parameters.data(), sizeof pointers);
      launches.push_back(pointers);
    });
  }

  /// Runs until it is captured.
  void warm(StreamView stream) {
    session.enqueue(views, stream);
    session.enqueue(views, stream);
    Calls::clear();
    launches.clear();
  }

  std::vector<std::array<void*, 3>> launches;
  Model model = load("add");
  std::vector<Tensor> inputs = inputs_of("add");
  std::vector<Tensor> others = inputs_of("add");
  std::vector<TensorView> views = views_of(inputs);
  Session session{model};
};

TEST_F(Graphs, TheSecondRunIsCapturedAndAllLaterOnesAreReplayed) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  EXPECT_FALSE(session.last_run().replayed);
  EXPECT_EQ(session.last_run().reason, kFirstRun);
  for (int run = 0; run < 5; ++run) {
    session.enqueue(views, stream);
    EXPECT_TRUE(session.last_run().replayed);
    EXPECT_EQ(session.last_run().reason, "");
  }
  const GraphStatistics statistics = session.graph_statistics();
  EXPECT_EQ(statistics.captures, 1U);
  EXPECT_EQ(statistics.replays, 5U);
  EXPECT_EQ(statistics.held, 1U);
  EXPECT_EQ(statistics.fixed, "");
  ASSERT_THAT(statistics.eager, SizeIs(1));
  EXPECT_EQ(statistics.eager[0].runs, 1U);
}

TEST_F(Graphs, AReplayIsOneLaunchOnTheCallersStream) {
  const Stream stream = Stream::create();
  warm(stream);
  session.enqueue(views, stream);
  EXPECT_THAT(Calls::of({"cuGraph", "cuLaunch", "cuMem", "cuStream", "cuEvent"}),
              ElementsAre(StartsWith("cuGraphLaunch"), StartsWith("cuEventRecord")));
  EXPECT_THAT(Calls::of({"cuGraphLaunch"}), Each(HasSubstr(log_name(stream))));
}

TEST_F(Graphs, TheCallersStreamIsNeverCaptured) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  penstock_recording_hold(stream.view().handle());
  Calls::clear();
  session.enqueue(views, stream);
  EXPECT_THAT(Calls::of({"cuStreamBeginCapture", "captured"}), Each(Not(HasSubstr(log_name(stream)))));
  EXPECT_THAT(Calls::of({"cuStreamBeginCapture"}), SizeIs(2));
  penstock_recording_let_go(stream.view().handle());
  EXPECT_TRUE(session.last_run().replayed);
}

TEST_F(Graphs, InputsAndOutputsAreWhereTheRunHasThem) {
  const Stream stream = Stream::create();
  warm(stream);
  const std::array<TensorView, 2> mixed{others[0].view(), views[1]};
  const std::array<TensorView, 2> swapped{views[1], views[0]};
  const std::array<TensorView, 2> twice{views[0], views[0]};
  std::vector<std::vector<Tensor>> kept;
  for (const auto& run : {mixed, swapped, twice, mixed}) {
    launches.clear();
    kept.push_back(session.enqueue(run, stream));
    ASSERT_THAT(launches, SizeIs(1));
    EXPECT_EQ(launches[0], (std::array{run[0].data(), run[1].data(), kept.back()[0].view().data()}));
  }
  // An input that is given twice is another sharing of memory: captured for itself, after a run of its own.
  EXPECT_EQ(session.graph_statistics().replays, 4U);
  EXPECT_EQ(session.graph_statistics().captures, 1U);
}

TEST_F(Graphs, UnchangedAddressesPatchNothing) {
  const Stream stream = Stream::create();
  warm(stream);
  session.enqueue_borrowed(views, stream);
  const std::uint64_t before = session.graph_statistics().patched_nodes;
  for (int run = 0; run < 10; ++run) session.enqueue_borrowed(views, stream);
  EXPECT_EQ(session.graph_statistics().patched_nodes, before);
  session.enqueue_borrowed(views_of(others), stream);
  EXPECT_EQ(session.graph_statistics().patched_nodes, before + 1);
}

TEST_F(Graphs, SeveralOutputsGetTheirOwnMemoryAgain) {
  const Model of_several = load("inplace");
  Session several(of_several);
  const Stream stream = Stream::create();
  const std::vector<Tensor> given = inputs_of("inplace");
  for (int run = 0; run < 4; ++run) several.enqueue_borrowed(views_of(given), stream);
  const std::uint64_t before = several.graph_statistics().patched_nodes;
  for (int run = 0; run < 10; ++run) several.enqueue_borrowed(views_of(given), stream);
  EXPECT_EQ(several.graph_statistics().patched_nodes, before);
  EXPECT_TRUE(several.last_run().replayed) << several.last_run().reason;
}

TEST_F(Graphs, KeptOutputsAreNotWrittenAgain) {
  const Stream stream = Stream::create();
  warm(stream);
  std::vector<std::vector<Tensor>> kept;
  for (int run = 0; run < 4; ++run) kept.push_back(session.enqueue(views, stream));
  std::map<void*, int> written;
  for (const auto& launch : launches) ++written[launch[2]];
  EXPECT_EQ(written.size(), 4U);
}

TEST_F(Graphs, AnotherStreamOfThePartitionCapturesNothing) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream first = partition.create_stream();
  const Stream second = partition.create_stream();
  warm(first);
  for (int run = 0; run < 4; ++run) session.enqueue(views, run % 2 == 0 ? second : first);
  EXPECT_EQ(session.graph_statistics().captures, 1U);
  EXPECT_THAT(Calls::of({"replayed"}), AllOf(SizeIs(4), Each(HasSubstr("green#1 (32 SMs)"))));
}

TEST_F(Graphs, EachPartitionHasItsOwn) {
  const std::vector<SmResource> parts = SmResource::of_device().split("32,rest");
  const GreenContext left = GreenContext::create(parts[0]);
  const GreenContext right = GreenContext::create(parts[1]);
  const std::array streams{left.create_stream(), right.create_stream()};
  for (int run = 0; run < 100; ++run) session.enqueue(views, streams[run % 2]);
  EXPECT_EQ(session.graph_statistics().captures, 2U);
  EXPECT_EQ(session.graph_statistics().replays, 98U);
  Calls::clear();
  session.enqueue(views, streams[1]);
  EXPECT_THAT(Calls::of({"replayed"}), ElementsAre(HasSubstr("(100 SMs)")));
}

TEST_F(Graphs, TheDevicesSynchronizationWaitsForReplaysInPartitions) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  warm(stream);
  session.enqueue(views, stream);
  EXPECT_TRUE(penstock_recording_device_waits_for(stream.view().handle()));
  EXPECT_THAT(Calls::of({"cuMemset"}), SizeIs(1));
  EXPECT_EQ(session.graph_statistics().fills, 2U);

  SessionOptions options;
  options.graphs.seen_by_device_sync = false;
  Session unseen(model, options);
  for (int run = 0; run < 3; ++run) unseen.enqueue(views, stream);
  EXPECT_FALSE(penstock_recording_device_waits_for(stream.view().handle()));
  EXPECT_EQ(unseen.graph_statistics().fills, 0U);
}

TEST_F(Graphs, OnADefaultStreamRunsAreFencedAsOthers) {
  session.run(views);
  session.run(views);
  Calls::clear();
  session.run(views);
  EXPECT_TRUE(session.last_run().replayed);
  EXPECT_THAT(
      Calls::of({"cuGraphLaunch", "cuStreamWaitEvent", "cuEventRecord"}),
      ElementsAre(StartsWith("cuEventRecord"), StartsWith("cuStreamWaitEvent"), StartsWith("cuGraphLaunch"),
                  StartsWith("cuEventRecord"), StartsWith("cuStreamWaitEvent")));
}

TEST_F(Graphs, OffIsCallByCall) {
  Session off(model, with(GraphMode::Off));
  const Stream stream = Stream::create();
  for (int run = 0; run < 3; ++run) off.enqueue(views, stream);
  EXPECT_EQ(off.last_run().reason, "graphs are off");
  EXPECT_THAT(Calls::of({"cuGraph", "cuStreamBeginCapture"}), IsEmpty());
}

TEST_F(Graphs, PrepareCapturesAheadOfTheLoop) {
  const Stream stream = Stream::create();
  session.prepare({.shapes = {}, .stream = stream.view()});
  Calls::clear();
  session.enqueue(views, stream);
  EXPECT_TRUE(session.last_run().replayed);
  EXPECT_THAT(Calls::of({"cuStreamBeginCapture", "cuMemAlloc"}), IsEmpty());
}

TEST_F(Graphs, WhatReadsTheHostIsNeverCaptured) {
  for (const auto& [package, reason] : {std::pair("item", "item"), std::pair("host_input", "host memory")}) {
    SCOPED_TRACE(package);
    const Model reading = load(package);
    std::vector<Tensor> given = inputs_of(package);
    if (package == std::string_view("host_input")) given[1] = recorded(package, "inputs", kGpuPackages)[1];
    const Stream stream = Stream::create();
    Session automatic(reading);
    Calls::clear();
    for (int run = 0; run < 3; ++run) automatic.enqueue(views_of(given), stream);
    EXPECT_THAT(Calls::of({"cuStreamBeginCapture", "cuGraph"}), IsEmpty());
    EXPECT_THAT(automatic.last_run().reason, HasSubstr(reason));
    Session strict(reading, with(GraphMode::Require));
    const Error error = error_of([&] { strict.enqueue(views_of(given), stream); });
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_THAT(error.what(), HasSubstr(reason));
  }
}

/// The stand-in for cuBLASLt puts host functions on the stream, whose parameters nobody can see.
TEST_F(Graphs, UnknownAddressesAreReplayedOnlyWhereTheyLie) {
  const Model products = load("mlp");
  Session fixed(products);
  const Stream stream = Stream::create();
  std::vector<std::vector<Tensor>> given;
  for (int i = 0; i < 6; ++i) given.push_back(inputs_of("mlp"));
  fixed.enqueue(views_of(given[0]), stream);
  for (int i = 0; i < 4; ++i) {
    for (int run = 0; run < 3; ++run) fixed.enqueue(views_of(given[static_cast<std::size_t>(i)]), stream);
    EXPECT_TRUE(fixed.last_run().replayed) << i;
    EXPECT_EQ(fixed.graph_statistics().captures, static_cast<std::uint64_t>(i) + 1);
  }
  EXPECT_THAT(fixed.graph_statistics().fixed, HasSubstr("does not tell the parameters"));
  fixed.enqueue(views_of(given[4]), stream);
  EXPECT_FALSE(fixed.last_run().replayed);
  EXPECT_THAT(fixed.last_run().reason, HasSubstr("ever other addresses"));
  EXPECT_EQ(fixed.graph_statistics().captures, 4U);
}

TEST_F(Graphs, AreDroppedBeyondTheBound) {
  const Model products = load("mlp");
  SessionOptions options;
  options.graphs.most = 2;
  Session session_of_few(products, options);
  const Stream stream = Stream::create();
  std::vector<Tensor> given;
  for (const std::int64_t rows : {2, 3, 4, 5}) {
    const Tensor host = ramp({rows, 64});
    given.push_back(copy_to_device(host.view(), {DeviceType::Cuda, 0}));
  }
  for (int run = 0; run < 3; ++run)
    for (const Tensor& each : given) session_of_few.enqueue(views_of({each}), stream);
  EXPECT_EQ(session_of_few.graph_statistics().captures, 0U);
  for (const Tensor& each : given)
    for (int run = 0; run < 3; ++run) session_of_few.enqueue(views_of({each}), stream);
  EXPECT_EQ(session_of_few.graph_statistics().captures, 4U);
  EXPECT_EQ(session_of_few.graph_statistics().held, 2U);
  EXPECT_EQ(session_of_few.graph_statistics().dropped, 2U);
  EXPECT_EQ(alive().graph_execs, 2U);
}

TEST_F(Graphs, OfOldWeightsAreDropped) {
  Model changing = load("folded");
  Session of_changing(changing);
  const std::vector<Tensor> given = inputs_of("folded");
  const Stream stream = Stream::create();
  for (int update = 0; update < 3; ++update) {
    for (int run = 0; run < 3; ++run) of_changing.enqueue(views_of(given), stream);
    EXPECT_TRUE(of_changing.last_run().replayed) << of_changing.last_run().reason;
    EXPECT_EQ(of_changing.graph_statistics().held, 1U);
    EXPECT_EQ(of_changing.graph_statistics().captures, static_cast<std::uint64_t>(update) + 1);
    const ConstantInfo& constant = changing.constants().front();
    const Tensor weight = changing.weight(constant.name);
    const std::array<NamedWeight, 1> one{NamedWeight{.name = constant.name, .view = weight.view()}};
    changing.update_weights(one);
  }
}

TEST_F(Graphs, MemoryIsFlatAndReleaseDropsAll) {
  const Stream stream = Stream::create();
  const recording::Alive before = alive();
  warm(stream);
  for (int run = 0; run < 100; ++run) session.enqueue(views, stream);
  const recording::Alive held = alive();
  for (int run = 0; run < 1000; ++run) session.enqueue(views, stream);
  EXPECT_EQ(alive(), held);
  session.release_memory();
  EXPECT_EQ(alive().graph_execs, 0U);
  EXPECT_EQ(alive().graphs, 0U);
  EXPECT_EQ(alive().device_bytes, before.device_bytes);
  session.enqueue(views, stream);
}

TEST_F(Graphs, GoOnAfterTheSessionIsGone) {
  const Stream stream = Stream::create();
  std::vector<Tensor> outputs;
  {
    Session gone(model);
    for (int run = 0; run < 3; ++run) outputs = gone.enqueue(views, stream);
  }
  EXPECT_EQ(alive().graph_execs, 0U);
  EXPECT_EQ(outputs[0].view().device(), (Device{DeviceType::Cuda, 0}));
}

TEST_F(Graphs, AFailedCaptureLeavesTheSessionAndTheStreamUsable) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  penstock_recording_fail({.function = "cuStreamEndCapture"});
  session.enqueue(views, stream);
  EXPECT_FALSE(session.last_run().replayed);
  EXPECT_THAT(session.last_run().reason, HasSubstr("cuStreamEndCapture"));
  session.enqueue(views, stream);
  EXPECT_TRUE(stream.view().is_done());

  Session strict(model, with(GraphMode::Require));
  strict.enqueue(views, stream);
  penstock_recording_fail({.function = "cuGraphInstantiateWithFlags"});
  EXPECT_THAT(error_of([&] { strict.enqueue(views, stream); }).what(), HasSubstr("cuGraphInstantiate"));
  EXPECT_EQ(alive().graphs, 0U);
}

TEST_F(Graphs, ARefusedAddressEndsReplaysAndNotRuns) {
  const Stream stream = Stream::create();
  warm(stream);
  // The driver does not take the new addresses: such runs are made call by call, and in the end no more
  // tried.
  penstock_recording_fail({.function = "cuGraphExecKernelNodeSetParams", .every = true});
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(session.graph_statistics().held, i < 3 ? 1U : 0U);
    session.enqueue(views_of(others), stream);
    EXPECT_FALSE(session.last_run().replayed);
    EXPECT_THAT(session.last_run().reason, HasSubstr("cuGraphExecKernelNodeSetParams"));
    ASSERT_FALSE(launches.empty());
    EXPECT_EQ(launches.back()[0], others[0].view().data());
  }

  penstock_recording_clear_faults();
  Session strict(model, with(GraphMode::Require));
  for (int i = 0; i < 2; ++i) strict.enqueue(views, stream);
  penstock_recording_fail({.function = "cuGraphExecKernelNodeSetParams"});
  EXPECT_EQ(error_of([&] { strict.enqueue(views_of(others), stream); }).code(), ErrorCode::Unsupported);
  // Once is an accident.
  strict.enqueue(views_of(others), stream);
  EXPECT_TRUE(strict.last_run().replayed);
  EXPECT_EQ(launches.back()[0], others[0].view().data());
}

TEST_F(Graphs, ACaptureIsTriedAgainWhereMemoryWasShort) {
  const Stream stream = Stream::create();
  session.enqueue(views, stream);
  penstock_recording_fail({.function = "cuGraphInstantiateWithFlags", .result = cuda::kOutOfMemory});
  session.enqueue(views, stream);
  EXPECT_FALSE(session.last_run().replayed);
  EXPECT_THAT(session.last_run().reason, HasSubstr("out of memory"));
  session.enqueue(views, stream);
  EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
}

TEST_F(Graphs, CapturesOfOtherThreadsGoOn) {
  const Stream captured = Stream::create();
  auto* const handle = static_cast<cuda::StreamHandle>(captured.view().handle());
  ASSERT_EQ(cuStreamBeginCapture_v2(handle, cuda::kCaptureThreadLocal), cuda::kSuccess);
  std::thread([&] {
    const Stream stream = Stream::create();
    Session other(model);
    for (int run = 0; run < 3; ++run) other.enqueue(views, stream);
    EXPECT_TRUE(other.last_run().replayed) << other.last_run().reason;
  }).join();
  cuda::GraphHandle graph = nullptr;
  EXPECT_EQ(cuStreamEndCapture(handle, &graph), cuda::kSuccess);
  EXPECT_EQ(cuGraphDestroy(graph), cuda::kSuccess);
}

TEST_F(Graphs, AnAuditIsNotReplayed) {
  const Stream stream = Stream::create();
  warm(stream);
  const Audit audit = session.audit(views, stream);
  EXPECT_TRUE(audit.stayed());
  EXPECT_EQ(session.last_run().reason, "an audit");
}

}  // namespace
}  // namespace penstock::testing
