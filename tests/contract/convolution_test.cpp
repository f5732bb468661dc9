#include "cpu/convolution.hpp"
#include "contract/recording.hpp"
#include "cpu/onednn.hpp"

#include <gtest/gtest.h>

namespace penstock::contract {
namespace {

using Dims = std::vector<std::int64_t>;
using tensor::TensorObjectPtr;

void run_case(cpu::OpContext& context, const Recording& recording, const nlohmann::json& one,
              bool is_constant) {
  const std::string text = one.dump();
  const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
  const auto& tensors = one.at("tensors");
  const TensorObjectPtr input = make_input(tensors.at("input"), dtype);
  const TensorObjectPtr weight = make_input(tensors.at("weight"), dtype);
  weight->storage->constant = is_constant;
  TensorObjectPtr bias;
  if (tensors.contains("bias")) bias = make_input(tensors.at("bias"), dtype);
  const Dims stride = one.at("stride").get<Dims>();
  const Dims padding = one.at("padding").get<Dims>();
  const Dims dilation = one.at("dilation").get<Dims>();
  const Dims output_padding = one.at("output_padding").get<Dims>();
  const cpu::ConvolutionGeometry geometry{stride,         padding,
                                          dilation,       one.at("transposed").get<bool>(),
                                          output_padding, one.at("groups").get<std::int64_t>()};
  const auto shape = cpu::convolution_output(*input, *weight, bias.get(), geometry);
  const Dims sizes(shape.sizes.begin(), shape.sizes.end());
  const Dims strides(shape.strides.begin(), shape.strides.end());
  EXPECT_EQ(sizes, tensors.at("out").at("sizes").get<Dims>()) << text;
  // PyTorch's choice for three 16-bit spatial dimensions depends on the CPU that it runs on.
  if (dtype == DType::Float32 || stride.size() < 3) {
    EXPECT_EQ(strides, tensors.at("out").at("strides").get<Dims>()) << text;
  }
  const TensorObjectPtr out = make_output(sizes, strides, dtype);
  for (int round = 0; round < 2; ++round) {
    cpu::convolution(context, *out, *input, *weight, bias.get(), geometry);
    const std::vector<double> actual = logical_values(*out);
    expect_values(actual, recorded_values(recording, one, actual.size()), dtype, text);
  }
}

void run_all(int threads, bool is_constant) {
  if (cpu::onednn() == nullptr) GTEST_SKIP() << "oneDNN is not installed";
  const Recording recording = read_recording("convolution");
  ASSERT_FALSE(recording.cases.empty());
  cpu::OpState state;
  cpu::OpContext context{state, threads};
  for (const auto& one : recording.cases) run_case(context, recording, one, is_constant);
}

TEST(ConvolutionContract, AnswersAsLibtorch) { run_all(1, false); }
TEST(ConvolutionContract, AnswersAsLibtorchWithThreads) { run_all(2, false); }
TEST(ConvolutionContract, AnswersAsLibtorchWithWeights) { run_all(1, true); }

}  // namespace
}  // namespace penstock::contract
