#include "support.hpp"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace penstock::testing {
namespace {

/// Runs `work` on so many threads at once.
void on_threads(int count, const std::function<void(int)>& work) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ready.fetch_add(1);
      while (ready.load() < count) std::this_thread::yield();
      try {
        work(i);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "thread " << i << ": " << error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

bool same_bytes(const TensorView& a, const TensorView& b) {
  return sizes_of(a) == sizes_of(b) &&
         std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.numel()) * element_bytes(a.dtype())) == 0;
}

TEST(ParallelSessions, OfOneModelGiveExactlyWhatOneGives) {
  const Model model = load_model("mlp");
  constexpr int kThreads = 8;
  constexpr int kRuns = 200;
  std::vector<Tensor> inputs;
  std::vector<Tensor> expected;
  Session alone(model);
  for (int i = 0; i < kThreads; ++i) {
    inputs.push_back(ramp({i + 1, 64}, static_cast<float>(-10 * i)));
    for (std::int64_t k = 0; k < inputs.back().numel(); ++k) inputs.back().data_as<float>()[k] *= 0.01F;
    const TensorView view = inputs.back().view();
    expected.push_back(alone.run({&view, 1})[0]);
  }
  std::atomic<int> different{0};
  on_threads(kThreads, [&](int thread) {
    Session session(model);
    for (int run = 0; run < kRuns; ++run) {
      const auto which = static_cast<std::size_t>((thread + run) % kThreads);
      const TensorView view = inputs[which].view();
      const std::vector<Tensor> results = session.run({&view, 1});
      if (!same_bytes(results[0].view(), expected[which].view())) different.fetch_add(1);
    }
  });
  EXPECT_EQ(different.load(), 0);
}

TEST(ParallelSessions, OfOneModelFailAndAnswerSideBySide) {
  const Model model = load_model("fails");
  const std::vector<Tensor> good = recorded("fails", "inputs");
  const std::vector<Tensor> bad = recorded("fails.bad", "inputs");
  const std::vector<Tensor> expected = Session(model).run(views_of(good));
  std::atomic<int> wrong{0};
  on_threads(4, [&](int thread) {
    Session session(model);
    for (int run = 0; run < 100; ++run) {
      try {
        const std::vector<Tensor> results = session.run(views_of(thread % 2 == 0 ? good : bad));
        if (thread % 2 != 0 || !same_bytes(results[0].view(), expected[0].view())) wrong.fetch_add(1);
      } catch (const Error& error) {
        if (thread % 2 == 0 ||
            std::string_view(error.what()).find("index out of bounds") == std::string_view::npos) {
          wrong.fetch_add(1);
        }
      }
    }
  });
  EXPECT_EQ(wrong.load(), 0);
}

TEST(ParallelSessions, ShareReorderedWeights) {
  if (!has_onednn()) GTEST_SKIP() << "needs oneDNN";
  if (kThreadSanitized) GTEST_SKIP() << "needs a oneDNN that is built with the thread sanitizer";
  // All threads meet the weights for the first time at once.
  for (int round = 0; round < 5; ++round) {
    const Model model = load_model("conv");
    const std::vector<Tensor> inputs = recorded("conv", "inputs");
    const std::vector<Tensor> expected = recorded("conv", "outputs");
    on_threads(4, [&](int) {
      Session session(model);
      for (int run = 0; run < 5; ++run) expect_same(session.run(views_of(inputs)), expected);
    });
  }
}

TEST(ParallelSessions, OutputsMayBeReleasedOnAnotherThread) {
  const Model model = load_model("mlp");
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  std::vector<Tensor> results;
  {
    Session session(model);
    for (int run = 0; run < 20; ++run) results.push_back(session.run(views_of(inputs))[0]);
    std::vector<Tensor> half(results.begin() + 10, results.end());
    results.resize(10);
    std::thread([&, taken = std::move(half)]() mutable { taken.clear(); }).join();
    expect_same(session.run(views_of(inputs)), recorded("mlp", "outputs"));
  }
  std::thread([&] { results.clear(); }).join();
}

class CompiledThreads : public ::testing::TestWithParam<const char*> {};

TEST_P(CompiledThreads, AreAnUpperBoundOfTheSessions) {
  // As in a process that was told to use 8: read by the OpenMP runtime when it is first opened.
  ASSERT_EQ(::setenv("OMP_NUM_THREADS", "8", 1), 0);
  ASSERT_EQ(::setenv("OMP_DYNAMIC", "false", 1), 0);
  const Model model = load_model(GetParam());
  EXPECT_EQ(model.max_threads(), 2);
  const std::vector<Tensor> inputs = recorded(GetParam(), "inputs");
  for (const int wanted : {8, 2, 1}) {
    Session session(model, {.threads = wanted});
    EXPECT_EQ(session.threads(), std::min(wanted, 2));
    for (int run = 0; run < 20; ++run)
      expect_same(session.run(views_of(inputs)), recorded(GetParam(), "outputs"));
  }
  EXPECT_LE(Session(model).threads(), 2);
  EXPECT_GE(Session(model).threads(), 1);
}

TEST_P(CompiledThreads, RunInSessionsSideBySide) {
  const Model model = load_model(GetParam());
  const std::vector<Tensor> inputs = recorded(GetParam(), "inputs");
  const std::vector<Tensor> expected = recorded(GetParam(), "outputs");
  on_threads(3, [&](int) {
    Session session(model, {.threads = 8});
    for (int run = 0; run < 10; ++run) expect_same(session.run(views_of(inputs)), expected);
  });
}

INSTANTIATE_TEST_SUITE_P(Packages, CompiledThreads, ::testing::Values("threads2", "threads_all"),
                         [](const auto& given) { return std::string(given.param); });

TEST(CompiledThreads, AreOneForAPackageOfOneThread) {
  const Model model = load_model("mlp");
  EXPECT_EQ(model.max_threads(), 1);
  EXPECT_EQ(Session(model, {.threads = 8}).threads(), 1);
}

}  // namespace
}  // namespace penstock::testing
