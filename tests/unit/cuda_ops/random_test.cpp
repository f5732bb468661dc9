#include "cuda_ops/random.hpp"

#include <penstock/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdint>

namespace penstock::cuda_ops {
namespace {

TEST(CudaRandom, IsRefusedWhileWeightsAreComputed) {
  shim::CudaCall call;
  call.is_load = true;
  std::array<std::int64_t, 1> one{1};
  const tensor::StorageReference storage(tensor::borrow_storage(&one, sizeof one, {DeviceType::Cuda, 0}));
  const tensor::TensorObjectPtr out(
      tensor::make_tensor(storage.get(), {.dtype = DType::Float32, .sizes = one, .strides = one}));
  try {
    draw_reals(call, *out, {}, "aoti_torch_cuda_randn");
    ADD_FAILURE() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
    EXPECT_THAT(error.what(), testing::HasSubstr("aoti_torch_cuda_randn while the model is loaded"));
  }
}

}  // namespace
}  // namespace penstock::cuda_ops
