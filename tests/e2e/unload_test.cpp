#include "support.hpp"

#include <condition_variable>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>

namespace penstock::testing {
namespace {

void load_and_run(const Package& package, const std::vector<Tensor>& inputs) {
  Session session(Model::load(package));
  session.run(views_of(inputs));
}

TEST(Unload, LeavesNothingAfterManyLoads) {
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  EXPECT_EQ(growth_of([&] { load_and_run(open_package("mlp"), inputs); }, 200), "");
}

TEST(Unload, LeavesNothingOfLibrariesOfEveryTorch) {
  for (const char* torch : {"2.9", "2.11", "2.13"}) {
    SCOPED_TRACE(torch);
    const std::vector<Tensor> inputs = recorded("shared", "inputs", torch);
    EXPECT_EQ(growth_of([&] { load_and_run(open_package("shared", torch), inputs); }, 100), "");
  }
}

TEST(Unload, LeavesNothingOfTwoPackagesInEitherOrder) {
  const Package mlp = open_package("mlp");
  const Package older = open_package("mlp", "2.9");
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  const std::vector<TensorView> views = views_of(inputs);
  const std::vector<Tensor> older_inputs = recorded("mlp", "inputs", "2.9");
  const std::vector<TensorView> older_views = views_of(older_inputs);
  bool first_goes_first = false;
  const auto load_both = [&] {
    first_goes_first = !first_goes_first;
    std::optional<Session> first(Model::load(mlp));
    std::optional<Session> second(Model::load(older));
    first->run(views);
    second->run(older_views);
    std::optional<Session>& goes = first_goes_first ? first : second;
    goes.reset();
    if (first) {
      expect_same(first->run(views), recorded("mlp", "outputs"));
    } else {
      expect_same(second->run(older_views), recorded("mlp", "outputs", "2.9"));
    }
  };
  EXPECT_EQ(growth_of(load_both, 100), "");
}

TEST(Unload, LeavesNothingOfLoadsOnSeveralThreads) {
  const Package package = open_package("mlp");
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  const auto on_threads = [&] {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int time = 0; time < 5; ++time) load_and_run(package, inputs);
      });
    }
    for (std::thread& thread : threads) thread.join();
  };
  EXPECT_EQ(growth_of(on_threads, 10), "");
}

/// A thread that does one piece of work after another until it is told to end.
class Worker {
 public:
  Worker() : thread_([this] { loop(); }) {}
  ~Worker() {
    work({});
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Does the work on the thread and returns when it is done.
  void run(const std::function<void()>& wanted) {
    std::promise<void> done;
    work([&] {
      wanted();
      done.set_value();
    });
    done.get_future().get();
  }

 private:
  void work(std::function<void()> wanted) {
    const std::lock_guard lock(mutex_);
    next_ = std::move(wanted);
    waiting_ = true;
    changed_.notify_one();
  }

  void loop() {
    for (;;) {
      std::function<void()> wanted;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return waiting_; });
        waiting_ = false;
        wanted = std::move(next_);
      }
      if (!wanted) return;
      wanted();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool waiting_ = false;
  std::function<void()> next_;
  std::thread thread_;
};

TEST(Unload, LeavesNothingWhileAThreadThatRanTheModelLivesOn) {
  // A failed run leaves the library's last error in a thread-local object of the library.
  const Package package = open_package("fails");
  const std::vector<Tensor> good = recorded("fails", "inputs");
  const std::vector<Tensor> bad = recorded("fails.bad", "inputs");
  Worker worker;
  const auto run_on_both = [&] {
    Session session(Model::load(package));
    worker.run([&] {
      session.run(views_of(good));
      EXPECT_THROW(session.run(views_of(bad)), Error);
    });
    EXPECT_THROW(session.run(views_of(bad)), Error);
  };
  EXPECT_EQ(growth_of(run_on_both, 100), "");
}

TEST(Unload, MayHappenOnAThreadThatNeverRanTheModel) {
  const std::vector<Tensor> bad = recorded("fails.bad", "inputs");
  const Holdings before = Holdings::now();
  std::optional<Session> session(load_model("fails"));
  Worker worker;
  worker.run([&] { EXPECT_THROW(session->run(views_of(bad)), Error); });
  std::thread([&] { session.reset(); }).join();
  EXPECT_EQ(Holdings::now().library_mappings, before.library_mappings);
}

TEST(Unload, LeavesNothingAfterFailedRuns) {
  const Package package = open_package("fails");
  const std::vector<Tensor> bad = recorded("fails.bad", "inputs");
  const auto fail = [&] { EXPECT_THROW(Session(Model::load(package)).run(views_of(bad)), Error); };
  EXPECT_EQ(growth_of(fail, 100), "");
}

TEST(Unload, LeavesNothingAfterRefusedAndCancelledLoads) {
  const Package missing = open_package("unsupported_ops");
  const Package package = open_package("add");
  LoadOptions options;
  options.progress = [](const LoadProgress& progress) { return progress.stage != "inputs"; };
  const auto refuse_and_cancel = [&] {
    EXPECT_THROW(Model::load(missing), Error);
    EXPECT_THROW(Model::load(package, options), Error);
  };
  EXPECT_EQ(growth_of(refuse_and_cancel, 100), "");
}

TEST(Unload, HappensWithTheLastThatNeedsTheModel) {
  const Holdings before = Holdings::now();
  std::optional<Model> model = load_model("mlp");
  std::optional<Model> copy = *model;
  std::optional<Session> session(*model);
  model.reset();
  copy.reset();
  EXPECT_GT(Holdings::now().library_mappings, before.library_mappings);
  expect_same(session->run(views_of(recorded("mlp", "inputs"))), recorded("mlp", "outputs"));
  session.reset();
  EXPECT_EQ(Holdings::now().library_mappings, before.library_mappings);
}

TEST(Load, DoesNotMakeStacksExecutable) {
  const Model model = load_model("mlp");
  Session session(model);
  session.run(views_of(recorded("mlp", "inputs")));
  std::ifstream maps("/proc/self/maps");
  bool seen = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("[stack]") == std::string::npos) continue;
    seen = true;
    EXPECT_NE(line.find(" rw-p "), std::string::npos) << line;
  }
  EXPECT_TRUE(seen);
}

}  // namespace
}  // namespace penstock::testing
