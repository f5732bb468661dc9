#include "gpu.hpp"

namespace penstock::testing {
namespace {

class EveryPackage : public ::testing::TestWithParam<const char*> {
 protected:
  std::string name = GetParam();
};

TEST_P(EveryPackage, AnswersAsLibtorch) {
  Session session(load_on_gpu(name));
  expect_recorded(name, session.run(views_of(inputs_of(name))));
}

TEST_P(EveryPackage, AnswersTheSameOnAStreamOfAPartition) {
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  Session session(load_on_gpu(name));
  const std::vector<Tensor> inputs = inputs_of(name);
  const std::vector<Tensor> outputs = session.enqueue(views_of(inputs), stream);
  stream.view().synchronize();
  expect_recorded(name, outputs);
}

INSTANTIATE_TEST_SUITE_P(Sm90, EveryPackage, ::testing::ValuesIn(kEveryPackage),
                         [](const auto& tested) { return std::string(tested.param); });

TEST(RandomPackage, AddsNumbersBetweenZeroAndOneAndOthersEachTime) {
  Session session(load_on_gpu("random"));
  const std::vector<Tensor> inputs = inputs_of("random");
  const std::vector<double> x = numbers(recorded("random", "inputs", kGpuPackages)[0].view());
  const std::vector<double> first = numbers(on_host(session.run(views_of(inputs)))[0].view());
  const std::vector<double> second = numbers(on_host(session.run(views_of(inputs)))[0].view());
  ASSERT_EQ(first.size(), x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    EXPECT_GE(first[i], x[i] - 1e-5);
    EXPECT_LE(first[i], x[i] + 1 + 1e-5);
  }
  EXPECT_NE(first, second);
}

TEST(InPlacePackage, ChangesItsInputAndKeepsItsBuffer) {
  Session session(load_on_gpu("inplace"));
  const std::vector<Tensor> inputs = inputs_of("inplace");
  const std::vector<double> x = numbers(on_host(inputs)[0].view());
  const std::vector<double> cache = numbers(on_host(inputs)[1].view());
  for (int run = 1; run <= 5; ++run) {
    const std::vector<Tensor> outputs = session.run(views_of(inputs));
    EXPECT_EQ(session.last_run().replayed, run > 1) << session.last_run().reason;
    const std::vector<double> sum = numbers(on_host(outputs)[0].view());
    const std::vector<double> twice = numbers(on_host(outputs)[1].view());
    const std::vector<double> now = numbers(on_host(inputs)[1].view());
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(sum[i], x[i] + run, 1e-5);
      EXPECT_NEAR(now[i], cache[i] + run * x[i], 1e-5);
      EXPECT_NEAR(twice[i], 2 * now[i], 1e-5);
    }
  }
}

TEST(AliasesPackage, GivesTheCallersAndTheModelsMemory) {
  Session session(load_on_gpu("aliases"));
  const std::vector<Tensor> inputs = inputs_of("aliases");
  const std::vector<Tensor> outputs = session.run(views_of(inputs));
  EXPECT_EQ(outputs[0].view().data(), inputs[0].view().data());
  EXPECT_EQ(outputs[2].view().data(), inputs[0].view().data());
  EXPECT_EQ(numbers(on_host(outputs)[1].view()), numbers(session.model().weight("weight").view()));
}

TEST(MlpPackage, TakesEveryBatchThatItDeclares) {
  Session session(load_on_gpu("mlp"));
  const std::vector<Tensor> all = recorded("mlp", "inputs", kGpuPackages);
  const std::vector<double> expected = numbers(recorded("mlp", "outputs", kGpuPackages)[0].view());
  for (std::int64_t rows = 1; rows <= 8; ++rows) {
    const TensorView part(all[0].view().data(), DType::Float32, {rows, 64});
    const Tensor input = copy_to_device(part, kGpu);
    const std::vector<Tensor> outputs = session.run(views_of({input}));
    const std::vector<double> given = numbers(on_host(outputs)[0].view());
    ASSERT_EQ(given.size(), static_cast<std::size_t>(rows) * 10);
    for (std::size_t i = 0; i < given.size(); ++i)
      EXPECT_NEAR(given[i], expected[i], 1e-4) << rows << " rows";
  }
}

}  // namespace
}  // namespace penstock::testing
