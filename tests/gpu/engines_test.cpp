#include "gpu.hpp"

#include <penstock/tensorrt.hpp>

#include <algorithm>
#include <array>
#include <iterator>
#include <set>

// TensorRT engines, run by doubles of TensorRT whose kernels are real ones: results, streams, partitions,
// graphs.
namespace penstock::testing {
namespace {

using ::testing::IsEmpty;

std::shared_ptr<TensorRTEngine> engine_of(const Model& model) {
  return object_cast<TensorRTEngine>(model.custom_objects().at("_torchbind_obj0"));
}

class EnginesOnGpu : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Of, EnginesOnGpu, ::testing::Values("10", "11", "rtx"),
                         [](const auto& numbering) { return numbering.param; });

TEST_P(EnginesOnGpu, AnswerCallByCallAndReplayed) {
  for (const char* package : {"alone", "pipeline", "cache", "sized", "shaped"}) {
    const Model model = load_on_gpu(package, GetParam());
    Session session(model);
    const Stream stream = Stream::create();
    for (int times = 0; times < 4; ++times) {
      const std::vector<Tensor> inputs = inputs_of(package);
      const auto outputs = session.enqueue(views_of(inputs), stream);
      stream.view().synchronize();
      SCOPED_TRACE(package + std::string(session.last_run().replayed ? " replayed" : " call by call"));
      expect_recorded(package, outputs);
    }
    const bool is_captured = std::string_view(package) != "sized" && std::string_view(package) != "shaped";
    EXPECT_EQ(session.last_run().replayed, is_captured) << package << ": " << session.last_run().reason;
  }
}

class EnginePartitions : public ::testing::Test {
 protected:
  EnginePartitions() {
    for (const SmResource& part : SmResource::of_device().split("16,32"))
      partitions.push_back(GreenContext::create(part));
  }

  /// The SMs of all blocks of the engine `spread`: of its main stream and of its auxiliary ones.
  static std::set<unsigned> sms_of_run(const std::vector<Tensor>& outputs) {
    std::set<unsigned> sms;
    expect_recorded("spread", outputs);
    for (std::size_t i = 0; i < 3; ++i) {
      const Tensor host = copy_to_host(outputs[i].view());
      for (const double sm : numbers(host.view())) sms.insert(static_cast<unsigned>(sm));
    }
    return sms;
  }

  static void expect_within(const std::set<unsigned>& sms, const std::set<unsigned>& allowed,
                            const std::string& what) {
    std::vector<unsigned> outside;
    std::set_difference(sms.begin(), sms.end(), allowed.begin(), allowed.end(), std::back_inserter(outside));
    EXPECT_THAT(outside, IsEmpty()) << what;
    // Of a partition whose every SM has room for a block, nearly all are used.
    EXPECT_GT(sms.size(), allowed.size() / 2) << what;
  }

  std::vector<GreenContext> partitions;
  Model model = load_on_gpu("spread");
  Session session{model};
  std::vector<Tensor> inputs = inputs_of("spread");
};

TEST_F(EnginePartitions, HoldMainAndAuxiliaryWorkCallByCallAndReplayed) {
  for (int times = 0; times < 3; ++times) {
    for (const GreenContext& partition : partitions) {
      const Stream stream = partition.create_stream();
      const auto outputs = session.enqueue(views_of(inputs), stream);
      stream.view().synchronize();
      expect_within(sms_of_run(outputs), sms_of(stream),
                    session.last_run().replayed ? "replayed" : "call by call");
    }
  }
  EXPECT_TRUE(session.last_run().replayed);
  EXPECT_EQ(session.graph_statistics().captures, 2U);
}

TEST_F(EnginePartitions, HoldWorkOfADefaultStream) {
  const std::set<unsigned> allowed = [&] {
    const Stream stream = partitions[0].create_stream();
    return sms_of(stream);
  }();
  const Current current(partitions[0].context_handle());
  const auto outputs = session.enqueue(views_of(inputs), StreamView::legacy_default());
  StreamView::legacy_default().synchronize();
  expect_within(sms_of_run(outputs), allowed, "a default stream");
}

TEST_F(EnginePartitions, AreThoseOfTheEnginesOwnStream) {
  const Stream stream = partitions[0].create_stream();
  const Stream own = partitions[1].create_stream();
  engine_of(model)->set_stream(own.view());
  for (int times = 0; times < 3; ++times) {
    const auto outputs = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    expect_within(sms_of_run(outputs), sms_of(own),
                  session.last_run().replayed ? "replayed" : "call by call");
  }
  EXPECT_TRUE(session.last_run().replayed);
}

TEST_F(EnginePartitions, HoldAPlanWithoutAPackage) {
  constexpr std::string_view kPlan = R"(penstock-double
{"aux_streams": 1, "tensors": [
   {"name": "x", "mode": "input", "shape": [4]},
   {"name": "y", "mode": "output", "shape": [4]},
   {"name": "main", "mode": "output", "dtype": "int32", "shape": [512]},
   {"name": "aux", "mode": "output", "dtype": "int32", "shape": [512]}],
 "layers": [
   {"kind": "affine", "inputs": ["x"], "output": "y", "scale": 2, "bias": 1},
   {"kind": "smid", "inputs": ["x"], "output": "main", "spin_us": 20},
   {"kind": "smid", "inputs": ["x"], "output": "aux", "stream": 1, "spin_us": 20}]})";
  EngineOptions options;
  options.tensorrt = {double_path("11")};
  const Model plan = Model::load_engine(std::as_bytes(std::span(kPlan)), options);
  Session of_plan(plan);
  std::array<float, 4> values{1, 2, 3, 4};
  const std::array<std::int64_t, 1> sizes{4};
  std::vector<Tensor> kept;
  for (int times = 0; times < 3; ++times) {
    for (const GreenContext& partition : partitions) {
      const Stream stream = partition.create_stream();
      const Tensor& x =
          kept.emplace_back(copy_to_device(TensorView(values.data(), DType::Float32, sizes), plan.device()));
      const std::array<TensorView, 1> given{x.view()};
      const auto outputs = of_plan.enqueue(given, stream);
      stream.view().synchronize();
      EXPECT_EQ(numbers(copy_to_host(outputs[0].view()).view()), (std::vector<double>{3, 5, 7, 9}));
      std::set<unsigned> sms;
      for (const std::size_t output : {1U, 2U}) {
        const Tensor host = copy_to_host(outputs[output].view());
        for (const double sm : numbers(host.view())) sms.insert(static_cast<unsigned>(sm));
      }
      expect_within(sms, sms_of(stream), of_plan.last_run().replayed ? "replayed" : "call by call");
    }
  }
  EXPECT_TRUE(of_plan.last_run().replayed) << of_plan.last_run().reason;
  EXPECT_EQ(of_plan.graph_statistics().captures, 2U);
}

TEST_F(EnginePartitions, AreAllOfTheGpuForAnOrdinaryStream) {
  const Stream stream = Stream::create();
  const auto outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  // What is within a partition above is not so by accident.
  EXPECT_GT(sms_of_run(outputs).size(), 64U);
}

TEST_F(EnginePartitions, InTurnCaptureTwice) {
  const Stream first = partitions[0].create_stream();
  const Stream second = partitions[1].create_stream();
  constexpr int kTimes = 10'000;
  for (int times = 0; times < kTimes; ++times) {
    session.enqueue_borrowed(views_of(inputs), times % 2 == 0 ? first : second);
  }
  first.view().synchronize();
  second.view().synchronize();
  EXPECT_EQ(session.graph_statistics().captures, 2U);
  EXPECT_EQ(session.graph_statistics().replays, kTimes - 2U);
}

TEST(EngineRuns, ReturnWhileTheStreamIsBlocked) {
  const Model model = load_on_gpu("alone");
  Session session(model);
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = inputs_of("alone");
  for (int times = 0; times < 3; ++times) {
    session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    Held held(stream, 1);
    held.wait_until_running();
    const auto outputs = session.enqueue(views_of(inputs), stream);
    EXPECT_FALSE(stream.view().is_done());
    held.let_go();
    stream.view().synchronize();
    expect_recorded("alone", outputs);
  }
}

TEST(EngineRuns, OfAStreamOfTheEnginesOwnAreOrderedWithTheSession) {
  const Model model = load_on_gpu("alone");
  // A replay is not on that stream.
  Session session(model, {.graphs = {.mode = GraphMode::Off}});
  const Stream stream = Stream::create();
  const Stream own = Stream::create();
  engine_of(model)->set_stream(own.view());
  const std::vector<Tensor> inputs = inputs_of("alone");
  const auto run_while_held = [&](StreamView blocked, StreamView waits) {
    Held held(blocked, 1);
    held.wait_until_running();
    const auto outputs = session.enqueue(views_of(inputs), stream);
    EXPECT_FALSE(waits.is_done());
    held.let_go();
    stream.view().synchronize();
    EXPECT_TRUE(own.view().is_done());
    expect_recorded("alone", outputs);
  };
  for (int times = 0; times < 3; ++times) {
    run_while_held(stream, own);
    run_while_held(own, stream);
  }
}

TEST(EngineRuns, LeaveNoMemoryBehind) {
  const std::vector<Tensor> inputs = inputs_of("streamed");
  std::vector<std::size_t> free;
  for (int times = 0; times < 6; ++times) {
    const Model model = load_on_gpu("streamed");
    int communicator = 0;
    object_cast<TensorRTEngine>(model.custom_objects().at("_torchbind_obj1"))
        ->set_communicator(&communicator);
    Session session(model);
    const Stream stream = Stream::create();
    for (const std::int64_t budget : {1 << 17, 1 << 18, 1 << 19}) {
      engine_of(model)->set_weight_budget(budget);
      for (int runs = 0; runs < 3; ++runs) session.enqueue(views_of(inputs), stream);
    }
    stream.view().synchronize();
    free.push_back(free_bytes());
  }
  EXPECT_EQ(free[2], free[5]);
}

}  // namespace
}  // namespace penstock::testing
