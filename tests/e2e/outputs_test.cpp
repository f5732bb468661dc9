#include "support.hpp"

#include <penstock/io.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <string>

namespace penstock::testing {
namespace {

std::vector<TensorView> add_inputs(const std::vector<Tensor>& recorded_inputs) {
  return views_of(recorded_inputs);
}

TEST(SessionOutputs, GoToTheViewsThatAreGiven) {
  Session session(load_model("add"));
  const Tensor target = ramp({8, 64});
  const TensorView view = target.view();
  const std::vector<Tensor> inputs = recorded("add", "inputs");
  const std::vector<Tensor> results = session.run(add_inputs(inputs), {.outputs = {&view, 1}});
  ASSERT_EQ(results.size(), 1u);
  EXPECT_EQ(results[0].view().data(), target.view().data());
  expect_same({&view, 1}, views_of(recorded("add", "outputs")));
}

TEST(SessionOutputs, GoToStridedViewsAndLeaveTheGapsAlone) {
  Session session(load_model("add"));
  const Tensor memory = Tensor::empty(DType::Float32, {64 * 16});
  std::fill_n(memory.data_as<float>(), memory.numel(), -77.0F);
  const std::array<std::int64_t, 2> sizes{8, 64};
  const std::array<std::int64_t, 2> strides{2, 16};
  const TensorView view(memory.view().data(), DType::Float32, sizes, strides, 0);
  session.run(add_inputs(recorded("add", "inputs")), {.outputs = {&view, 1}});
  expect_same({&view, 1}, views_of(recorded("add", "outputs")));
  for (std::int64_t i = 1; i < memory.numel(); i += 2) ASSERT_EQ(memory.data_as<float>()[i], -77.0F) << i;
}

/// What "nested" returns: all but out2, which is None.
void expect_nested(std::span<const TensorView> given) {
  ASSERT_EQ(given.size(), 7U);
  std::filesystem::path file = package_path("nested", "2.15-calls");
  for (const auto& [name, expected] : read_tensors(file.replace_extension(".outputs.safetensors"))) {
    const auto number = static_cast<std::size_t>(std::stoi(name.substr(3)));
    ASSERT_NE(number, 2U);
    expect_same(given.subspan(number, 1), std::span(&expected.view(), 1));
  }
}

TEST(SessionOutputs, AreNotDefinedWhereTheModelReturnsNone) {
  Session session(load_model("nested", "2.15-calls"));
  const std::vector<Tensor> inputs = recorded("nested", "inputs", "2.15-calls");
  const std::vector<Tensor> made = session.run(views_of(inputs));
  EXPECT_FALSE(made[2].defined());
  expect_nested(views_of(made));

  const std::span<const TensorView> borrowed = session.run_borrowed(views_of(inputs));
  EXPECT_EQ(borrowed[2].data(), nullptr);
  EXPECT_EQ(borrowed[2].numel(), 0);
  expect_nested(borrowed);
}

TEST(SessionOutputs, LeaveTheViewForOneThatIsNoneAlone) {
  Session session(load_model("nested", "2.15-calls"));
  const std::vector<Tensor> inputs = recorded("nested", "inputs", "2.15-calls");
  std::vector<Tensor> targets;
  for (const Tensor& made : session.run(views_of(inputs)))
    targets.push_back(made.defined() ? Tensor::empty(made.dtype(), made.sizes()) : Tensor());
  const std::vector<TensorView> views = views_of(targets);
  EXPECT_FALSE(session.run(views_of(inputs), {.outputs = views})[2].defined());
  expect_nested(views);
  const Tensor other = ramp({5});
  std::vector<TensorView> with_other = views;
  with_other[2] = other.view();
  session.run(views_of(inputs), {.outputs = with_other});
  expect_same({&other.view(), 1}, std::vector<TensorView>{ramp({5}).view()});
}

TEST(SessionOutputs, AreRefusedInViewsThatCannotTakeThem) {
  Session session(load_model("add"));
  const std::vector<Tensor> inputs = recorded("add", "inputs");
  const auto refused = [&](const TensorView& view, const std::vector<std::string>& parts) {
    expect_refused(ErrorCode::InvalidArgument, parts, [&] {
      session.run(add_inputs(inputs), {.outputs = {&view, 1}});
    });
  };
  const Tensor other = Tensor::empty(DType::Float64, {8, 64});
  refused(other.view(), {"out0", "float64[8, 64]", "float32[8, 64]"});
  const Tensor narrow = ramp({8, 63});
  refused(narrow.view(), {"out0", "float32[8, 63]", "float32[8, 64]"});
  const Tensor flat = ramp({512});
  refused(flat.view(), {"out0", "float32[512]"});
  refused(inputs[1].view(), {"out0", "overlaps input arg1"});
  refused(TensorView(inputs[0].data_as<float>() + 511, DType::Float32, {8, 64}),
          {"out0", "overlaps input arg0"});
  refused(TensorView(nullptr, DType::Float32, {8, 64}), {"out0", "null address"});
  refused(TensorView(other.view().data(), DType::Float32, {8, 64}, Device{DeviceType::Cuda, 0}),
          {"out0", "cuda:0"});

  const std::vector<TensorView> two{other.view(), narrow.view()};
  expect_refused(ErrorCode::InvalidArgument, {"has 1 outputs, views for 2 were given"},
                 [&] { session.run(add_inputs(inputs), {.outputs = two}); });
  expect_same(session.run(add_inputs(inputs)), recorded("add", "outputs"));
}

TEST(SessionOutputs, AreRefusedInViewsThatOverlapEachOther) {
  Session session(load_model("matmuls"));
  const std::vector<Tensor> inputs = recorded("matmuls", "inputs");
  const Tensor memory = ramp({4096});
  float* const data = memory.data_as<float>();
  const std::vector<TensorView> targets{
      TensorView(data, DType::Float32, {5, 7}), TensorView(data + 34, DType::Float32, {5, 7}),
      TensorView(data + 1024, DType::Float32, {3, 4, 8}), TensorView(data + 2048, DType::Float32, {3, 4, 8})};
  expect_refused(ErrorCode::InvalidArgument, {"out0 and out1 overlap"},
                 [&] { session.run(views_of(inputs), {.outputs = targets}); });
}

TEST(SessionOutputs, ThatDoNotFitLeaveAllViewsUntouched) {
  Session session(load_model("matmuls"));
  const std::vector<Tensor> inputs = recorded("matmuls", "inputs");
  std::vector<Tensor> targets{ramp({5, 7}), ramp({5, 7}), ramp({3, 4, 8}), ramp({3, 4, 9})};
  EXPECT_THROW(session.run(views_of(inputs), {.outputs = views_of(targets)}), Error);
  EXPECT_EQ(numbers(targets[0].view()), numbers(ramp({5, 7}).view()));
}

TEST(SessionOutputs, ThatAreInputsShareTheCallersMemory) {
  for (const char* torch : {"2.9", "2.15"}) {
    SCOPED_TRACE(torch);
    std::vector<Tensor> results;
    const std::vector<Tensor> inputs = recorded("shared", "inputs", torch);
    {
      Session session(load_model("shared", torch));
      results = session.run(views_of(inputs));
    }
    EXPECT_EQ(results[3].view().data(), inputs[0].view().data());
    EXPECT_EQ(results[2].view().data(), inputs[1].view().data());
    inputs[1].data_as<float>()[9] = 1234.0F;
    EXPECT_EQ(numbers(results[2].view())[1], 1234.0);
  }
}

TEST(SessionOutputs, ThatAreInputsAreCopiedIntoGivenViews) {
  Session session(load_model("shared"));
  const std::vector<Tensor> inputs = recorded("shared", "inputs");
  const std::vector<Tensor> targets{ramp({6, 9}), ramp({9, 6}), ramp({6}), ramp({6, 9})};
  session.run(views_of(inputs), {.outputs = views_of(targets)});
  expect_same(targets, recorded("shared", "outputs"));
}

TEST(SessionOutputs, ThatAreWeightsOutliveSessionAndModel) {
  const Holdings before = Holdings::now();
  {
    std::vector<Tensor> results;
    {
      Session session(load_model("weights_out"));
      results = session.run(views_of(recorded("weights_out", "inputs")));
    }
    expect_same(results, recorded("weights_out", "outputs"));
  }
  EXPECT_EQ(Holdings::now().library_mappings, before.library_mappings);
}

TEST(SessionOutputs, OutliveSessionModelAndPackage) {
  std::vector<Tensor> results;
  {
    Session session(load_model("mlp"));
    results = session.run(views_of(recorded("mlp", "inputs")));
  }
  expect_same(results, recorded("mlp", "outputs"));
}

TEST(SessionOutputs, StayWhenTheSessionRunsAgain) {
  Session session(load_model("mlp"));
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  const std::vector<Tensor> first = session.run(views_of(inputs));
  const Tensor zeros = Tensor::empty(DType::Float32, {8, 64});
  std::memset(zeros.view().data(), 0, zeros.view().storage_bytes());
  const TensorView zero = zeros.view();
  const std::vector<Tensor> second = session.run({&zero, 1});
  expect_same(first, recorded("mlp", "outputs"));
  EXPECT_NE(first[0].view().data(), second[0].view().data());
  EXPECT_NE(numbers(first[0].view()), numbers(second[0].view()));
}

TEST(SessionOutputs, OfARunInPlaceShareNothingAndTheInputIsChanged) {
  Session session(load_model("inplace"));
  const Tensor x = ramp({4, 8});
  const TensorView view = x.view();
  const std::vector<Tensor> results = session.run({&view, 1});
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(x.data_as<float>()[i], static_cast<float>(i + 1));
    EXPECT_EQ(results[0].data_as<float>()[i], static_cast<float>(2 * (i + 1)));
  }
}

TEST(SessionRunBorrowed, GivesViewsThatAreRightUntilTheNextRun) {
  Session session(load_model("mlp"));
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  const std::vector<TensorView> views = views_of(inputs);
  const std::span<const TensorView> first = session.run_borrowed(views);
  expect_same(first, views_of(recorded("mlp", "outputs")));
  const std::uint64_t held = session.memory().held_bytes;
  void* const address = first[0].data();
  // What was lent is taken back first: the same memory serves every run.
  for (int i = 0; i < 5; ++i) EXPECT_EQ(session.run_borrowed(views)[0].data(), address);
  EXPECT_EQ(session.memory().held_bytes, held);
}

TEST(SessionRunBorrowed, IsRefusedLikeRun) {
  Session session(load_model("mlp"));
  const Tensor bad = ramp({65, 64});
  const TensorView view = bad.view();
  expect_refused(ErrorCode::InvalidArgument, {"arg0"}, [&] { session.run_borrowed({&view, 1}); });
  expect_same(session.run_borrowed(views_of(recorded("mlp", "inputs"))),
              views_of(recorded("mlp", "outputs")));
}

TEST(Session, RunsAfterItWasMoved) {
  Session first(load_model("mlp"));
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  const std::vector<Tensor> before = first.run(views_of(inputs));
  Session second(std::move(first));
  expect_same(second.run(views_of(inputs)), recorded("mlp", "outputs"));
  Session third(load_model("add"));
  third = std::move(second);
  EXPECT_EQ(third.model().constants().size(), 4u);
  expect_same(third.run(views_of(inputs)), recorded("mlp", "outputs"));
  expect_same(before, recorded("mlp", "outputs"));
}

TEST(Session, RefusesANegativeNumberOfThreads) {
  const Model model = load_model("add");
  expect_refused(ErrorCode::InvalidArgument, {"-1 threads"}, [&] { Session(model, {.threads = -1}); });
}

TEST(SessionArena, GivesBackToItsNextRunWhatWasReleased) {
  Session session(load_model("mlp"));
  EXPECT_EQ(session.memory().held_bytes, 0u);
  const std::vector<Tensor> inputs = recorded("mlp", "inputs");
  session.run(views_of(inputs));
  const std::uint64_t held = session.memory().held_bytes;
  EXPECT_GT(held, 0u);
  for (int i = 0; i < 50; ++i) session.run(views_of(inputs));
  EXPECT_EQ(session.memory().held_bytes, held);
}

}  // namespace
}  // namespace penstock::testing
