#include "support.hpp"

#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>

namespace penstock::testing {
namespace {

std::vector<NamedWeight> weights_of_file(const std::filesystem::path& path) {
  std::vector<NamedWeight> weights;
  for (auto& [name, tensor] : read_tensors(path)) {
    auto owner = std::make_shared<const Tensor>(std::move(tensor));
    const TensorView view = owner->view();
    weights.push_back({.name = name, .view = view, .owner = std::move(owner)});
  }
  return weights;
}

LoadOptions options_for(const std::string& name) {
  LoadOptions options;
  if (name == "external")
    options.weights = weights_of_file(package_path("external").replace_extension("weights.safetensors"));
  return options;
}

void expect_recorded(const Model& model, const std::string& name) {
  Session session(model);
  expect_same(session.run(views_of(recorded(name, "inputs"))), recorded(name, "outputs"));
}

struct Form {
  const char* package;
  WeightsForm form;
};

class WeightsOfForm : public ::testing::TestWithParam<Form> {};

TEST_P(WeightsOfForm, GiveTheRecordedAnswersFromAFile) {
  const Package package = open_package(GetParam().package);
  EXPECT_EQ(package.model().weights_form, GetParam().form);
  EXPECT_TRUE(package.model().obstacles.empty());
  expect_recorded(Model::load(package, options_for(GetParam().package)), GetParam().package);
}

TEST_P(WeightsOfForm, GiveTheRecordedAnswersFromMemory) {
  const std::string name = GetParam().package;
  // At an odd address, where nothing is aligned.
  const std::vector<std::byte> file = file_bytes(package_path(name));
  auto bytes = std::make_shared<std::vector<std::byte>>(file.size() + 1);
  std::ranges::copy(file, bytes->begin() + 1);
  const auto before = *bytes;
  std::optional<Package> package =
      Package::open_memory(std::span<const std::byte>(*bytes).subspan(1), bytes, name);
  const Model model = Model::load(*package, options_for(name));
  expect_recorded(model, name);
  EXPECT_EQ(*bytes, before);
  // A model holds what it needs.
  package.reset();
  std::weak_ptr<std::vector<std::byte>> memory = bytes;
  bytes.reset();
  EXPECT_TRUE(memory.expired());
  expect_recorded(model, name);
}

TEST_P(WeightsOfForm, AreListedWithTheirSizes) {
  const Model model = Model::load(open_package(GetParam().package), options_for(GetParam().package));
  std::vector<std::string> names;
  for (const ConstantInfo& constant : model.constants()) names.push_back(constant.name);
  EXPECT_EQ(names, (std::vector<std::string>{"0.bias", "0.weight", "2.bias", "2.weight"}));
  EXPECT_EQ(model.constants()[3].sizes, (std::vector<std::int64_t>{10, 32}));
  EXPECT_EQ(model.constants()[3].bytes, 10U * 32U * sizeof(float));
}

TEST_P(WeightsOfForm, CanBeUpdated) {
  const std::string name = GetParam().package;
  Model model = Model::load(open_package(name), options_for(name));
  Session session(model);
  const std::vector<Tensor> inputs = recorded(name, "inputs");
  const auto before = numbers(session.run(views_of(inputs))[0].view());
  Tensor bias = model.weight("2.bias");
  for (float& value : std::span(bias.data_as<float>(), 10)) value += 1;
  model.update_weights(std::array{NamedWeight{.name = "2.bias", .view = bias.view()}});
  const auto after = numbers(session.run(views_of(inputs))[0].view());
  ASSERT_EQ(after.size(), before.size());
  for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], before[i] + 1, 1e-5);
  EXPECT_EQ(numbers(model.weight("2.bias").view()), numbers(bias.view()));
}

INSTANTIATE_TEST_SUITE_P(Stock, WeightsOfForm,
                         ::testing::Values(Form{"mlp", WeightsForm::Embedded},
                                           Form{"appended", WeightsForm::Embedded},
                                           Form{"blob", WeightsForm::BinaryBlob},
                                           Form{"pickle", WeightsForm::PickleWeights},
                                           Form{"external", WeightsForm::External}),
                         [](const auto& form) { return std::string(form.param.package); });

TEST(Weights, OfLibrariesOfEveryTorchCanBeUpdated) {
  for (const char* torch : {"2.9", "2.11", "2.13", "2.15"}) {
    SCOPED_TRACE(torch);
    Model model = load_model("mlp", torch);
    Session session(model);
    const std::vector<Tensor> inputs = recorded("mlp", "inputs", torch);
    const auto before = numbers(session.run(views_of(inputs))[0].view());
    Tensor bias = model.weight("2.bias");
    for (float& value : std::span(bias.data_as<float>(), 10)) value -= 2;
    model.update_weights(std::array{NamedWeight{.name = "2.bias", .view = bias.view()}});
    const auto after = numbers(session.run(views_of(inputs))[0].view());
    for (std::size_t i = 0; i < after.size(); ++i) EXPECT_NEAR(after[i], before[i] - 2, 1e-5);
  }
}

TEST(Weights, ThatAreInNoPackageAreAskedForByName) {
  const Package package = open_package("external");
  expect_refused(ErrorCode::InvalidArgument,
                 {"external.pt2", "LoadOptions::weights", "0.weight", "0.bias", "2.weight", "2.bias"},
                 [&] { Model::load(package); });
  LoadOptions options = options_for("external");
  options.weights.pop_back();
  expect_refused(ErrorCode::InvalidArgument, {"external.pt2", "LoadOptions::weights"},
                 [&] { Model::load(package, options); });
}

TEST(Weights, ThatAreGivenReplaceThoseOfThePackage) {
  const Tensor zeros = Tensor::empty(DType::Float32, {10, 32});
  std::memset(zeros.view().data(), 0, zeros.view().storage_bytes());
  const Tensor bias = ramp({10});
  LoadOptions options;
  options.weights = {{.name = "2.weight", .view = zeros.view()}, {.name = "2.bias", .view = bias.view()}};
  Session session(Model::load(open_package("mlp"), options));
  const std::vector<double> row = numbers(bias.view());
  const std::vector<double> out = numbers(session.run(views_of(recorded("mlp", "inputs")))[0].view());
  ASSERT_EQ(out.size(), 8 * row.size());
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], row[i % row.size()]);
}

TEST(Weights, ThatAreGivenAreCopiedWhereTheyHaveNoOwner) {
  Tensor zeros = Tensor::empty(DType::Float32, {10, 32});
  std::memset(zeros.view().data(), 0, zeros.view().storage_bytes());
  Tensor bias = ramp({10});
  const std::vector<double> row = numbers(bias.view());
  LoadOptions options;
  options.weights = {{.name = "2.weight", .view = zeros.view()}, {.name = "2.bias", .view = bias.view()}};
  Session session(Model::load(open_package("mlp"), options));
  for (const Tensor* given : {&zeros, &bias})
    std::memset(given->view().data(), 0x40, given->view().storage_bytes());
  const std::vector<double> out = numbers(session.run(views_of(recorded("mlp", "inputs")))[0].view());
  for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], row[i % row.size()]);
}

/// Mappings of `mlp.pt2` that may be written to.
int private_mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("mlp.pt2") != std::string::npos && line.find(" rw-p ") != std::string::npos) ++count;
  }
  return count;
}

TEST(Weights, LieInTheFileAndNotInMemory) {
  const int before = private_mappings();
  const Model model = load_model("mlp");
  EXPECT_EQ(private_mappings(), before + 1);
  expect_recorded(model, "mlp");
}

TEST(Weights, ThatOneModelChangesStayAsTheyAreInOthersAndInTheFile) {
  const std::filesystem::path path = package_path("counter");
  const std::vector<std::byte> before = file_bytes(path);
  const Package package = open_package("counter");
  const std::vector<Tensor> inputs = recorded("counter", "inputs");
  const double x = numbers(inputs[0].view())[0];
  Session first(Model::load(package));
  Session second(Model::load(package));
  for (int call = 1; call <= 3; ++call)
    EXPECT_EQ(numbers(first.run(views_of(inputs))[0].view())[0], x + call);
  EXPECT_EQ(numbers(second.run(views_of(inputs))[0].view())[0], x + 1);
  EXPECT_EQ(numbers(Session(Model::load(package)).run(views_of(inputs))[0].view())[0], x + 1);
  EXPECT_EQ(file_bytes(path), before);
}

TEST(Weights, OfOnePackageLoadOnManyThreadsAtOnce) {
  const Package package = open_package("blob");
  const std::vector<Tensor> inputs = recorded("blob", "inputs");
  const std::vector<Tensor> expected = recorded("blob", "outputs");
  std::vector<std::thread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&] {
      for (int load = 0; load < 10; ++load) {
        Session session(Model::load(package));
        expect_same(session.run(views_of(inputs)), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Weights, OfNamesAndKindsThatAModelDoesNotHaveAreRefusedAtLoad) {
  const Package package = open_package("mlp");
  const Tensor other = ramp({3});
  LoadOptions options;
  options.weights = {{.name = "3.bias", .view = other.view()}};
  expect_refused(ErrorCode::InvalidArgument, {"mlp.pt2", "3.bias", "2.bias"},
                 [&] { Model::load(package, options); });
  options.weights = {{.name = "2.bias", .view = other.view()}};
  expect_refused(ErrorCode::InvalidArgument, {"2.bias", "[10]", "[3]"},
                 [&] { Model::load(package, options); });
  const Tensor none = ramp({4});
  options.weights = {{.name = "x", .view = none.view()}};
  expect_refused(ErrorCode::InvalidArgument, {"no weights"},
                 [&] { Model::load(open_package("add"), options); });
}

void expect_flat_memory(const std::string& name, int calls) {
  const Model model = load_model(name);
  ASSERT_FALSE(model.constants().empty());
  Session session(model);
  const std::vector<Tensor> inputs = recorded(name, "inputs");
  const std::vector<TensorView> views = views_of(inputs);
  for (int call = 0; call < 100; ++call) session.run_borrowed(views);
  const std::uint64_t arena = session.memory().held_bytes;
  EXPECT_EQ(growth_of([&] { session.run_borrowed(views); }, kSanitized ? calls / 50 : calls), "");
  EXPECT_EQ(session.memory().held_bytes, arena);
  expect_recorded(model, name);
}

TEST(ManyCalls, HoldNoMoreMemoryThanFew) { expect_flat_memory("mlp", 1'000'000); }

// oneDNN's copies of weights, in the layouts that it wants, are made once.
TEST(ManyCalls, KeepNoMoreCopiesOfWeightsThanFew) {
  if (!has_onednn()) GTEST_SKIP() << "oneDNN is not installed";
  expect_flat_memory("conv", 50'000);
}

}  // namespace
}  // namespace penstock::testing
