#include "gpu/ops/harness.hpp"

#include <gtest/gtest.h>

namespace penstock::gpu {
namespace {

using Sort = AOTITorchError(AtenTensorHandle, std::int64_t, std::int32_t, AtenTensorHandle*,
                            AtenTensorHandle*);

TEST(GpuKernels, AreLoadedForTheFunctionsThatWerePreparedAndNoOther) {
  const tensor::TensorObjectPtr numbers = gpu_tensor({3}, {3, 1, 2});
  AtenTensorHandle values = nullptr;
  AtenTensorHandle indices = nullptr;
  auto* const sort = gpu_function<Sort>("sort");
  EXPECT_EQ(run_on_gpu([&] { return sort(numbers.get(), 0, 0, &values, &indices); }), "");
  EXPECT_EQ(gpu_values(*tensor::TensorObjectPtr(values)), (std::vector<double>{1, 2, 3}));
  tensor::free_tensor(indices);
  gpu().prepare_only("aoti_torch_cuda_cumsum");
  const std::string message = run_on_gpu([&] { return sort(numbers.get(), 0, 0, &values, &indices); });
  EXPECT_NE(message.find("is of none of the images that the model's functions need"), message.npos)
      << message;
}

TEST(GpuKernels, OfCopiesAndFillsAreThereForEveryModel) {
  gpu().prepare_only("aoti_torch_cuda_convolution");
  gpu().prepare_only("no function of ours");
  const tensor::TensorObjectPtr numbers = gpu_tensor({2, 2}, {1, 2, 3, 4});
  const tensor::TensorObjectPtr across = view(*numbers, {2, 2}, {1, 2});
  const tensor::TensorObjectPtr made = gpu_tensor({2, 2}, {0, 0, 0, 0});
  gpu().call.operators->copy(gpu().call, *made, *across);
  EXPECT_EQ(gpu_values(*made), (std::vector<double>{1, 3, 2, 4}));
  gpu().call.operators->zero(gpu().call, *view(*made, {2}, {2}));
  EXPECT_EQ(gpu_values(*made), (std::vector<double>{0, 3, 0, 4}));
}

}  // namespace
}  // namespace penstock::gpu
