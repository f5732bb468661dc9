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
        if (call(one, 1, results) != 0) {
          // Which 16-bit types there are depends on the CPU; float32 is always there.
          EXPECT_NE(one.at("dtype").get<std::string>(), "float32") << run.context.failure->message;
          EXPECT_EQ(run.context.failure->code, ErrorCode::Unsupported) << run.context.failure->message;
          continue;
        }
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
