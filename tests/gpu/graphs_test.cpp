#include "gpu.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

namespace penstock::testing {
namespace {

using ::testing::HasSubstr;

/// Floats that differ with every call; what is not floats stays, since it may be indices.
std::vector<Tensor> varied(const std::vector<Tensor>& tensors, std::mt19937& engine) {
  std::vector<Tensor> made;
  for (const Tensor& tensor : tensors) {
    const Tensor host = copy_to_host(tensor.view());
    if (host.view().dtype() == DType::Float32) {
      auto* const values = static_cast<float*>(host.view().data());
      const std::size_t count = host.view().storage_bytes() / sizeof(float);
      std::uniform_real_distribution<float> numbers(-1, 1);
      for (std::size_t i = 0; i < count; ++i) values[i] = numbers(engine);
    }
    made.push_back(copy_to_device(host.view(), kGpu));
  }
  return made;
}

class EveryGraph : public ::testing::TestWithParam<const char*> {
 protected:
  std::string name = GetParam();
};

TEST_P(EveryGraph, AnswersAsTheRunsThatAreNotReplayed) {
  const Model model = load_on_gpu(name);
  Session eager(model, {.graphs = {.mode = GraphMode::Off}});
  Session session(model);
  const Stream stream = Stream::create();
  const std::vector<Tensor> recorded_inputs = inputs_of(name);
  session.prepare({.shapes = {}, .stream = stream.view()});
  std::mt19937 engine(7);
  std::vector<std::vector<Tensor>> kept;
  // It counts runs in a buffer of the model, which both sessions have: InPlacePackage looks at that.
  const int runs = name == "inplace" ? 0 : 12;
  for (int run = 0; run < runs; ++run) {
    const std::vector<Tensor> inputs = varied(recorded_inputs, engine);
    const std::vector<Tensor> others = copies_of(inputs);
    const std::vector<Tensor> expected = eager.enqueue(views_of(others), stream);
    const std::vector<Tensor> given = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    expect_same(on_host(given), on_host(expected));
    // What the model changes in place too.
    expect_same(on_host(inputs), on_host(others));
    if (run % 3 == 0) kept.push_back(given);
  }
  const GraphStatistics statistics = session.graph_statistics();
  EXPECT_GE(statistics.captures, 1U);
  if (statistics.fixed.empty()) {
    EXPECT_GE(statistics.replays, static_cast<unsigned>(runs));
  } else {
    std::cout << name << ": " << statistics.fixed << "\n";
  }
  for (const auto& each : statistics.eager)
    std::cout << name << ": " << each.runs << " " << each.reason << "\n";
}

TEST_P(EveryGraph, StaysInThePartitionThatItWasCapturedIn) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const Stream occupied = partition.create_stream();
  Session session(load_on_gpu(name));
  const std::vector<Tensor> inputs = inputs_of(name);
  session.enqueue(views_of(inputs), stream);
  session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  // Once with the same addresses, once with others, once on another stream of the partition.
  const Stream another = partition.create_stream();
  const std::vector<Tensor> moved = copies_of(inputs);
  for (int way = 0; way < 3; ++way) {
    const StreamView chosen = way == 2 ? another.view() : stream.view();
    Held held(occupied, 2 * partition.sm_count());
    held.wait_until_running();
    const std::vector<Tensor> outputs = session.enqueue(views_of(way == 1 ? moved : inputs), chosen);
    EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_FALSE(chosen.is_done());
    held.let_go();
    chosen.synchronize();
    if (name != "inplace") expect_recorded(name, outputs);
  }
}

INSTANTIATE_TEST_SUITE_P(Sm90, EveryGraph, ::testing::ValuesIn(kCapturedPackages),
                         [](const auto& tested) { return std::string(tested.param); });

class NoGraph : public ::testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(NoGraph, IsRunCallByCallAndSaysWhy) {
  const auto& [name, reason] = GetParam();
  const Model model = load_on_gpu(name);
  Session session(model);
  const std::vector<Tensor> inputs = inputs_of(name);
  for (int run = 0; run < 3; ++run) {
    const std::vector<Tensor> outputs = session.run(views_of(inputs));
    if (std::string_view(name) != "random") expect_recorded(name, outputs);
  }
  EXPECT_FALSE(session.last_run().replayed);
  EXPECT_THAT(session.last_run().reason, HasSubstr(reason));
  EXPECT_EQ(session.graph_statistics().replays, 0U);
  Session strict(model, {.graphs = {.mode = GraphMode::Require}});
  EXPECT_THAT(error_of([&] { strict.run(views_of(inputs)); }).what(), HasSubstr(reason));
}

INSTANTIATE_TEST_SUITE_P(Sm90, NoGraph,
                         ::testing::Values(std::pair("item", "item"), std::pair("selection", "masked_select"),
                                           std::pair("random", "randint"),
                                           std::pair("host_input", "host memory")),
                         [](const auto& tested) { return std::string(tested.param.first); });

TEST(Graphs, TakeRandomSizesAndAddresses) {
  const Model model = load_on_gpu("mlp");
  Session eager(model, {.graphs = {.mode = GraphMode::Off}});
  Session session(model, {.graphs = {.most = 6}});
  const Stream stream = Stream::create();
  std::mt19937 engine(11);
  std::vector<Tensor> memory;
  for (int i = 0; i < 8; ++i) memory.push_back(varied(inputs_of("mlp"), engine)[0]);
  const std::size_t rows_there = sizes_of(memory[0].view())[0];
  for (int run = 0; run < 3000; ++run) {
    const auto rows = static_cast<std::int64_t>(1 + engine() % rows_there);
    const std::size_t first = engine() % (rows_there - static_cast<std::size_t>(rows) + 1);
    auto* const from = static_cast<float*>(memory[engine() % memory.size()].view().data()) + first * 64;
    const TensorView view(from, DType::Float32, {rows, 64}, kGpu);
    const std::vector<Tensor> given = session.enqueue({&view, 1}, stream);
    const std::vector<Tensor> expected = eager.enqueue({&view, 1}, stream);
    stream.view().synchronize();
    ASSERT_EQ(numbers(on_host(given)[0].view()), numbers(on_host(expected)[0].view())) << run;
  }
  const GraphStatistics statistics = session.graph_statistics();
  EXPECT_GT(statistics.replays, 1000U);
  EXPECT_GT(statistics.patched_nodes, 500U);
  EXPECT_GT(statistics.dropped, 0U);
}

/// Inputs that lie anywhere, less aligned than at the capture too, or at the same place as another.
TEST(Graphs, TakeSeveralInputsEachAtAnyAddress) {
  for (const char* package : {"add", "matmuls", "attention"}) {
    const Model model = load_on_gpu(package);
    Session eager(model, {.graphs = {.mode = GraphMode::Off}});
    Session session(model);
    const Stream stream = Stream::create();
    std::mt19937 engine(7);
    const std::vector<Tensor> inputs = inputs_of(package);
    constexpr std::size_t kPlaces = 64;
    std::size_t most = 0;
    for (const Tensor& input : inputs) most = std::max(most, static_cast<std::size_t>(input.numel()));
    const std::size_t part = most + kPlaces;
    const auto floats_there = static_cast<std::int64_t>(part * inputs.size());
    const Tensor memory = varied({copy_to_device(ramp({floats_there}, 0).view(), kGpu)}, engine)[0];
    auto* const floats = static_cast<float*>(memory.view().data());
    for (int run = 0; run < 1000; ++run) {
      std::vector<TensorView> views;
      for (std::size_t i = 0; i < inputs.size(); ++i) {
        // Mostly aligned to 16 bytes, and apart from the others: who shares memory is part of a graph's key.
        const std::size_t place = engine() % (kPlaces / 4) * 4 + (engine() % 8 == 0 ? 1 : 0);
        const std::size_t begin = engine() % 16 == 0 ? 0 : i * part;
        views.emplace_back(floats + begin + place, DType::Float32, inputs[i].sizes(), kGpu);
      }
      const std::vector<Tensor> given = session.enqueue(views, stream);
      const std::vector<Tensor> expected = eager.enqueue(views, stream);
      stream.view().synchronize();
      // Another algorithm may be chosen for an input that is aligned less.
      expect_same(on_host(given), on_host(expected));
      ASSERT_FALSE(HasFailure()) << package << ", run " << run;
    }
    // How many there are depends on who shares memory, and on kernels that take inputs only where they lay.
    EXPECT_GT(session.graph_statistics().replays, 0U) << package;
  }
}

TEST(Graphs, OfTwoPartitionsAreCapturedOnce) {
  const std::vector<SmResource> parts = SmResource::of_device().split("50%,50%");
  const GreenContext left = GreenContext::create(parts[0]);
  const GreenContext right = GreenContext::create(parts[1]);
  const Stream streams[] = {left.create_stream(), right.create_stream()};
  Session session(load_on_gpu("mlp"));
  const std::vector<Tensor> inputs = inputs_of("mlp");
  for (int run = 0; run < 10000; ++run) session.enqueue_borrowed(views_of(inputs), streams[run % 2]);
  for (const Stream& stream : streams) stream.view().synchronize();
  EXPECT_EQ(session.graph_statistics().captures, 2U);
  EXPECT_EQ(session.graph_statistics().replays, 9998U);
  EXPECT_EQ(session.stream_waits().stream_changes, 0U);
}

TEST(Graphs, MemoryStaysFlat) {
  Session session(load_on_gpu("mlp"));
  const Stream stream = Stream::create();
  const std::vector<Tensor> inputs = inputs_of("mlp");
  for (int run = 0; run < 100; ++run) session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  const std::size_t free = free_bytes();
  const std::uint64_t held = session.memory().held_bytes;
  for (int run = 0; run < 100000; ++run) {
    session.enqueue_borrowed(views_of(inputs), stream);
    if (run % 1000 == 0) stream.view().synchronize();
  }
  stream.view().synchronize();
  EXPECT_EQ(free_bytes(), free);
  EXPECT_EQ(session.memory().held_bytes, held);
  EXPECT_EQ(session.graph_statistics().captures, 1U);
}

TEST(Graphs, UseNewWeightsFromTheNextRunOn) {
  Model model = load_on_gpu("mlp");
  Session session(model);
  const std::vector<Tensor> inputs = inputs_of("mlp");
  for (int update = 1; update <= 5; ++update) {
    const Tensor weight = Tensor::empty(DType::Float32, {10, 32});
    std::memset(weight.view().data(), 0, weight.view().storage_bytes());
    const Tensor bias = ramp({10}, static_cast<float>(update));
    const std::array given{NamedWeight{.name = "2.weight", .view = weight.view()},
                           NamedWeight{.name = "2.bias", .view = bias.view()}};
    model.update_weights(given);
    for (int run = 0; run < 4; ++run) {
      const std::vector<double> answer = numbers(on_host(session.run(views_of(inputs)))[0].view());
      for (std::size_t i = 0; i < answer.size(); ++i)
        ASSERT_EQ(answer[i], update + static_cast<double>(i % 10)) << run;
    }
    EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  }
  EXPECT_EQ(session.graph_statistics().captures, 5U);
  EXPECT_EQ(session.graph_statistics().held, 1U);
}

/// The wait that all of CUDA's users know must wait for replays too.
TEST(Graphs, AreWaitedForByTheDevicesSynchronization) {
  const InPrimary context;
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  Session session(load_on_gpu("gpt"));
  const std::vector<Tensor> inputs = inputs_of("gpt");
  for (int run = 0; run < 3; ++run) session.enqueue_borrowed(views_of(inputs), stream);
  stream.view().synchronize();
  for (int round = 0; round < 20; ++round) {
    for (int run = 0; run < 50; ++run) session.enqueue_borrowed(views_of(inputs), stream);
    EXPECT_EQ(driver().synchronize(), cuda::kSuccess);
    EXPECT_TRUE(stream.view().is_done()) << round;
  }
  EXPECT_TRUE(session.last_run().replayed);
}

}  // namespace
}  // namespace penstock::testing
