#include "contract/recording.hpp"
#include "gpu/ops/harness.hpp"
#include "tensor/layout.hpp"

namespace penstock::gpu {
namespace {

using Dims = std::vector<std::int64_t>;
using Handle = AtenTensorHandle;
using tensor::TensorObjectPtr;
using Convolution = AOTITorchError(Handle, Handle, Handle*, const std::int64_t*, std::int64_t,
                                   const std::int64_t*, std::int64_t, const std::int64_t*, std::int64_t,
                                   std::int32_t, const std::int64_t*, std::int64_t, std::int64_t, Handle*);

struct Problem {
  TensorObjectPtr input;
  TensorObjectPtr weight;
  TensorObjectPtr bias;
  Dims stride;
  Dims padding;
  Dims dilation;
  Dims output_padding;
  bool transposed = false;
  std::int64_t groups = 1;

  /// What went wrong; empty: nothing.
  std::string run(TensorObjectPtr& out) const {
    return run_on_gpu([&] {
      Handle addend = bias.get();
      Handle made = nullptr;
      const auto length = [](const Dims& dims) { return static_cast<std::int64_t>(dims.size()); };
      const AOTITorchError code = gpu_function<Convolution>("convolution")(
          input.get(), weight.get(), bias != nullptr ? &addend : nullptr, stride.data(), length(stride),
          padding.data(), length(padding), dilation.data(), length(dilation), transposed ? 1 : 0,
          output_padding.data(), length(output_padding), groups, &made);
      out.reset(made);
      return code;
    });
  }
};

Problem make_problem(const nlohmann::json& one) {
  const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
  const auto& tensors = one.at("tensors");
  Problem problem;
  problem.input = to_gpu(contract::make_input(tensors.at("input"), dtype));
  problem.weight = to_gpu(contract::make_input(tensors.at("weight"), dtype));
  if (tensors.contains("bias")) problem.bias = to_gpu(contract::make_input(tensors.at("bias"), dtype));
  problem.stride = one.at("stride").get<Dims>();
  problem.padding = one.at("padding").get<Dims>();
  problem.dilation = one.at("dilation").get<Dims>();
  problem.output_padding = one.at("output_padding").get<Dims>();
  problem.transposed = one.at("transposed").get<bool>();
  problem.groups = one.at("groups").get<std::int64_t>();
  return problem;
}

/// The recorded strides, but where PyTorch's rule for a GPU is another.
Dims expected_strides(const nlohmann::json& one, const tensor::TensorObject& out) {
  if (out.dtype != DType::Float64) return one.at("tensors").at("out").at("strides").get<Dims>();
  Dims strides(static_cast<std::size_t>(out.rank));
  tensor::fill_contiguous_strides(out.sizes(), strides);
  return strides;
}

void run_recorded() {
  const contract::Recording recording = contract::read_recording("convolution");
  ASSERT_FALSE(recording.cases.empty());
  for (const auto& one : recording.cases) {
    const std::string text = one.dump();
    const Problem problem = make_problem(one);
    for (int round = 0; round < 2; ++round) {
      TensorObjectPtr out;
      const std::string failure = problem.run(out);
      // As in PyTorch, integers are for the CPU.
      if (one.at("dtype").get<std::string>().find("int") != std::string::npos) {
        EXPECT_NE(failure.find("on a GPU"), std::string::npos) << failure;
        break;
      }
      EXPECT_EQ(failure, "") << text;
      if (!failure.empty()) break;
      EXPECT_EQ(Dims(out->sizes().begin(), out->sizes().end()),
                one.at("tensors").at("out").at("sizes").get<Dims>())
          << text;
      // With three spatial dimensions the recording depends on the CPU that made it.
      if (problem.stride.size() < 3 && problem.input->rank < 5) {
        EXPECT_EQ(Dims(out->strides().begin(), out->strides().end()), expected_strides(one, *out)) << text;
      }
      const std::vector<double> actual = gpu_values(*out);
      contract::expect_values(actual, contract::recorded_values(recording, one, actual.size()), out->dtype,
                              text);
    }
  }
}

TEST(GpuConvolution, AnswersAsLibtorch) { run_recorded(); }

TEST(GpuConvolution, AnswersAsLibtorchWithoutTf32) {
  gpu().call.numerics.tf32_convolution = false;
  run_recorded();
  gpu().call.numerics.tf32_convolution = true;
}

TEST(GpuConvolution, AnswersAsLibtorchInPartition) {
  const unsigned whole = gpu().call.sm_count;
  gpu().call.sm_count = 16;
  gpu().reset_lane();
  run_recorded();
  gpu().call.sm_count = whole;
  gpu().reset_lane();
}

Problem ones(const Dims& input, const Dims& weight, float value) {
  const auto filled = [&](const Dims& sizes, float with) {
    return gpu_tensor(sizes,
                      std::vector<float>(static_cast<std::size_t>(*tensor::checked_numel(sizes)), with));
  };
  const std::size_t spatial = input.size() - 2;
  Problem problem;
  problem.input = filled(input, value);
  problem.weight = filled(weight, 1);
  problem.stride = problem.dilation = Dims(spatial, 1);
  problem.padding = problem.output_padding = Dims(spatial, 0);
  return problem;
}

TEST(GpuConvolution, KeepsAllOfFloat32WithoutTf32) {
  // TF32 keeps 10 bits behind the point, too few for this number.
  constexpr float kFine = 1.0F + 1.0F / 4096;
  const Problem problem = ones({2, 64, 16, 16}, {64, 64, 1, 1}, kFine);
  gpu().call.numerics.tf32_convolution = false;
  TensorObjectPtr out;
  EXPECT_EQ(problem.run(out), "");
  gpu().call.numerics.tf32_convolution = true;
  ASSERT_NE(out, nullptr);
  EXPECT_EQ(gpu_values(*out), std::vector<double>(2 * 64 * 16 * 16, 64 * kFine));
}

TEST(GpuConvolution, MakesThreeSpatialDimensionsChannelsLast) {
  Problem problem = ones({2, 4, 3, 5, 6}, {8, 4, 1, 1, 1}, 1);
  const auto plain = gpu_tensor({2 * 3 * 5 * 6 * 4}, std::vector<float>(2 * 3 * 5 * 6 * 4, 1));
  problem.input = view(*plain, {2, 4, 3, 5, 6}, {360, 1, 120, 24, 4});
  TensorObjectPtr out;
  ASSERT_EQ(problem.run(out), "");
  EXPECT_EQ(Dims(out->strides().begin(), out->strides().end()), (Dims{720, 1, 240, 48, 8}));
  EXPECT_EQ(gpu_values(*out), std::vector<double>(2 * 8 * 3 * 5 * 6, 4));
}

TEST(GpuConvolution, IsSteady) {
  const Problem problem = ones({1, 8, 20, 20}, {16, 8, 3, 3}, 1);
  TensorObjectPtr out;
  ASSERT_EQ(problem.run(out), "");
  out.reset();
  expect_steady("convolution", [&] {
    TensorObjectPtr made;
    return problem.run(made);
  });
}

TEST(GpuConvolution, RefusesIntegersByName) {
  Problem problem = ones({1, 1, 2, 2}, {1, 1, 1, 1}, 1);
  problem.input->dtype = problem.weight->dtype = DType::Int32;
  TensorObjectPtr out;
  EXPECT_NE(problem.run(out).find("convolution of int32 on a GPU"), std::string::npos);
}

}  // namespace
}  // namespace penstock::gpu
