#include "support.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>

namespace penstock::testing {
namespace {

Tensor filled(std::initializer_list<std::int64_t> sizes, float value) {
  Tensor tensor = Tensor::empty(DType::Float32, sizes);
  for (float& element : std::span(tensor.data_as<float>(), static_cast<std::size_t>(tensor.numel())))
    element = value;
  return tensor;
}

NamedWeight owned(std::string name, Tensor tensor) {
  auto owner = std::make_shared<const Tensor>(std::move(tensor));
  const TensorView view = owner->view();
  return {.name = std::move(name), .view = view, .owner = std::move(owner)};
}

/// `mlp` answers with its last bias where its last weight is zero.
std::vector<NamedWeight> constant_answer(float value) {
  return {owned("2.weight", filled({10, 32}, 0)), owned("2.bias", filled({10}, value))};
}

double answer(Session& session) {
  static const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  const std::vector<double> all = numbers(session.run(views_of(inputs))[0].view());
  for (const double value : all) EXPECT_EQ(value, all[0]);
  return all[0];
}

TEST(UpdateWeights, ReachesSessionsThatThereAreAndNewOnes) {
  Model model = load_model("mlp");
  Session before(model);
  before.prepare();
  model.update_weights(constant_answer(3));
  Session after(model);
  EXPECT_EQ(answer(before), 3);
  EXPECT_EQ(answer(after), 3);
  model.update_weights(constant_answer(4));
  EXPECT_EQ(answer(after), 4);
  EXPECT_EQ(answer(before), 4);
}

TEST(UpdateWeights, ReachesCopiesOfAModelAndNoOtherModel) {
  const Package package = open_package("mlp");
  Model model = Model::load(package);
  const Model other = Model::load(package);
  Session copy(Model{model});
  Session another(other);
  model.update_weights(constant_answer(5));
  EXPECT_EQ(answer(copy), 5);
  expect_same(another.run(views_of(recorded("mlp", "inputs"))), recorded("mlp", "outputs"));
}

TEST(UpdateWeights, KeepsWhatIsNotGiven) {
  Model model = load_model("mlp");
  const std::vector<double> kept = numbers(model.weight("0.weight").view());
  model.update_weights(constant_answer(1));
  model.update_weights(std::array{owned("2.bias", filled({10}, 7))});
  Session session(model);
  EXPECT_EQ(answer(session), 7);
  EXPECT_EQ(numbers(model.weight("0.weight").view()), kept);
  EXPECT_EQ(numbers(model.weight("2.weight").view()), std::vector<double>(320, 0));
}

TEST(UpdateWeights, InFullWantsEveryParameter) {
  Model model = load_model("mlp");
  expect_refused(ErrorCode::InvalidArgument, {"mlp.pt2", "0.weight", "0.bias"},
                 [&] { model.update_weights(constant_answer(1), {.scope = UpdateScope::Full}); });
  std::vector<NamedWeight> all = constant_answer(2);
  all.push_back(owned("0.weight", filled({32, 64}, 0)));
  all.push_back(owned("0.bias", filled({32}, 0)));
  model.update_weights(all, {.scope = UpdateScope::Full});
  Session session(model);
  EXPECT_EQ(answer(session), 2);
}

TEST(UpdateWeights, InFullMayLeaveOutBuffers) {
  Model model = load_model("folded");
  const std::vector<double> shift = numbers(model.weight("shift").view());
  model.update_weights(std::array{owned("scale", filled({4, 16}, 0))}, {.scope = UpdateScope::Full});
  EXPECT_EQ(numbers(model.weight("shift").view()), shift);
}

TEST(UpdateWeights, ThatIsRefusedLeavesTheModelAsItWas) {
  Model model = load_model("mlp");
  Session session(model);
  model.update_weights(constant_answer(6));
  const Tensor bias = filled({10}, 1);
  const Tensor longer = filled({11}, 1);
  const Tensor integers = Tensor::empty(DType::Int64, {10});
  const std::array<std::int64_t, 1> ten{10};
  const TensorView nowhere(nullptr, DType::Float32, ten);
  const TensorView elsewhere(bias.view().data(), DType::Float32, ten, Device{DeviceType::Cuda, 0});
  const auto refused = [&](const std::vector<std::string>& parts, std::vector<NamedWeight> weights) {
    // What comes first is right, and is not taken either.
    weights.insert(weights.begin(), owned("2.weight", filled({10, 32}, 1)));
    expect_refused(ErrorCode::InvalidArgument, parts, [&] { model.update_weights(weights); });
    EXPECT_EQ(answer(session), 6);
    Session other(model);
    EXPECT_EQ(answer(other), 6);
  };
  refused({"no weight 2.bia ", "2.bias"}, {{.name = "2.bia", .view = bias.view()}});
  refused({"2.bias", "twice"},
          {{.name = "2.bias", .view = bias.view()}, {.name = "2.bias", .view = bias.view()}});
  refused({"2.bias", "float32[10]", "float32[11]"}, {{.name = "2.bias", .view = longer.view()}});
  refused({"2.bias", "float32[10]", "int64[10]"}, {{.name = "2.bias", .view = integers.view()}});
  refused({"2.bias", "memory"}, {{.name = "2.bias", .view = nowhere}});
  refused({"2.bias", "cuda"}, {{.name = "2.bias", .view = elsewhere}});
}

TEST(UpdateWeights, TakesAnyStrides) {
  Model model = load_model("mlp");
  model.update_weights(constant_answer(0));
  // The transpose of a row-major [32, 10].
  const Tensor transposed = ramp({32, 10});
  const std::array<std::int64_t, 2> sizes{10, 32};
  const std::array<std::int64_t, 2> strides{1, 10};
  const TensorView view(transposed.view().data(), DType::Float32, sizes, strides, 0);
  model.update_weights(std::array{NamedWeight{.name = "2.weight", .view = view}});
  EXPECT_EQ(numbers(model.weight("2.weight").view()), numbers(view));
}

TEST(UpdateWeights, CopiesWhatHasNoOwner) {
  Model model = load_model("mlp");
  model.update_weights(constant_answer(3));
  Session session(model);
  {
    Tensor bias = filled({10}, 8);
    model.update_weights(std::array{NamedWeight{.name = "2.bias", .view = bias.view()}});
    std::ranges::fill(std::span(bias.data_as<float>(), 10), -1.0F);
  }
  EXPECT_EQ(answer(session), 8);
}

TEST(UpdateWeights, FoldsConstantsAnew) {
  Model model = load_model("folded");
  Session session(model);
  const std::vector<Tensor> inputs = recorded("folded", "inputs");
  expect_same(session.run(views_of(inputs)), recorded("folded", "outputs"));
  const Tensor scale = filled({4, 16}, std::log(0.5F));
  model.update_weights(std::array{NamedWeight{.name = "scale", .view = scale.view()}});
  const std::vector<double> x = numbers(inputs[0].view());
  const std::vector<double> y = numbers(session.run(views_of(inputs))[0].view());
  for (std::size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(y[i], 2 * x[i] + static_cast<double>(i % 16), 1e-4);
}

TEST(UpdateWeights, GivesBuffersThatRunsChangeWithoutTheirMemory) {
  Model model = load_model("counter");
  Session session(model);
  const Tensor zeros = filled({4}, 0);
  const TensorView view = zeros.view();
  EXPECT_EQ(numbers(session.run({&view, 1})[0].view())[0], 1);
  EXPECT_EQ(numbers(session.run({&view, 1})[0].view())[0], 2);
  // What runs have made of a buffer that is not given stays.
  model.update_weights({});
  EXPECT_EQ(numbers(session.run({&view, 1})[0].view())[0], 3);
  const Tensor count = filled({4}, 40);
  model.update_weights(std::array{owned("count", count)});
  EXPECT_EQ(numbers(session.run({&view, 1})[0].view())[0], 41);
  EXPECT_EQ(numbers(model.weight("count").view())[0], 41);
  EXPECT_EQ(count.data_as<float>()[0], 40);
}

TEST(UpdateWeights, UsesMemoryInPlaceUntilNobodyNeedsIt) {
  Model model = load_model("folded");
  const std::vector<Tensor> inputs = recorded("folded", "inputs");
  Session idle(model);
  Session busy(model);
  std::weak_ptr<const void> memory;
  {
    const NamedWeight weight = owned("scale", filled({4, 16}, 0));
    memory = weight.owner;
    model.update_weights({&weight, 1});
  }
  EXPECT_FALSE(memory.expired());
  idle.run(views_of(inputs));
  busy.run(views_of(inputs));
  model.update_weights(std::array{owned("scale", filled({4, 16}, 1))});
  // Also where a session that ran with it does not run again.
  EXPECT_TRUE(memory.expired());
  busy.run(views_of(inputs));
}

TEST(UpdateWeights, LetsGoOfTheFileWhenAllWeightsAreOthers) {
  Model model = load_model("mlp");
  const std::size_t before = count_mappings("mlp.pt2");
  std::vector<NamedWeight> all = constant_answer(2);
  all.push_back(owned("0.weight", filled({32, 64}, 0)));
  all.push_back(owned("0.bias", filled({32}, 0)));
  model.update_weights(all, {.scope = UpdateScope::Full});
  EXPECT_LT(count_mappings("mlp.pt2"), before);
  Session session(model);
  EXPECT_EQ(answer(session), 2);
}

TEST(UpdateWeights, InALoopHoldsNoMoreMemory) {
  for (const char* name : {"mlp", "appended", "folded"}) {
    SCOPED_TRACE(name);
    Model model = load_model(name);
    Session session(model);
    const std::vector<Tensor> inputs = recorded(name, "inputs");
    const std::string weight = model.constants().back().name;
    const Tensor bytes = model.weight(weight);
    const auto update = [&] {
      model.update_weights(std::array{NamedWeight{.name = weight, .view = bytes.view()}});
      session.run_borrowed(views_of(inputs));
    };
    EXPECT_EQ(growth_of(update, 100), "");
  }
}

TEST(Weight, IsACopyByName) {
  const Model model = load_model("mlp");
  const Tensor copy = model.weight("0.bias");
  EXPECT_EQ(sizes_of(copy.view()), (std::vector<std::int64_t>{32}));
  const std::vector<double> before = numbers(copy.view());
  std::memset(copy.view().data(), 0, copy.view().storage_bytes());
  EXPECT_EQ(numbers(model.weight("0.bias").view()), before);
  expect_refused(ErrorCode::NotFound, {"mlp.pt2", "\"1.bias\""}, [&] { (void)model.weight("1.bias"); });
}

}  // namespace
}  // namespace penstock::testing
