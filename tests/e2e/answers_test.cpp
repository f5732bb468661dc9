#include "support.hpp"

#include <algorithm>
#include <utility>

namespace penstock::testing {
namespace {

/// A package, the recorded run of it, and the torch that made it.
struct Case {
  std::string package;
  std::string run;
  std::string torch;
};

std::vector<Case> cases() {
  std::vector<Case> result;
  for (const char* torch : {"2.9", "2.11", "2.13"}) {
    for (const char* name : {"add", "mlp", "shared"}) result.push_back({name, name, torch});
  }
  for (const char* name :
       {"add",      "mlp",         "shared",    "multi",     "conv",       "matmuls",     "matmuls64",
        "threads2", "threads_all", "dtypes",    "empty",     "strided",    "weights_out", "inplace",
        "fails",    "missing_ops", "selection", "placement", "other_root", "native"}) {
    result.push_back({name, name, "2.15"});
  }
  result.push_back({"empty", "empty.n3", "2.15"});
  result.push_back({"two_rows", "two_rows", "2.15"});
  result.push_back({"past", "past", "2.15"});
  result.push_back({"past", "past.one", "2.15"});
  result.push_back({"square", "square", "2.9"});
  return result;
}

class Answers : public ::testing::TestWithParam<Case> {};

TEST_P(Answers, AgreeWithLibtorch) {
  const Case& given = GetParam();
  const Package package = open_package(given.package, given.torch);
  if (given.package == "native" && !package.model().obstacles.empty()) {
    GTEST_SKIP() << "needs AVX-512: " << package.model().obstacles.front();
  }
  if (given.package == "conv" && !has_onednn()) GTEST_SKIP() << "needs oneDNN";
  const Model model = Model::load(package);
  Session session(model);
  // Twice: the second run finds memory and prepared operators of the first.
  for (int time = 0; time < 2; ++time) {
    const std::vector<Tensor> inputs = recorded(given.run, "inputs", given.torch);
    const std::vector<Tensor> results = session.run(views_of(inputs));
    expect_same(results, recorded(given.run, "outputs", given.torch));
    EXPECT_EQ(results.size(), model.output_names().size());
  }
}

std::string case_name(const ::testing::TestParamInfo<Case>& given) {
  std::string name = given.param.run + "_torch_" + given.param.torch;
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Packages, Answers, ::testing::ValuesIn(cases()), case_name);

TEST(Answers, OfBothModelsOfAPackageAgreeWithLibtorch) {
  const Package package = open_package("two_models");
  const std::vector<Tensor> inputs = recorded("two_models", "inputs");
  for (const char* name : {"first", "second"}) {
    LoadOptions options;
    options.model = name;
    const Model model = Model::load(package, options);
    EXPECT_EQ(model.name(), name);
    const std::string run = std::string("two_models.") + name;
    expect_same(Session(model).run(views_of(inputs)), recorded(run, "outputs"));
  }
}

TEST(Answers, AreTheSameForARowAtATime) {
  const Model model = load_model("mlp");
  Session session(model);
  const Tensor inputs = recorded("mlp", "inputs").front();
  const Tensor expected = recorded("mlp", "outputs").front();
  for (std::int64_t row = 0; row < 8; ++row) {
    const TensorView input(inputs.data_as<float>() + row * 64, DType::Float32, {1, 64});
    const TensorView wanted(expected.data_as<float>() + row * 10, DType::Float32, {1, 10});
    const std::vector<Tensor> results = session.run({&input, 1});
    expect_same(views_of(results), {&wanted, 1});
  }
}

TEST(Answers, ToNoRowsAreNoRows) {
  for (const char* torch : {"2.9", "2.11", "2.13", "2.15"}) {
    SCOPED_TRACE(torch);
    Session session(load_model("mlp", torch));
    const Tensor none = Tensor::empty(DType::Float32, {0, 64});
    const TensorView input = none.view();
    const std::vector<Tensor> results = session.run({&input, 1});
    ASSERT_EQ(results.size(), 1u);
    EXPECT_EQ(sizes_of(results[0].view()), (std::vector<std::int64_t>{0, 10}));
  }
}

TEST(Answers, StayRightWhileSizesChange) {
  const Model model = load_model("mlp");
  Session session(model);
  const Tensor all = recorded("mlp", "inputs").front();
  const Tensor expected = recorded("mlp", "outputs").front();
  for (const std::int64_t rows : {8, 1, 3, 8, 2, 7, 1}) {
    const TensorView input(all.view().data(), DType::Float32, {rows, 64});
    const TensorView wanted(expected.view().data(), DType::Float32, {rows, 10});
    expect_same(session.run_borrowed({&input, 1}), {&wanted, 1});
  }
}

TEST(Answers, KeepTheStridesThatTheModelGivesThem) {
  const Model model = load_model("strided");
  Session session(model);
  const std::vector<Tensor> inputs = recorded("strided", "inputs");
  ASSERT_FALSE(inputs[0].view().is_contiguous());
  const std::vector<Tensor> results = session.run(views_of(inputs));
  const std::vector<Tensor> expected = recorded("strided", "outputs");
  EXPECT_TRUE(std::ranges::equal(results[0].strides(), expected[0].strides()));
}

}  // namespace
}  // namespace penstock::testing
