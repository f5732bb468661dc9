#include <penstock/penstock.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <span>
#include <thread>
#include <vector>

namespace penstock {
namespace {

constexpr int kSessions = 3;

Tensor filled(std::initializer_list<std::int64_t> sizes, float value) {
  Tensor tensor = Tensor::empty(DType::Float32, sizes);
  for (float& element : std::span(tensor.data_as<float>(), static_cast<std::size_t>(tensor.numel())))
    element = value;
  return tensor;
}

/// Weights with which `mlp` answers 32 * value + value: one of two versions would give another number.
std::vector<NamedWeight> version(float value) {
  std::vector<NamedWeight> weights;
  const auto add = [&](const char* name, Tensor tensor) {
    auto owner = std::make_shared<const Tensor>(std::move(tensor));
    const TensorView view = owner->view();
    weights.push_back({.name = name, .view = view, .owner = std::move(owner)});
  };
  add("0.weight", filled({32, 64}, 0));
  add("0.bias", filled({32}, 100));  // gelu(100) is 100
  add("2.weight", filled({10, 32}, value / 100));
  add("2.bias", filled({10}, value));
  return weights;
}

Model load_mlp() { return Model::load(Package::open(PENSTOCK_TEST_PACKAGES "/torch-2.15/mlp.pt2")); }

/// Runs sessions until `done`, and counts answers that are of no one version.
class Runners {
 public:
  Runners(const Model& model, float most) {
    for (int i = 0; i < kSessions; ++i) threads_.emplace_back([this, model, most] { run(model, most); });
    while (runs_.load() < kSessions) std::this_thread::yield();
  }
  ~Runners() {
    done_.store(true);
    for (std::thread& thread : threads_) thread.join();
    EXPECT_EQ(wrong_.load(), 0);
    EXPECT_GE(runs_.load(), kSessions);
  }
  Runners(const Runners&) = delete;
  Runners& operator=(const Runners&) = delete;

 private:
  void run(const Model& model, float most) {
    const Tensor input = filled({8, 64}, 0);
    const TensorView view = input.view();
    Session session(model);
    while (!done_.load()) {
      const TensorView output = session.run_borrowed({&view, 1})[0];
      const float first = output.data_as<float>()[0];
      const float value = first / 33;
      const float nearest = static_cast<float>(static_cast<int>(value + 0.5F));
      bool right = nearest >= 1 && nearest <= most && value - nearest < 1e-3F && nearest - value < 1e-3F;
      for (std::int64_t i = 0; i < output.numel(); ++i) right = right && output.data_as<float>()[i] == first;
      if (!right) wrong_.fetch_add(1);
      runs_.fetch_add(1);
    }
  }

  std::atomic<bool> done_{false};
  std::atomic<int> wrong_{0};
  std::atomic<int> runs_{0};
  std::vector<std::thread> threads_;
};

TEST(WeightSwaps, UnderLoadGiveEveryRunOneVersion) {
  Model model = load_mlp();
  model.update_weights(version(1));
  const Runners runners(model, 7);
  for (int swap = 0; swap < 100; ++swap) model.update_weights(version(static_cast<float>(1 + swap % 7)));
}

TEST(WeightSwaps, OfSeveralThreadsTakeTurns) {
  Model model = load_mlp();
  model.update_weights(version(1));
  const Runners runners(model, 5);
  std::vector<std::thread> updaters;
  for (int updater = 0; updater < 2; ++updater) {
    updaters.emplace_back([&model, updater] {
      for (int swap = 0; swap < 40; ++swap)
        model.update_weights(version(static_cast<float>(1 + (swap + updater) % 5)));
    });
  }
  for (std::thread& thread : updaters) thread.join();
}

TEST(WeightSwaps, ThatAreRefusedDisturbNoRun) {
  Model model = load_mlp();
  model.update_weights(version(2));
  const Runners runners(model, 2);
  std::vector<NamedWeight> bad = version(3);
  bad.push_back({.name = "none", .view = bad[0].view});
  for (int swap = 0; swap < 100; ++swap) EXPECT_THROW(model.update_weights(bad), Error);
}

TEST(WeightSwaps, MeetSessionsThatComeAndGo) {
  Model model = load_mlp();
  model.update_weights(version(1));
  std::atomic<bool> done{false};
  std::thread comer([&] {
    const Tensor input = filled({8, 64}, 0);
    const TensorView view = input.view();
    while (!done.load()) {
      Session session(model);
      EXPECT_EQ(session.run({&view, 1}).size(), 1U);
    }
  });
  for (int swap = 0; swap < 100; ++swap) model.update_weights(version(static_cast<float>(1 + swap % 3)));
  done.store(true);
  comer.join();
}

TEST(WeightSwaps, LeaveNothingOfOldVersions) {
  Model model = load_mlp();
  std::vector<std::weak_ptr<const void>> memory;
  model.update_weights(version(1));
  {
    const Runners runners(model, 3);
    for (int swap = 0; swap < 50; ++swap) {
      std::vector<NamedWeight> weights = version(static_cast<float>(1 + swap % 3));
      for (const NamedWeight& weight : weights) memory.emplace_back(weight.owner);
      model.update_weights(weights);
    }
  }
  for (std::size_t i = 0; i + 4 < memory.size(); ++i) EXPECT_TRUE(memory[i].expired()) << i;
}

}  // namespace
}  // namespace penstock
