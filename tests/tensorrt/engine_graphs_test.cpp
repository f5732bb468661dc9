#include "entries.hpp"
#include "on_double.hpp"

#include <penstock/partition.hpp>

#include <array>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <utility>

// Engines within captured runs, and their settings.
namespace penstock::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class EngineGraphs : public OnDouble11 {
 protected:
  /// Of inputs at other addresses each time, which are kept: outputs may be in their memory.
  std::vector<Tensor> run(Session& session, std::string_view package, StreamView stream) {
    const std::vector<Tensor>& inputs = kept.emplace_back(engine_inputs(package));
    auto outputs = session.enqueue(views_of(inputs), stream);
    stream.synchronize();
    return outputs;
  }
  void expect_replayed(Session& session, std::string_view package, StreamView stream) {
    // Which SMs it was is not known beforehand.
    expect_answer(package, run(session, package, stream), package == "spread" ? 3 : 0);
    EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  }
  std::list<std::vector<Tensor>> kept;
};

TEST_F(EngineGraphs, AreCapturedWithTheSession) {
  for (const char* package : {"alone", "spread", "cache"}) {
    const Model model = load_engines(package);
    Session session(model);
    const Stream stream = Stream::create();
    run(session, package, stream);
    double_.clear();
    for (int times = 0; times < 3; ++times) expect_replayed(session, package, stream);
    EXPECT_EQ(session.graph_statistics().captures, 1U) << package;
    // Twice within the capture, and in no replay.
    EXPECT_THAT(double_.calls("enqueueV3"), SizeIs(2)) << package;
  }
}

TEST_F(EngineGraphs, OfTwoPartitionsAreTwoHoweverOftenTheyTakeTurns) {
  const std::vector<SmResource> parts = SmResource::of_device().split("32,64");
  const GreenContext first = GreenContext::create(parts[0]);
  const GreenContext second = GreenContext::create(parts[1]);
  const Model model = load_engines("alone");
  Session session(model);
  for (int times = 0; times < 20; ++times) {
    for (const GreenContext* partition : {&first, &second}) {
      // A new stream each time.
      const Stream stream = partition->create_stream();
      run(session, "alone", stream);
    }
  }
  EXPECT_EQ(session.graph_statistics().captures, 2U);
  EXPECT_EQ(session.graph_statistics().replays, 38U);
  EXPECT_EQ(double_.alive().contexts, 2U);
}

TEST_F(EngineGraphs, OfOtherShapesAreOthersAndKeepTheirContexts) {
  const Model model = load_engines("pipeline");
  Session session(model);
  const Stream stream = Stream::create();
  const Tensor weight = on_device({4, 4}, std::vector<float>(16, 1));
  std::map<std::int64_t, Tensor> of_size;
  const auto of_rows = [&](std::int64_t rows) {
    // Where the products of the recording driver leave no addresses to change.
    Tensor& x = of_size[rows];
    if (!x.defined()) x = on_device({rows, 4}, std::vector<float>(static_cast<std::size_t>(rows * 4), 1));
    const std::array<TensorView, 2> inputs{x.view(), weight.view()};
    session.enqueue(inputs, stream);
    stream.view().synchronize();
    return session.last_run().replayed;
  };
  for (const std::int64_t rows : {3, 12, 5}) of_rows(rows);
  for (const std::int64_t rows : {3, 12, 5, 3, 12, 5})
    EXPECT_TRUE(of_rows(rows)) << session.last_run().reason;
  EXPECT_EQ(session.graph_statistics().captures, 3U) << session.graph_statistics().fixed;
  // Of each engine one for each of the shapes, none of which is changed once a graph has it.
  EXPECT_THAT(double_.calls("createExecutionContext"), SizeIs(6));
}

TEST_F(EngineGraphs, AreCapturedAnewForOtherSettings) {
  const Model model = load_engines("streamed");
  const auto engine = engine_of(model, 0);
  const auto collective = engine_of(model, 1);
  Session session(model);
  const Stream stream = Stream::create();
  std::uint64_t captures = 0;
  int first_communicator = 0;
  int communicator = 0;
  collective->set_communicator(&first_communicator);
  const std::vector<std::function<void()>> changes{
      [] {},
      [&] { engine->set_profile(0); },
      [&] { engine->set_weight_budget(1 << 18); },
      [&] { engine->set_reused_outputs(true); },
      [&] { collective->set_communicator(&communicator); },
      [&] { engine->set_stream(stream.view()); },
  };
  for (const auto& change : changes) {
    change();
    run(session, "streamed", stream);
    expect_replayed(session, "streamed", stream);
    EXPECT_EQ(session.graph_statistics().captures, ++captures);
  }
  EXPECT_EQ(engine->profile(), 0);
  EXPECT_EQ(engine->weight_budget(), 1 << 18);
  EXPECT_TRUE(engine->reused_outputs());
  EXPECT_EQ(collective->communicator(), &communicator);
  EXPECT_THAT(double_.calls("setCommunicator"), Not(IsEmpty()));
}

TEST_F(EngineGraphs, WaitForWhatTheHostNeeds) {
  const std::map<std::string, std::string> reasons{{"sized", "outputs whose sizes the data decide"},
                                                   {"shaped", "the values of a shape"}};
  for (const auto& [package, reason] : reasons) {
    const Model model = load_engines(package);
    Session session(model);
    const Stream stream = Stream::create();
    for (int times = 0; times < 3; ++times) {
      expect_answer(package, run(session, package, stream));
      EXPECT_FALSE(session.last_run().replayed);
    }
    EXPECT_EQ(session.last_run().reason, "tensorrt::execute_engine with " + reason + " needs the host");
    EXPECT_EQ(session.graph_statistics().captures, 0U);
  }
}

TEST_F(EngineGraphs, WithAStreamOfTheEngineDoNotCaptureThatStream) {
  const std::vector<SmResource> parts = SmResource::of_device().split("32,64");
  const GreenContext first = GreenContext::create(parts[0]);
  const GreenContext second = GreenContext::create(parts[1]);
  const Model model = load_engines("alone");
  const Stream stream = first.create_stream();
  const Stream own = second.create_stream();
  engine_of(model)->set_stream(own.view());
  Session session(model);
  run(session, "alone", stream);
  Calls::clear();
  double_.clear();
  expect_replayed(session, "alone", stream);
  EXPECT_THAT(double_.calls("enqueueV3"), AllOf(SizeIs(2), Each(Not(HasSubstr(address_text(own))))));
}

TEST_F(EngineGraphs, AreRecordedIntoACallersCapture) {
  std::optional<Model> model = load_engines("alone");
  std::optional<Session> session(std::in_place, *model);
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  session->enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  auto* const handle = static_cast<cuda::StreamHandle>(stream.view().handle());
  ASSERT_EQ(cuStreamBeginCapture_v2(handle, cuda::kCaptureThreadLocal), cuda::kSuccess);
  auto outputs = session->enqueue(views_of(inputs), stream);
  cuda::GraphHandle graph = nullptr;
  ASSERT_EQ(cuStreamEndCapture(handle, &graph), cuda::kSuccess);
  // The graph holds what it uses.
  session.reset();
  model.reset();
  EXPECT_EQ(double_.alive().contexts, 1U);
  cuda::GraphExecHandle exec = nullptr;
  ASSERT_EQ(cuGraphInstantiateWithFlags(&exec, graph, 0), cuda::kSuccess);
  ASSERT_EQ(cuGraphLaunch(exec, handle), cuda::kSuccess);
  stream.view().synchronize();
  expect_answer("alone", outputs);
  cuGraphExecDestroy(exec);
  cuGraphDestroy(graph);
  outputs.clear();
  // What is put by goes with the next session that does.
  const Session last(load_engines("alone"));
}

class EngineSettings : public EngineGraphs {};

TEST_F(EngineSettings, OfWeightBudgetsBuildTheEngineAnew) {
  const Model model = load_engines("streamed");
  const auto engine = engine_of(model);
  EXPECT_EQ(engine->streamable_weight_bytes(), 1 << 20);
  int communicator = 0;
  engine_of(model, 1)->set_communicator(&communicator);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  run(session, "streamed", stream);
  EXPECT_EQ(double_.alive().engines, 2U);
  const std::int64_t before = engine->weight_budget();
  EXPECT_EQ(before, 1 << 19) << "what the double holds right";
  for (const std::int64_t bad : {std::int64_t{1}, std::int64_t{-1}}) {
    const Error error = error_of([&] { engine->set_weight_budget(bad); });
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("engine streamed"), HasSubstr(std::to_string(bad))));
    EXPECT_EQ(engine->weight_budget(), before);
  }
  engine->set_weight_budget(1 << 17);
  EXPECT_EQ(double_.alive().engines, 3U) << "the session still has the old one";
  expect_answer("streamed", run(session, "streamed", stream));
  expect_answer("streamed", run(session, "streamed", stream));
  EXPECT_EQ(double_.alive().engines, 2U) << "it went when its last run was done";
  EXPECT_EQ(error_of([&] { engine_of(model, 1)->set_weight_budget(1); }).code(), ErrorCode::Unsupported);
}

TEST_F(EngineSettings, ThatBuildTheEngineAnewLeaveTheOldOneToRunsOnTheirWay) {
  const Model model = load_engines("streamed");
  const auto engine = engine_of(model);
  int communicator = 0;
  engine_of(model, 1)->set_communicator(&communicator);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("streamed");
  session.enqueue(views_of(inputs), stream);
  penstock_recording_hold(stream.view().handle());
  session.enqueue(views_of(inputs), stream);
  engine->set_weight_budget(1 << 17);
  for (int times = 0; times < 3; ++times) {
    session.enqueue(views_of(inputs), stream);
    EXPECT_EQ(double_.alive().engines, 3U) << "a run with the old one is on its way";
  }
  penstock_recording_let_go(stream.view().handle());
  stream.view().synchronize();
  session.enqueue(views_of(inputs), stream);
  EXPECT_EQ(double_.alive().engines, 2U);
  stream.view().synchronize();
}

TEST_F(EngineSettings, ThatBuildTheEngineAnewLetGoOfTheOldOneUnderGraphsToo) {
  const Model model = load_engines("streamed");
  const auto engine = engine_of(model);
  int communicator = 0;
  engine_of(model, 1)->set_communicator(&communicator);
  Session session(model);
  const Stream stream = Stream::create();
  for (int times = 0; times < 3; ++times) run(session, "streamed", stream);
  // Others may be capturing, which no building of an engine may end.
  const Stream captured = Stream::create();
  void* const handle = captured.view().handle();
  ASSERT_EQ(cuStreamBeginCapture_v2(static_cast<cuda::StreamHandle>(handle), cuda::kCaptureGlobal), 0);
  engine->set_weight_budget(1 << 17);
  cuda::GraphHandle graph = nullptr;
  ASSERT_EQ(cuStreamEndCapture(static_cast<cuda::StreamHandle>(handle), &graph), 0);
  ASSERT_EQ(cuGraphDestroy(graph), 0);
  for (int times = 0; times < 3; ++times) run(session, "streamed", stream);
  expect_replayed(session, "streamed", stream);
  EXPECT_EQ(double_.alive().engines, 2U);
}

TEST_F(EngineSettings, OfProfilingMeasureLayers) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  Session session(model);
  const Stream stream = Stream::create();
  run(session, "alone", stream);
  EXPECT_THAT(engine->layer_times(), IsEmpty());
  engine->set_profiling(true);
  EXPECT_TRUE(engine->profiling());
  for (int times = 0; times < 3; ++times) {
    expect_answer("alone", run(session, "alone", stream));
    EXPECT_FALSE(session.last_run().replayed);
    if (times > 0) {
      EXPECT_EQ(session.last_run().reason, "tensorrt::execute_engine with profiling needs the host");
    }
    const auto layers = engine->layer_times();
    ASSERT_THAT(layers, SizeIs(2));
    EXPECT_EQ(layers[0].layer, "affine z");
  }
  engine->set_profiling(false);
  run(session, "alone", stream);
  expect_replayed(session, "alone", stream);
}

TEST_F(EngineSettings, OfProfilesAreKeptTo) {
  const Model model = load_engines("pipeline");
  const auto engine = engine_of(model);
  engine->set_profile(1);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  // Three rows fit profile 0 only.
  const Error error = error_of([&] { run(session, "pipeline", stream); });
  EXPECT_EQ(error.code(), ErrorCode::Internal);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("engine first is given x [3, 4], y [3, 4]"),
                                  HasSubstr("profile 1 takes x [9, 4] to [16, 4]")));
  EXPECT_EQ(error_of([&] { engine->set_profile(2); }).code(), ErrorCode::InvalidArgument);
  engine->set_profile(std::nullopt);
  EXPECT_NO_THROW(run(session, "pipeline", stream));
}

TEST_F(EngineSettings, OfOutputAllocatorsGiveTheSame) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  engine->set_output_allocator(true);
  EXPECT_TRUE(engine->output_allocator());
  Session session(model);
  const Stream stream = Stream::create();
  for (int times = 0; times < 2; ++times) expect_answer("alone", run(session, "alone", stream));
  EXPECT_THAT(double_.calls("notifyShape"), SizeIs(4));
  engine->set_output_allocator(false);
  for (int times = 0; times < 2; ++times) expect_answer("alone", run(session, "alone", stream));
  EXPECT_THAT(double_.calls("notifyShape"), SizeIs(4));
  const Model cache = load_engines("cache");
  EXPECT_EQ(error_of([&] { engine_of(cache)->set_output_allocator(true); }).code(),
            ErrorCode::InvalidArgument);
}

TEST_F(EngineSettings, OfOutputAllocatorsThatFailedOnceDoNotFailWithoutOne) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  const Stream stream = Stream::create();
  int failures = 0;
  for (unsigned nth = 1; nth < 8; ++nth) {
    Session session(model, call_by_call());
    engine->set_output_allocator(true);
    for (unsigned also = 0; also < 2; ++also)
      penstock_recording_fail({.function = "cuMemAlloc", .nth = nth + also, .result = 2});
    try {
      run(session, "alone", stream);
    } catch (const Error&) {
      ++failures;
    }
    penstock_recording_clear_faults();
    engine->set_output_allocator(false);
    expect_answer("alone", run(session, "alone", stream));
  }
  EXPECT_GE(failures, 3);
}

TEST_F(EngineSettings, OfReusedOutputsWriteIntoTheSameMemory) {
  const Model model = load_engines("alone");
  engine_of(model)->set_reused_outputs(true);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const auto first = run(session, "alone", stream);
  const auto second = run(session, "alone", stream);
  expect_answer("alone", second);
  EXPECT_EQ(first[0].view().data(), second[0].view().data());
}

TEST_F(EngineSettings, OfCommunicatorsAreForPlansWithCollectives) {
  const Model model = load_engines("streamed");
  int communicator = 0;
  const Error error = error_of([&] { engine_of(model, 0)->set_communicator(&communicator); });
  EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  EXPECT_THAT(error.what(), HasSubstr("no collectives"));
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  EXPECT_THAT(error_of([&] { run(session, "streamed", stream); }).what(), HasSubstr("engine collective"));
  engine_of(model, 1)->set_communicator(&communicator);
  expect_answer("streamed", run(session, "streamed", stream));
}

}  // namespace
}  // namespace penstock::testing
