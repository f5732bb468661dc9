#include "on_double.hpp"

#include <penstock/partition.hpp>

// Which streams the work of engines goes to, and what waits.
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

class EngineStreams : public OnDouble11 {
 protected:
  EngineStreams() {
    const std::vector<SmResource> parts = SmResource::of_device().split("32,64");
    for (const SmResource& part : parts) partitions.push_back(GreenContext::create(part));
  }
  std::vector<GreenContext> partitions;
};

TEST_F(EngineStreams, AreTheCallersAndNothingWaits) {
  const Model model = load_engines("alone");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  session.enqueue(views_of(inputs), stream);
  Calls::clear();
  double_.clear();
  penstock_recording_hold(stream.view().handle());
  session.enqueue(views_of(inputs), stream);
  EXPECT_THAT(double_.calls("enqueueV3"), ElementsAre(HasSubstr("stream " + address_text(stream))));
  EXPECT_THAT(
      Calls::of({"cuStreamWaitEvent", "cuStreamSynchronize", "cuEventSynchronize", "cuCtxSynchronize"}),
      IsEmpty());
  // The one event is that of the lane, at the end of each run.
  EXPECT_THAT(Calls::of({"cuEventRecord"}), SizeIs(1));
  expect_all_on(stream, Calls::work());
  penstock_recording_let_go(stream.view().handle());
}

TEST_F(EngineStreams, AreOfThePartitionForADefaultStreamToo) {
  const Model model = load_engines("alone");
  Session session(model, call_by_call());
  const std::vector<Tensor> inputs = engine_inputs("alone");
  const Current current(partitions[0].context_handle());
  Calls::clear();
  session.enqueue(views_of(inputs), StreamView::legacy_default());
  EXPECT_THAT(double_.calls("enqueueV3"), ElementsAre(Not(HasSubstr("stream 0x1 "))));
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), AllOf(SizeIs(2), Each(HasSubstr("(32 SMs)"))));
  // A fence before and one behind, of the session; the engine adds none.
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), SizeIs(2));
}

TEST_F(EngineStreams, OfAuxiliaryWorkAreOfThePartition) {
  const Model model = load_engines("spread");
  Session session(model, call_by_call());
  const std::vector<Tensor> inputs = engine_inputs("spread");
  for (const GreenContext& partition : partitions) {
    const Stream stream = partition.create_stream();
    Calls::clear();
    double_.clear();
    session.enqueue(views_of(inputs), stream);
    EXPECT_THAT(double_.calls("enqueueV3"), ElementsAre(Not(HasSubstr("own"))));
    const std::string sms = "(" + std::to_string(partition.sm_count()) + " SMs)";
    EXPECT_THAT(Calls::of({"cuLaunchKernel"}), AllOf(SizeIs(4), Each(HasSubstr(sms))));
    stream.view().synchronize();
  }
  // Two for each partition, made once.
  const Stream again = partitions[0].create_stream();
  Calls::clear();
  double_.clear();
  session.enqueue(views_of(inputs), again);
  EXPECT_THAT(Calls::of({"cuGreenCtxStreamCreate"}), IsEmpty());
  EXPECT_THAT(double_.calls("setAuxStreams"), IsEmpty());
  EXPECT_THAT(double_.calls("createExecutionContext"), IsEmpty());
}

TEST_F(EngineStreams, OfAuxiliaryWorkStayForAnAuditOfTheProcess) {
  const Model model = load_engines("spread");
  Session session(model, call_by_call());
  const std::vector<Tensor> inputs = engine_inputs("spread");
  const Stream stream = partitions[0].create_stream();
  session.enqueue(views_of(inputs), stream);
  const Audit audit = session.audit(views_of(inputs), stream, {.level = AuditLevel::Process});
  std::size_t kernels = 0;
  for (const AuditEntry& entry : audit.entries) {
    if (entry.level != AuditLevel::Process || entry.kind != AuditEntry::Kind::Kernel) continue;
    ++kernels;
    EXPECT_TRUE(entry.of_run);
    EXPECT_TRUE(entry.in_place) << entry.name;
    EXPECT_EQ(entry.sm_count, 32U) << entry.name;
  }
  EXPECT_EQ(kernels, 4U);
  EXPECT_TRUE(audit.stayed());
}

TEST_F(EngineStreams, OfItsOwnForkAndJoinByEvents) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  Session session(model, call_by_call());
  const Stream stream = partitions[0].create_stream();
  const Stream own = partitions[1].create_stream();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  session.enqueue(views_of(inputs), stream);
  engine->set_stream(own.view());
  EXPECT_EQ(engine->stream(), own.view());
  session.enqueue(views_of(inputs), stream);
  Calls::clear();
  double_.clear();
  penstock_recording_hold(stream.view().handle());
  const auto outputs = session.enqueue(views_of(inputs), stream);
  EXPECT_THAT(double_.calls("enqueueV3"), ElementsAre(HasSubstr("stream " + address_text(own))));
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), AllOf(SizeIs(2), Each(HasSubstr("(64 SMs)"))));
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), SizeIs(2));
  EXPECT_FALSE(own.view().is_done()) << "it waits for the session's stream";
  penstock_recording_let_go(stream.view().handle());
  stream.view().synchronize();
  EXPECT_TRUE(own.view().is_done()) << "the session's stream waits for it";
  expect_answer("alone", outputs);

  engine->set_stream(stream.view());
  session.enqueue(views_of(inputs), stream);
  Calls::clear();
  session.enqueue(views_of(inputs), stream);
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), IsEmpty()) << "both are the same";
  engine->set_stream(std::nullopt);
  EXPECT_EQ(engine->stream(), std::nullopt);
}

TEST_F(EngineStreams, OfItsOwnNeedNoOtherContexts) {
  const Model model = load_engines("spread");
  const auto engine = engine_of(model);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const Stream own = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("spread");
  for (const bool forks : {false, true, false}) {
    engine->set_stream(forks ? std::optional(own.view()) : std::nullopt);
    session.enqueue(views_of(inputs), stream);
  }
  stream.view().synchronize();
  EXPECT_THAT(double_.calls("createExecutionContext"), SizeIs(1));
  EXPECT_THAT(double_.calls("setAuxStreams"), SizeIs(3)) << "those of the stream's partition each time";
}

TEST_F(EngineStreams, OfItsOwnAreKeptUntilTheNextRunWithAnother) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  const auto set_one_of_its_own = [&] {
    auto owned = std::make_shared<const Stream>(Stream::create());
    engine->set_stream(*owned, owned);
    EXPECT_EQ(engine->stream_owner(), owned);
    return std::weak_ptr(owned);
  };
  const auto first = set_one_of_its_own();
  session.enqueue(views_of(inputs), stream);
  const auto second = set_one_of_its_own();
  stream.view().synchronize();
  EXPECT_FALSE(first.expired()) << "a run of another thread may be about to use it";
  const auto outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  EXPECT_TRUE(first.expired());
  engine->set_stream(std::nullopt);
  EXPECT_EQ(engine->stream_owner(), nullptr);
  EXPECT_FALSE(second.expired());
  session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  EXPECT_TRUE(second.expired());
  expect_answer("alone", outputs);
}

TEST_F(EngineStreams, OfItsOwnAreOthersThoughTheHandleComesAgain) {
  const Model model = load_engines("spread");
  const auto engine = engine_of(model);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("spread");
  std::optional<Stream> own = partitions[0].create_stream();
  const void* const handle = own->view().handle();
  engine->set_stream(own->view());
  session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  own.reset();
  std::vector<Stream> others;
  do {
    others.push_back(partitions[1].create_stream());
  } while (others.back().view().handle() != handle && others.size() < 1000);
  ASSERT_EQ(others.back().view().handle(), handle) << "the stand-in gives no handle a second time";
  engine->set_stream(others.back().view());
  Calls::clear();
  const auto outputs = session.enqueue(views_of(inputs), stream);
  EXPECT_THAT(Calls::of({"cuLaunchKernel"}), AllOf(SizeIs(4), Each(HasSubstr("(64 SMs)"))));
  stream.view().synchronize();
  expect_answer("spread", outputs, 3);
}

TEST_F(EngineStreams, OfItsOwnAreJoinedAlsoWhereTheEngineFails) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const Stream own = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  engine->set_stream(own.view());
  session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  penstock_recording_hold(own.view().handle());
  double_.fail("enqueueV3 late");
  error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_FALSE(stream.view().is_done()) << "what was enqueued may use the run's memory";
  penstock_recording_let_go(own.view().handle());
  double_.clear();
  const auto outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  expect_answer("alone", outputs);
}

TEST_F(EngineStreams, OfAuxiliaryWorkAreJoinedWhereTheEngineFailsBeforeItDoes) {
  const Model model = load_engines("spread");
  Session session(model, call_by_call());
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = engine_inputs("spread");
  session.enqueue(views_of(inputs), stream);
  Calls::clear();
  session.enqueue(views_of(inputs), stream);
  const std::size_t waits = Calls::of({"cuStreamWaitEvent"}).size();
  EXPECT_GE(waits, 4U) << "a fork and a join of each of two";
  Calls::clear();
  double_.fail("enqueueV3 midway");
  error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_THAT(Calls::of({"cuStreamWaitEvent"}), SizeIs(waits))
      << "the run's memory is used again behind them";
  double_.clear();
  const auto outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  expect_answer("spread", outputs, 3);
}

TEST_F(EngineStreams, ThatCannotBeItsOwnAreRefused) {
  const Model model = load_engines("alone");
  const auto engine = engine_of(model);
  const Primary primary;
  const Current current(primary.handle());
  EXPECT_EQ(error_of([&] { engine->set_stream(StreamView::legacy_default()); }).code(),
            ErrorCode::InvalidArgument);
  EXPECT_EQ(engine->stream(), std::nullopt);
}

TEST_F(EngineStreams, HaveAContextForEachSessionAndPartition) {
  const Model model = load_engines("alone");
  Session one(model, call_by_call());
  Session two(model, call_by_call());
  const Stream first = partitions[0].create_stream();
  const Stream second = partitions[1].create_stream();
  const std::vector<Tensor> inputs = engine_inputs("alone");
  for (int run = 0; run < 3; ++run) {
    one.enqueue(views_of(inputs), first);
    one.enqueue(views_of(inputs), second);
    two.enqueue(views_of(inputs), first);
  }
  EXPECT_EQ(double_.alive().contexts, 3U);
  EXPECT_EQ(double_.alive().engines, 1U);
}

}  // namespace
}  // namespace penstock::testing
