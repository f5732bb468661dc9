#include "gpu.hpp"

#include <atomic>
#include <chrono>
#include <map>
#include <thread>

// Where the blocks of a run go that are not ours to ask for their SM: those of packages and of libraries.
namespace penstock::testing {
namespace {

/// A kernel of these packages that could run would be done by then.
constexpr std::chrono::milliseconds kLongEnough{10};

class EveryPackageInItsPartition : public ::testing::TestWithParam<const char*> {
 protected:
  /// Plans are made, memory is taken, kernels of libraries are loaded: a run makes them where they are
  /// missing.
  void warm() {
    session.enqueue(views_of(inputs_of(name)), stream);
    stream.view().synchronize();
  }

  /// In place, a second run on the same inputs would answer otherwise.
  void expect_right(const std::vector<Tensor>& outputs) const {
    if (name != "inplace") expect_recorded(name, outputs);
  }

  std::string name = GetParam();
  std::vector<SmResource> parts = SmResource::of_device().split("32,rest");
  GreenContext partition = GreenContext::create(parts[0]);
  Stream stream = partition.create_stream();
  Model model = load_on_gpu(name);
  Session session{model, {.graphs = {.mode = GraphMode::Off}}};
};

TEST_P(EveryPackageInItsPartition, WaitsWhileItsSmsAreTakenThoughAllOthersAreFree) {
  warm();
  const Stream occupied = partition.create_stream();
  const std::vector<Tensor> inputs = inputs_of(name);
  std::vector<Tensor> outputs;
  std::atomic<bool> done = false;
  Held held(occupied, 2 * partition.sm_count());
  held.wait_until_running();
  // Some read a number on the host in the middle of a run, and wait for it there.
  std::thread run([&] {
    outputs = session.enqueue(views_of(inputs), stream);
    stream.view().synchronize();
    done = true;
  });
  std::this_thread::sleep_for(2 * kLongEnough);
  EXPECT_FALSE(done);
  held.let_go();
  run.join();
  expect_right(outputs);
}

/// No other block fits on an SM that is held, and there is none but those and the partition's: every block of
/// the run has run on the partition's SMs.
TEST_P(EveryPackageInItsPartition, RunsWhileEverySmOutsideItIsTaken) {
  warm();
  const std::set<unsigned> inside = sms_of(stream);
  const GreenContext outside = GreenContext::create(parts[1]);
  const Stream occupied = outside.create_stream();
  const std::vector<Tensor> inputs = inputs_of(name);
  Held held(occupied, 2 * outside.sm_count());
  held.wait_until_running();
  std::map<unsigned, int> taken;
  for (const unsigned sm : held.sms()) ++taken[sm];
  EXPECT_EQ(taken.size() + inside.size(), SmResource::of_device().sm_count());
  for (const auto& [sm, blocks] : taken) {
    EXPECT_EQ(blocks, 2) << "SM " << sm;
    EXPECT_FALSE(inside.contains(sm)) << "SM " << sm;
  }
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  EXPECT_FALSE(occupied.view().is_done());
  held.let_go();
  expect_right(outputs);
}

/// The same of a captured run, where the package can be captured: its kernels are those of the graph.
TEST_P(EveryPackageInItsPartition, IsReplayedWhileEverySmOutsideItIsTaken) {
  Session replaying(model);
  const std::vector<Tensor> inputs = inputs_of(name);
  for (int i = 0; i < 3; ++i) replaying.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  const bool replayed = replaying.last_run().replayed;
  const GreenContext outside = GreenContext::create(parts[1]);
  const Stream occupied = outside.create_stream();
  Held held(occupied, 2 * outside.sm_count());
  held.wait_until_running();
  const std::vector<Tensor> outputs = replaying.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  EXPECT_FALSE(occupied.view().is_done());
  held.let_go();
  EXPECT_EQ(replaying.last_run().replayed, replayed);
  expect_right(outputs);
}

INSTANTIATE_TEST_SUITE_P(Sm90, EveryPackageInItsPartition, ::testing::ValuesIn(kEveryPackage),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace penstock::testing
