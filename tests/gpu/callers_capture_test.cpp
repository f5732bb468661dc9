#include "gpu.hpp"

#include <array>
#include <chrono>
#include <cstring>
#include <optional>
#include <random>
#include <thread>

// Runs that are recorded into graphs which the caller captures.
namespace penstock::testing {
namespace {

using ::testing::HasSubstr;

cuda::StreamHandle handle(StreamView stream) { return static_cast<cuda::StreamHandle>(stream.handle()); }

/// A graph that was captured as a caller does it, ready to be launched.
class CallersGraph {
 public:
  template <class Work>
  CallersGraph(StreamView stream, Work&& work, cuda::CaptureMode mode = cuda::kCaptureGlobal) {
    EXPECT_EQ(driver().begin_capture(handle(stream), mode), cuda::kSuccess);
    work();
    EXPECT_EQ(driver().end_capture(handle(stream), &graph_), cuda::kSuccess);
    EXPECT_EQ(driver().graph_instantiate(&exec_, graph_, 0), cuda::kSuccess);
  }
  ~CallersGraph() {
    EXPECT_EQ(driver().graph_exec_destroy(exec_), cuda::kSuccess);
    EXPECT_EQ(driver().graph_destroy(graph_), cuda::kSuccess);
  }
  CallersGraph(const CallersGraph&) = delete;
  CallersGraph& operator=(const CallersGraph&) = delete;

  void launch(StreamView stream) const {
    EXPECT_EQ(driver().graph_launch(exec_, handle(stream)), cuda::kSuccess);
  }

 private:
  cuda::GraphHandle graph_ = nullptr;
  cuda::GraphExecHandle exec_ = nullptr;
};

/// Other floats in the same memory; what is not floats stays, since it may be indices.
void vary(const std::vector<Tensor>& tensors, std::mt19937& engine) {
  std::uniform_real_distribution<float> numbers(-1, 1);
  for (const Tensor& tensor : tensors) {
    if (tensor.view().dtype() != DType::Float32) continue;
    const Tensor host = copy_to_host(tensor.view());
    const std::size_t bytes = host.view().storage_bytes();
    auto* const values = static_cast<float*>(host.view().data());
    for (std::size_t i = 0; i < bytes / sizeof(float); ++i) values[i] = numbers(engine);
    EXPECT_EQ(driver().copy_to(reinterpret_cast<cuda::DevicePointer>(tensor.view().data()), values, bytes),
              cuda::kSuccess);
  }
}

class CallersCapture : public ::testing::TestWithParam<const char*> {
 protected:
  std::string name = GetParam();
  InPrimary primary;
};

TEST_P(CallersCapture, AnswersAsTheRunsThatAreNotReplayed) {
  const Model model = load_on_gpu(name);
  Session eager(model, {.graphs = {.mode = GraphMode::Off}});
  Session session(model);
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = inputs_of(name);
  session.enqueue(views_of(inputs), stream);
  std::vector<Tensor> outputs;
  const CallersGraph graph(stream, [&] { outputs = session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(session.graph_statistics().recorded, 1U);
  std::mt19937 engine(7);
  // It counts runs in a buffer of the model, which both sessions have.
  const int runs = name == "inplace" ? 0 : 6;
  for (int run = 0; run < runs; ++run) {
    vary(inputs, engine);
    const std::vector<Tensor> others = copies_of(inputs);
    const std::vector<Tensor> expected = eager.enqueue(views_of(others), stream);
    // Runs of the session in between are nothing to the graph.
    if (run % 2 == 1) session.enqueue(views_of(copies_of(others)), stream);
    graph.launch(stream);
    stream.view().synchronize();
    expect_same(on_host(outputs), on_host(expected));
    expect_same(on_host(inputs), on_host(others));
  }
  graph.launch(stream);
  stream.view().synchronize();
}

TEST_P(CallersCapture, StaysInThePartitionThatItWasCapturedIn) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const Stream occupied = partition.create_stream();
  const Stream ordinary = Stream::create();
  Session session(load_on_gpu(name));
  const std::vector<Tensor> inputs = inputs_of(name);
  session.enqueue(views_of(inputs), stream);
  std::vector<Tensor> outputs;
  const CallersGraph graph(stream, [&] { outputs = session.enqueue(views_of(inputs), stream); });
  stream.view().synchronize();
  for (const StreamView chosen : {stream.view(), ordinary.view()}) {
    Held held(occupied, 2 * partition.sm_count());
    held.wait_until_running();
    graph.launch(chosen);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(chosen.is_done());
    held.let_go();
    chosen.synchronize();
  }
  if (name != "inplace") expect_recorded(name, outputs);
}

TEST_P(CallersCapture, RunsWhenSessionAndModelAreGone) {
  const Stream stream = Stream::create();
  std::optional<Session> session = Session(load_on_gpu(name));
  const std::vector<Tensor> inputs = inputs_of(name);
  session->enqueue(views_of(inputs), stream);
  std::vector<Tensor> outputs;
  const CallersGraph graph(stream, [&] { outputs = session->enqueue(views_of(inputs), stream); });
  stream.view().synchronize();
  session.reset();
  // What is free now is taken by others, and written to.
  Session other(load_on_gpu("mlp"));
  for (int run = 0; run < 3; ++run) static_cast<void>(other.run(views_of(inputs_of("mlp"))));
  for (int run = 0; run < 100; ++run) graph.launch(stream);
  stream.view().synchronize();
  if (name != "inplace" && name != "aliases") expect_recorded(name, outputs);
}

INSTANTIATE_TEST_SUITE_P(Sm90, CallersCapture, ::testing::ValuesIn(kCapturedPackages),
                         [](const auto& tested) { return std::string(tested.param); });

class CallersCaptureOfMlp : public ::testing::Test {
 protected:
  InPrimary primary;
  Model model = load_on_gpu("mlp");
  std::vector<Tensor> inputs = inputs_of("mlp");
  std::vector<TensorView> views = views_of(inputs);
  Stream stream = Stream::create();
};

TEST_F(CallersCaptureOfMlp, IsPreparedAheadInEveryMode) {
  for (const GraphMode mode : {GraphMode::Auto, GraphMode::Off, GraphMode::Require}) {
    for (const cuda::CaptureMode capture :
         {cuda::kCaptureGlobal, cuda::kCaptureThreadLocal, cuda::kCaptureRelaxed}) {
      Session session(model, {.graphs = {.mode = mode}});
      std::vector<std::vector<std::int64_t>> shapes;
      for (const Tensor& input : inputs)
        shapes.emplace_back(input.view().sizes().begin(), input.view().sizes().end());
      session.prepare({.shapes = shapes, .stream = stream.view()});
      std::vector<Tensor> outputs;
      const CallersGraph graph(
          stream, [&] { outputs = session.enqueue(views, stream); }, capture);
      graph.launch(stream);
      stream.view().synchronize();
      expect_recorded("mlp", outputs);
    }
  }
}

TEST_F(CallersCaptureOfMlp, BeforePrepareIsRefusedAndGoesOnAsItWas) {
  Session session(model);
  const CallersGraph graph(stream, [&] {
    EXPECT_THAT(error_of([&] { session.enqueue(views, stream); }).what(), HasSubstr("call Session::prepare"));
    EXPECT_TRUE(stream.view().is_capturing());
  });
  graph.launch(stream);
  stream.view().synchronize();
}

TEST_F(CallersCaptureOfMlp, UsesTheWeightsOfTheCapture) {
  Session session(model);
  session.enqueue(views, stream);
  std::vector<Tensor> outputs;
  const CallersGraph graph(stream, [&] { outputs = session.enqueue(views, stream); });
  const Tensor bias = ramp({10}, 100);
  for (int update = 0; update < 3; ++update) {
    model.update_weights(std::array{NamedWeight{.name = "2.bias", .view = bias.view()}});
    static_cast<void>(session.run(views));
  }
  graph.launch(stream);
  stream.view().synchronize();
  expect_recorded("mlp", outputs);
}

TEST_F(CallersCaptureOfMlp, ChainsSessionsInOneGraph) {
  Session first(model);
  Session second(load_on_gpu("add"));
  const std::vector<Tensor> pair = inputs_of("add");
  first.enqueue(views, stream);
  second.enqueue(views_of(pair), stream);
  std::vector<Tensor> answer;
  std::vector<Tensor> again;
  std::vector<Tensor> sum;
  const CallersGraph graph(stream, [&] {
    answer = first.enqueue(views, stream);
    sum = second.enqueue(views_of(pair), stream);
    again = first.enqueue(views, stream);
  });
  for (int run = 0; run < 10; ++run) graph.launch(stream);
  stream.view().synchronize();
  expect_recorded("mlp", answer);
  expect_recorded("mlp", again);
  expect_recorded("add", sum);
}

TEST_F(CallersCaptureOfMlp, GivesAllBackOnceTheGraphIsGone) {
  Session session(model);
  session.enqueue(views, stream);
  const auto record = [&] { const CallersGraph graph(stream, [&] { session.enqueue(views, stream); }); };
  for (int i = 0; i < 20; ++i) record();
  session.release_memory();
  const std::size_t before = free_bytes();
  session.enqueue(views, stream);
  for (int i = 0; i < 200; ++i) {
    record();
    if (i % 20 == 0) session.release_memory();
    session.enqueue(views, stream);
  }
  session.release_memory();
  EXPECT_GE(free_bytes() + (std::size_t{4} << 20), before);
}

TEST_F(CallersCaptureOfMlp, IsRefusedWhereTheHostReads) {
  Session session(load_on_gpu("item"));
  const std::vector<Tensor> given = inputs_of("item");
  session.enqueue(views_of(given), stream);
  const CallersGraph graph(stream, [&] {
    const Error error = error_of([&] { session.enqueue(views_of(given), stream); });
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_THAT(error.what(), HasSubstr("needs the host"));
  });
}

}  // namespace
}  // namespace penstock::testing
