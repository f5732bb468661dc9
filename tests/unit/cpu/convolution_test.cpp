#include "cpu/convolution.hpp"

#include "cpu/convolution_shape.hpp"
#include "cpu/onednn.hpp"
#include "cpu/op_state_impl.hpp"
#include "tensor/layout.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;

TensorObjectPtr make(const Dims& sizes, Dims strides = {}, DType dtype = DType::Float32) {
  if (strides.empty()) {
    strides.resize(sizes.size());
    tensor::fill_contiguous_strides(sizes, strides);
  }
  const auto count = static_cast<std::size_t>(tensor::checked_extent(sizes, strides).value());
  tensor::Storage* storage = tensor::allocate_host_storage(count * element_bytes(dtype));
  TensorObjectPtr made(tensor::make_tensor(storage, {dtype, sizes, strides, 0}));
  storage->drop();
  if (dtype != DType::Float32) return made;
  for (std::size_t i = 0; i < count; ++i) {
    reinterpret_cast<float*>(made->data)[i] = static_cast<float>(i * 5 % 11) - 5;
  }
  return made;
}

float at(const TensorObject& tensor, const Dims& index) {
  std::int64_t place = 0;
  for (std::size_t i = 0; i < index.size(); ++i) place += index[i] * tensor.stride[i];
  return reinterpret_cast<const float*>(tensor.data)[place];
}

/// Every value of one, with spans over them.
struct Geometry {
  Dims stride{1};
  Dims padding{0};
  Dims dilation{1};
  bool transposed = false;
  Dims output_padding{0};
  std::int64_t groups = 1;

  [[nodiscard]] ConvolutionGeometry spans() const {
    return {stride, padding, dilation, transposed, output_padding, groups};
  }
};

/// One element of a convolution over two spatial dimensions, by its definition.
float reference(const TensorObject& input, const TensorObject& weight, const Geometry& geometry,
                const Dims& index) {
  const std::int64_t in_group = geometry.transposed ? weight.size[0] / geometry.groups : weight.size[1];
  const std::int64_t out_group = geometry.transposed ? weight.size[1] : weight.size[0] / geometry.groups;
  const std::int64_t group = index[1] / out_group;
  const std::int64_t step = geometry.stride[0];
  float sum = 0;
  for (std::int64_t c = 0; c < in_group; ++c) {
    for (std::int64_t y = 0; y < weight.size[2]; ++y) {
      for (std::int64_t x = 0; x < weight.size[3]; ++x) {
        const std::int64_t channel = group * in_group + c;
        std::int64_t row = 0;
        std::int64_t column = 0;
        Dims tap{index[1], c, y, x};
        if (geometry.transposed) {
          row = index[2] + geometry.padding[0] - y * geometry.dilation[0];
          column = index[3] + geometry.padding[0] - x * geometry.dilation[0];
          if (row % step != 0 || column % step != 0) continue;
          row /= step;
          column /= step;
          tap = {channel, index[1] % out_group, y, x};
        } else {
          row = index[2] * step - geometry.padding[0] + y * geometry.dilation[0];
          column = index[3] * step - geometry.padding[0] + x * geometry.dilation[0];
        }
        if (row < 0 || column < 0 || row >= input.size[2] || column >= input.size[3]) continue;
        sum += at(input, {index[0], channel, row, column}) * at(weight, tap);
      }
    }
  }
  return sum;
}

class Convolution : public testing::Test {
 protected:
  void SetUp() override {
    if (onednn() == nullptr) GTEST_SKIP() << "oneDNN is not installed";
  }

  TensorObjectPtr run(const TensorObject& input, const TensorObject& weight, const TensorObject* bias,
                      const Geometry& geometry) {
    const auto shape = convolution_output(input, weight, bias, geometry.spans());
    auto out = make(shape.sizes, shape.strides);
    convolution(context, *out, input, weight, bias, geometry.spans());
    return out;
  }

  void expect_reference(const TensorObject& input, const TensorObject& weight, const Geometry& geometry) {
    const auto out = run(input, weight, nullptr, geometry);
    for (std::int64_t n = 0; n < out->size[0]; ++n) {
      for (std::int64_t c = 0; c < out->size[1]; ++c) {
        for (std::int64_t y = 0; y < out->size[2]; ++y) {
          for (std::int64_t x = 0; x < out->size[3]; ++x) {
            const Dims index{n, c, y, x};
            ASSERT_NEAR(at(*out, index), reference(input, weight, geometry, index), 1e-2) << n << c << y << x;
          }
        }
      }
    }
  }

  OpState state;
  OpContext context{state, 1};
};

TEST_F(Convolution, IsWhatItsDefinitionSays) {
  expect_reference(*make({2, 3, 7, 6}), *make({4, 3, 3, 2}), {.stride = {2}, .padding = {1}});
  expect_reference(*make({1, 4, 9, 9}), *make({6, 2, 3, 3}), {.dilation = {2}, .groups = 2});
  expect_reference(*make({1, 4, 5, 5}), *make({4, 1, 3, 3}), {.padding = {1}, .groups = 4});
  expect_reference(*make({2, 3, 4, 4}), *make({3, 5, 3, 3}),
                   {.stride = {2}, .padding = {1}, .transposed = true, .output_padding = {1}});
  expect_reference(*make({1, 4, 4, 3}), *make({4, 2, 2, 2}),
                   {.dilation = {2}, .transposed = true, .groups = 2});
}

TEST_F(Convolution, OfWhichOnednnHasNoTransposedOneIsMadeAllTheSame) {
  Geometry geometry{.dilation = {3}, .transposed = true, .output_padding = {2}};
  expect_reference(*make({1, 2, 4, 4}), *make({2, 3, 2, 2}), geometry);
  geometry.groups = 2;
  expect_reference(*make({2, 4, 3, 4}), *make({4, 3, 2, 2}), geometry);
}

TEST_F(Convolution, TakesInputsAndWeightsOfAnyStrides) {
  expect_reference(*make({1, 2, 5, 5}, {0, 0, 5, 1}), *make({3, 2, 3, 3}, {0, 9, 3, 1}), {});
  expect_reference(*make({1, 2, 5, 5}, {200, 3, 40, 8}), *make({3, 2, 3, 3}, {1, 3, 20, 7}), {});
  expect_reference(*make({1, 2, 5, 5}, {50, 1, 2, 10}), *make({3, 2, 2, 2}, {1, 3, 6, 12}), {.padding = {1}});
}

TEST_F(Convolution, AddsABiasOfAnyStride) {
  const auto input = make({1, 2, 4, 4});
  const auto weight = make({3, 2, 3, 3});
  const auto bias = make({3}, {2});
  const auto plain = run(*input, *weight, nullptr, {});
  const auto out = run(*input, *weight, bias.get(), {});
  for (std::int64_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(at(*out, {0, c, 1, 1}), at(*plain, {0, c, 1, 1}) + at(*bias, {c}), 1e-3);
  }
}

TEST_F(Convolution, ReordersAConstantWeightOnce) {
  const auto input = make({1, 64, 14, 14});
  const auto weight = make({64, 64, 3, 3});
  weight->storage->constant = true;
  const auto first = run(*input, *weight, nullptr, {});
  EXPECT_LE(weight->storage->derived.size(), 1U);
  const auto second = run(*input, *weight, nullptr, {});
  EXPECT_LE(weight->storage->derived.size(), 1U);
  EXPECT_EQ(at(*first, {0, 5, 3, 3}), at(*second, {0, 5, 3, 3}));
}

TEST_F(Convolution, ReadsAWeightThatMayChangeEachTime) {
  const auto input = make({1, 64, 14, 14});
  const auto weight = make({64, 64, 3, 3});
  run(*input, *weight, nullptr, {});
  EXPECT_TRUE(weight->storage->derived.empty());
  std::fill_n(reinterpret_cast<float*>(weight->data), weight->numel, 0.0F);
  EXPECT_EQ(at(*run(*input, *weight, nullptr, {}), {0, 5, 3, 3}), 0.0F);
}

TEST_F(Convolution, OfNoBatchIsNothing) {
  const auto out = run(*make({0, 3, 5, 5}), *make({4, 3, 3, 3}), nullptr, {});
  EXPECT_EQ(out->numel, 0);
  EXPECT_EQ(out->size[1], 4);
}

void expect_error(ErrorCode code, const std::string& part, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST_F(Convolution, RefusesWhatDoesNotGoTogether) {
  const auto input = make({1, 3, 5, 5});
  const auto weight = make({4, 3, 3, 3});
  const auto expect = [&](const std::string& part, const TensorObject& tensor, const Geometry& geometry,
                          const TensorObject* bias = nullptr) {
    expect_error(ErrorCode::InvalidArgument, part,
                 [&] { convolution_output(*input, tensor, bias, geometry.spans()); });
  };
  expect("3 channels", *make({4, 2, 3, 3}), {});
  expect("in 2 groups", *weight, {.groups = 2});
  expect("in 0 groups", *weight, {.groups = 0});
  expect("3 to 5 dimensions", *make({4, 3, 3}), {});
  expect("stride of 0", *weight, {.stride = {0}});
  expect("padding of -1", *weight, {.padding = {-1}});
  expect("stride has 3 values for 2", *weight, {.stride = {1, 1, 1}});
  expect("too small", *make({4, 3, 6, 6}), {});
  expect("output_padding 2", *make({3, 4, 3, 3}), {.stride = {2}, .transposed = true, .output_padding = {2}});
  expect("bias of sizes [3] for 4 channels", *weight, {}, make({3}).get());
  const auto wide = make({1, 3, 5, 5}, {}, DType::Float64);
  expect_error(ErrorCode::InvalidArgument, "float64 and float32",
               [&] { convolution_output(*wide, *weight, nullptr, Geometry{}.spans()); });
  const auto whole = make({1, 3, 5, 5}, {}, DType::Complex64);
  const auto whole_weight = make({4, 3, 3, 3}, {}, DType::Complex64);
  const auto whole_out = make({1, 4, 3, 3}, {}, DType::Complex64);
  expect_error(ErrorCode::Unsupported, "complex64",
               [&] { convolution(context, *whole_out, *whole, *whole_weight, nullptr, Geometry{}.spans()); });
  expect_error(ErrorCode::InvalidArgument, "float32[1, 4, 3, 3] is needed", [&] {
    convolution(context, *make({1, 4, 3, 2}), *input, *weight, nullptr, Geometry{}.spans());
  });
}

TEST(ConvolutionWithoutOnednn, IsRefusedWithHowToGetIt) {
  if (onednn() != nullptr) GTEST_SKIP() << "oneDNN is installed; LinearAlgebra.WithoutOnednn runs this";
  OpState state;
  OpContext context{state, 1};
  const auto out = make({1, 4, 3, 3});
  expect_error(ErrorCode::Unsupported, "convolution needs oneDNN", [&] {
    convolution(context, *out, *make({1, 3, 5, 5}), *make({4, 3, 3, 3}), nullptr, Geometry{}.spans());
  });
  expect_error(ErrorCode::Unsupported, "PENSTOCK_ONEDNN", [] { require_onednn("convolution"); });
}

TEST(ConvolutionShape, TellsChannelsLastAsPyTorchDoes) {
  EXPECT_TRUE(suggests_channels_last(Dims{2, 3, 4, 5}, Dims{60, 1, 15, 3}));
  EXPECT_FALSE(suggests_channels_last(Dims{2, 3, 4, 5}, Dims{60, 20, 5, 1}));
  EXPECT_FALSE(suggests_channels_last(Dims{2, 1, 1, 1}, Dims{1, 1, 1, 1}));
  EXPECT_TRUE(suggests_channels_last(Dims{1, 8, 1, 1}, Dims{8, 1, 8, 8}));
  EXPECT_FALSE(suggests_channels_last(Dims{2, 3, 4, 5}, Dims{0, 0, 0, 0}));
  EXPECT_TRUE(suggests_channels_last(Dims{2, 3, 4, 5, 6}, Dims{360, 1, 90, 18, 3}));
}

}  // namespace
}  // namespace penstock::cpu
