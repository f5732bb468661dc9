#include "contract/recording.hpp"
#include "gpu/ops/harness.hpp"

#include <map>

namespace penstock::gpu {
namespace {

using Dims = std::vector<std::int64_t>;
using Handle = AtenTensorHandle;
using tensor::TensorObjectPtr;
using Mm = AOTITorchError(Handle, Handle, Handle);
using Cell = AOTITorchError(Handle, Handle, Handle, Handle*, Handle*, Handle*, Handle*, Handle*);

/// A recorded layer, one cell a step.
class Layer {
 public:
  explicit Layer(const nlohmann::json& one)
      : dtype_(dtype_from_name(one.at("dtype").get<std::string>()).value()) {
    for (const auto& [name, spec] : one.at("tensors").items()) {
      tensors_[name] = to_gpu(contract::make_input(spec, dtype_));
    }
    has_biases_ = one.at("biases").get<bool>();
    hidden_ = last_two("hidden", 0);
    cell_ = last_two("cell", 0);
  }

  [[nodiscard]] std::int64_t steps() const { return tensors_.at("input")->size[0]; }

  /// What went wrong; empty: nothing.
  std::string step(std::int64_t at) {
    const auto input = last_two("input", at);
    const auto from_input = gates(*input, "input_weight");
    const auto from_hidden = gates(*hidden_, "hidden_weight");
    if (from_input == nullptr || from_hidden == nullptr) return "no gates";
    return run_on_gpu([&] {
      Handle bias0 = tensors_.at("input_bias").get();
      Handle bias1 = tensors_.at("hidden_bias").get();
      std::array<Handle, 3> made{};
      const AOTITorchError code = gpu_function<Cell>("_thnn_fused_lstm_cell")(
          from_input.get(), from_hidden.get(), cell_.get(), has_biases_ ? &bias0 : nullptr,
          has_biases_ ? &bias1 : nullptr, &made[0], &made[1], &made[2]);
      hidden_.reset(made[0]);
      cell_.reset(made[1]);
      gates_.reset(made[2]);
      return code;
    });
  }

  [[nodiscard]] const tensor::TensorObject& hidden() const { return *hidden_; }
  [[nodiscard]] const tensor::TensorObject& cell() const { return *cell_; }
  [[nodiscard]] const tensor::TensorObject& gates() const { return *gates_; }

 private:
  TensorObjectPtr last_two(const std::string& name, std::int64_t at) {
    const tensor::TensorObject& whole = *tensors_.at(name);
    return view(whole, {whole.size[1], whole.size[2]}, {whole.stride[1], whole.stride[2]},
                at * whole.stride[0]);
  }

  TensorObjectPtr gates(const tensor::TensorObject& from, const std::string& weight) {
    const tensor::TensorObject& matrix = *tensors_.at(weight);
    const auto turned = view(matrix, {matrix.size[1], matrix.size[0]}, {matrix.stride[1], matrix.stride[0]});
    const Dims sizes{from.size[0], matrix.size[0]};
    auto out = to_gpu(contract::make_output(sizes, {matrix.size[0], 1}, dtype_));
    const auto left = view(from, {from.size[0], from.size[1]}, {from.stride[0], from.stride[1]});
    const std::string failure =
        run_on_gpu([&] { return gpu_function<Mm>("mm_out")(out.get(), left.get(), turned.get()); });
    EXPECT_EQ(failure, "");
    return failure.empty() ? std::move(out) : nullptr;
  }

  DType dtype_;
  bool has_biases_ = false;
  std::map<std::string, TensorObjectPtr> tensors_;
  TensorObjectPtr hidden_;
  TensorObjectPtr cell_;
  TensorObjectPtr gates_;
};

TEST(GpuLstmCell, AnswersAsLibtorchsLayer) {
  const contract::Recording recording = contract::read_recording("lstm");
  ASSERT_FALSE(recording.cases.empty());
  for (const auto& one : recording.cases) {
    const std::string text = one.dump();
    Layer layer(one);
    const bool reverse = one.at("reverse").get<bool>();
    for (std::int64_t i = 0; i < layer.steps(); ++i) {
      ASSERT_EQ(layer.step(reverse ? layer.steps() - 1 - i : i), "") << text;
    }
    const DType dtype = layer.hidden().dtype;
    const auto& results = one.at("results");
    const std::vector<double> hidden = gpu_values(layer.hidden());
    contract::expect_values(hidden, contract::recorded_values(recording, results.at(1), hidden.size()), dtype,
                            text);
    const std::vector<double> cell = gpu_values(layer.cell());
    contract::expect_values(cell, contract::recorded_values(recording, results.at(2), cell.size()), dtype,
                            text);
  }
}

TEST(GpuLstmCell, GivesTheGatesAsWorkspace) {
  // All gates of nothing: a half, and no candidate.
  const auto zeros = gpu_tensor({2, 8}, std::vector<float>(16));
  const auto before = gpu_tensor({2, 2}, {1, 2, 3, 4});
  std::array<Handle, 3> made{};
  ASSERT_EQ(run_on_gpu([&] {
              return gpu_function<Cell>("_thnn_fused_lstm_cell")(
                  zeros.get(), zeros.get(), before.get(), nullptr, nullptr, &made[0], &made[1], &made[2]);
            }),
            "");
  const TensorObjectPtr hidden(made[0]);
  const TensorObjectPtr cell(made[1]);
  const TensorObjectPtr gates(made[2]);
  EXPECT_EQ(gpu_values(*cell), (std::vector<double>{0.5, 1, 1.5, 2}));
  const std::vector<double> row{0.5, 0.5, 0.5, 0.5, 0, 0, 0.5, 0.5};
  std::vector<double> both = row;
  both.insert(both.end(), row.begin(), row.end());
  EXPECT_EQ(gpu_values(*gates), both);
}

TEST(GpuLstmCell, RefusesGatesThatDoNotFit) {
  const auto gates = gpu_tensor({2, 8}, std::vector<float>(16));
  const auto before = gpu_tensor({2, 3}, std::vector<float>(6));
  std::array<Handle, 3> made{};
  const std::string failure = run_on_gpu([&] {
    return gpu_function<Cell>("_thnn_fused_lstm_cell")(gates.get(), gates.get(), before.get(), nullptr,
                                                       nullptr, &made[0], &made[1], &made[2]);
  });
  EXPECT_NE(failure.find("gates [2, 8] and [2, 8] for cells [2, 3]"), std::string::npos) << failure;
}

}  // namespace
}  // namespace penstock::gpu
