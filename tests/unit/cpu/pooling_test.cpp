#include "cpu/pooling.hpp"

#include "tensor/layout.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace penstock::cpu {
namespace {

using tensor::TensorObjectPtr;

TensorObjectPtr make(const Dims& sizes, const Dims& strides, DType dtype) {
  const auto count = static_cast<std::size_t>(tensor::checked_extent(sizes, strides).value());
  tensor::Storage* storage = tensor::allocate_host_storage(count * element_bytes(dtype));
  TensorObjectPtr made(tensor::make_tensor(storage, {dtype, sizes, strides, 0}));
  storage->drop();
  return made;
}

TEST(Pooling, GivesTheSameWithThreads) {
  const Dims sizes{3, 5, 60, 50};
  Dims strides(4);
  tensor::fill_contiguous_strides(sizes, strides);
  const TensorObjectPtr input = make(sizes, strides, DType::Float32);
  for (std::int64_t i = 0; i < input->numel; ++i) {
    reinterpret_cast<float*>(input->data)[i] = static_cast<float>(i * 2654435761 % 1009);
  }
  const Dims kernel{3};
  const Dims stride{2};
  const Dims padding{1};
  const PoolWindow window{
      .spatial = 2, .kernel = kernel, .stride = stride, .padding = padding, .dilation = {}};
  const PoolLayout layout = max_pool_layout(*input, window);
  std::vector<std::vector<float>> values;
  std::vector<std::vector<std::int64_t>> indices;
  for (const int threads : {1, 4}) {
    OpState state;
    OpContext context{state, threads};
    const TensorObjectPtr out = make(layout.sizes, layout.strides, DType::Float32);
    const TensorObjectPtr places = make(layout.sizes, layout.strides, DType::Int64);
    max_pool(context, *out, *places, *input, window);
    const auto* value = reinterpret_cast<const float*>(out->data);
    const auto* place = reinterpret_cast<const std::int64_t*>(places->data);
    values.emplace_back(value, value + out->numel);
    indices.emplace_back(place, place + out->numel);
    // Each index is where its value is.
    for (std::int64_t i = 0; i < out->numel; ++i) {
      const std::int64_t plane = i / (layout.sizes[2] * layout.sizes[3]);
      EXPECT_EQ(value[i], reinterpret_cast<const float*>(input->data)[plane * 60 * 50 + place[i]]) << i;
    }
  }
  EXPECT_EQ(values[0], values[1]);
  EXPECT_EQ(indices[0], indices[1]);
}

}  // namespace
}  // namespace penstock::cpu
