#include "contract/recording.hpp"
#include "contract/shim_call.hpp"
#include "cpu/onednn.hpp"

#include <gtest/gtest.h>

#include <map>

namespace penstock::contract {
namespace {

using tensor::TensorObjectPtr;
using Layer = AOTITorchError(AtenTensorHandle, AtenTensorHandle, AtenTensorHandle, AtenTensorHandle,
                             AtenTensorHandle, AtenTensorHandle, AtenTensorHandle, std::int32_t,
                             const std::int64_t*, std::int64_t, std::int64_t, std::int64_t, std::int64_t,
                             std::int32_t, std::int32_t, std::int32_t, std::int32_t, AtenTensorHandle*,
                             AtenTensorHandle*, AtenTensorHandle*, AtenTensorHandle*);

class LstmContract : public testing::Test {
 protected:
  void SetUp() override {
    if (cpu::onednn() == nullptr) GTEST_SKIP() << "oneDNN is not installed";
    layer_ = shim_function<Layer>("aoti_torch_cpu_mkldnn_rnn_layer");
    ASSERT_NE(layer_, nullptr);
  }

  AOTITorchError call(const nlohmann::json& one, std::int64_t layers, Results<4>& results) {
    const auto handle = [this](const char* name) { return tensors_.at(name).get(); };
    return layer_(handle("input"), handle("input_weight"), handle("hidden_weight"), handle("input_bias"),
                  handle("hidden_bias"), handle("hidden"), handle("cell"),
                  one.at("reverse").get<bool>() ? 1 : 0, nullptr, 0, 2, handle("hidden")->size[2], layers,
                  one.at("biases").get<bool>() ? 1 : 0, 0, 0, 0, results[0], results[1], results[2],
                  results[3]);
  }

  void make_tensors(const nlohmann::json& one, bool is_constant) {
    const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
    for (const auto& [name, spec] : one.at("tensors").items()) {
      tensors_[name] = make_input(spec, dtype);
      tensors_[name]->storage->constant = is_constant && name.find("weight") != std::string::npos;
    }
  }

  void run_all(int threads, bool is_constant) {
    const Recording recording = read_recording("lstm");
    ASSERT_FALSE(recording.cases.empty());
    ShimRun run(threads);
    int ran = 0;
    for (const auto& one : recording.cases) {
      make_tensors(one, is_constant);
      for (int round = 0; round < 2; ++round) {
        Results<4> results;
        run.context.failure.reset();
        const shim::ContextScope scope(run.context);
        ASSERT_EQ(call(one, 1, results), 0)
            << (run.context.failure ? run.context.failure->message : "no message");
        ++ran;
        expect_results(recording, one, std::span<const AtenTensorHandle>(results.handles).first(3));
        ASSERT_NE(results.handles[3], nullptr);
        EXPECT_EQ(results.handles[3]->numel, 0);
      }
    }
    EXPECT_GT(ran, 0);
  }

  Layer* layer_ = nullptr;
  std::map<std::string, TensorObjectPtr> tensors_;
};

TEST_F(LstmContract, AnswersAsLibtorch) { run_all(1, false); }
TEST_F(LstmContract, AnswersAsLibtorchWithThreads) { run_all(2, false); }
TEST_F(LstmContract, AnswersAsLibtorchWithWeights) { run_all(1, true); }

// Which 16-bit types oneDNN has depends on the CPU, and so does what libtorch can record. Inputs are exact in
// all of them.
TEST_F(LstmContract, AnswersInHalfPrecisionAsInSingle) {
  const Recording recording = read_recording("lstm");
  for (const auto& recorded : recording.cases) {
    if (recorded.at("dtype").get<std::string>() != "float32") continue;
    for (const DType dtype : {DType::Float16, DType::BFloat16}) {
      nlohmann::json one = recorded;
      one["dtype"] = dtype_name(dtype);
      make_tensors(one, true);
      ShimRun run(1);
      for (int round = 0; round < 2; ++round) {
        Results<4> results;
        expect_success(run, one.dump(), [&] { return call(one, 1, results); });
        for (std::size_t i = 0; i < 3; ++i) {
          ASSERT_NE(results.handles[i], nullptr);
          EXPECT_EQ(results.handles[i]->dtype, dtype);
          const std::vector<double> values = logical_values(*results.handles[i]);
          expect_values(values, recorded_values(recording, recorded.at("results").at(i), values.size()),
                        dtype, one.dump());
        }
      }
    }
  }
}

TEST_F(LstmContract, RefusesWhatPytorchNeverAsksFor) {
  const Recording recording = read_recording("lstm");
  make_tensors(recording.cases[0], false);
  ShimRun run(1);
  const shim::ContextScope scope(run.context);
  Results<4> results;
  EXPECT_EQ(call(recording.cases[0], 2, results), 1);
  ASSERT_TRUE(run.context.failure.has_value());
  EXPECT_EQ(run.context.failure->code, ErrorCode::Unsupported);
}

TEST_F(LstmContract, RefusesWhatDoesNotGoTogether) {
  const Recording recording = read_recording("lstm");
  for (const char* name : {"input", "input_weight", "hidden_weight", "input_bias", "hidden", "cell"}) {
    make_tensors(recording.cases[0], false);
    tensors_[name]->size[static_cast<std::size_t>(tensors_[name]->rank - 1)] -= 1;
    ShimRun run(1);
    const shim::ContextScope scope(run.context);
    Results<4> results;
    EXPECT_EQ(call(recording.cases[0], 1, results), 1) << name;
    ASSERT_TRUE(run.context.failure.has_value()) << name;
    EXPECT_EQ(run.context.failure->code, ErrorCode::InvalidArgument) << run.context.failure->message;
  }
}

}  // namespace
}  // namespace penstock::contract
