#include "cuda_ops/convolution.hpp"

#include "tensor/layout.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace penstock::cuda_ops {
namespace {

using Dims = std::vector<std::int64_t>;

tensor::TensorObjectPtr make(const Dims& sizes, bool channels_last = false, DType dtype = DType::Float32) {
  Dims strides(sizes.size());
  if (channels_last) {
    cpu::fill_channels_last_strides(sizes, strides);
  } else {
    tensor::fill_contiguous_strides(sizes, strides);
  }
  const auto elements = static_cast<std::size_t>(*tensor::checked_numel(sizes));
  const tensor::StorageReference storage(tensor::allocate_host_storage(elements * element_bytes(dtype)));
  return tensor::TensorObjectPtr(tensor::make_tensor(storage.get(), {dtype, sizes, strides, 0}));
}

ConvolutionProblem problem_of(const tensor::TensorObject& input, const tensor::TensorObject& weight,
                              const Dims& stride) {
  const Dims zero{0};
  const Dims one{1};
  const cpu::ConvolutionGeometry geometry{
      .stride = stride, .padding = zero, .dilation = one, .transposed = false, .output_padding = zero};
  return convolution_problem(input, weight, cpu::convolution_shape(input, weight, nullptr, geometry), false);
}

TEST(ConvolutionProblem, LooksAtOneSpatialDimensionAsTwo) {
  const ConvolutionProblem problem = problem_of(*make({2, 3, 9}), *make({4, 3, 3}), {2});
  EXPECT_EQ(problem.rank, 4U);
  EXPECT_EQ(problem.input, (ConvolutionDims{2, 3, 1, 9}));
  EXPECT_EQ(problem.weight, (ConvolutionDims{4, 3, 1, 3}));
  EXPECT_EQ(problem.out, (ConvolutionDims{2, 4, 1, 4}));
  EXPECT_EQ(problem.stride, (std::array<std::int64_t, 3>{1, 2}));
  EXPECT_EQ(problem.dilation, (std::array<std::int64_t, 3>{1, 1}));
  EXPECT_EQ(convolution_strides(problem.out, problem.rank, true), (ConvolutionDims{16, 1, 16, 4}));
}

TEST(ConvolutionProblem, IsChannelsLastWhereInputOrWeightIs) {
  EXPECT_FALSE(problem_of(*make({2, 3, 5, 5}), *make({4, 3, 3, 3}), {1}).channels_last);
  EXPECT_TRUE(problem_of(*make({2, 3, 5, 5}, true), *make({4, 3, 3, 3}), {1}).channels_last);
  EXPECT_TRUE(problem_of(*make({2, 3, 5, 5}), *make({4, 3, 3, 3}, true), {1}).channels_last);
  EXPECT_TRUE(problem_of(*make({2, 3, 5, 5, 5}, true), *make({4, 3, 3, 3, 3}), {1}).channels_last);
}

TEST(ConvolutionProblem, IsNeverChannelsLastInFloat64OrOfNothing) {
  constexpr DType kDouble = DType::Float64;
  EXPECT_FALSE(
      problem_of(*make({2, 3, 5, 5}, true, kDouble), *make({4, 3, 3, 3}, true, kDouble), {1}).channels_last);
  EXPECT_FALSE(problem_of(*make({0, 3, 5, 5}, true), *make({4, 3, 3, 3}, true), {1}).channels_last);
}

TEST(ConvolutionKey, DiffersWithEachThingThatAnEngineIsChosenBy) {
  const ConvolutionProblem problem = problem_of(*make({2, 3, 5, 5}), *make({4, 3, 3, 3}), {1});
  const std::array<std::int64_t, 3> alignments{16, 16, 16};
  const ConvolutionKey key = convolution_key(problem, {}, alignments);
  EXPECT_EQ(key, convolution_key(problem, {}, alignments));
  const auto differs = [&](const ConvolutionProblem& other, const EngineRules& rules,
                           std::int64_t alignment) {
    return key != convolution_key(other, rules, std::array<std::int64_t, 3>{16, 16, alignment});
  };
  EXPECT_TRUE(differs(problem, {}, 4));
  EXPECT_TRUE(differs(problem, {.tensor_cores = false}, 16));
  EXPECT_TRUE(differs(problem, {.sm_count = 16}, 16));
  ConvolutionProblem other = problem;
  other.transposed = true;
  EXPECT_TRUE(differs(other, {}, 16));
  other = problem;
  other.channels_last = true;
  EXPECT_TRUE(differs(other, {}, 16));
  other = problem;
  other.dtype = DType::Float16;
  EXPECT_TRUE(differs(other, {}, 16));
  other = problem;
  other.dilation[1] = 2;
  EXPECT_TRUE(differs(other, {}, 16));
  other = problem;
  other.out[3] = 4;
  EXPECT_TRUE(differs(other, {}, 16));
}

}  // namespace
}  // namespace penstock::cuda_ops
