#include <penstock/error.hpp>
#include <penstock/tensor.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <numeric>
#include <vector>

namespace penstock {
namespace {

using Dims = std::vector<std::int64_t>;

template <class Call>
void expect_invalid(Call call, const std::string& part) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Device, GoesToTextAndBack) {
  EXPECT_EQ(to_string(Device{}), "cpu");
  EXPECT_EQ(to_string(Device{DeviceType::Cuda, 3}), "cuda:3");
  EXPECT_EQ(device_from_string("cpu"), Device{});
  EXPECT_EQ(device_from_string("cuda"), (Device{DeviceType::Cuda, 0}));
  EXPECT_EQ(device_from_string("cuda:12"), (Device{DeviceType::Cuda, 12}));
}

TEST(Device, RefusesOtherText) {
  for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "cpu:0"}) {
    expect_invalid([&] { device_from_string(text); }, "is not a device");
  }
}

TEST(TensorView, DefaultIsNoTensor) {
  const TensorView view;
  EXPECT_EQ(view.data(), nullptr);
  EXPECT_EQ(view.rank(), 1U);
  EXPECT_EQ(view.numel(), 0);
}

TEST(TensorView, RowMajorGetters) {
  std::vector<float> data(24);
  const TensorView view(data.data(), DType::Float32, {2, 3, 4});
  EXPECT_EQ(view.data(), data.data());
  EXPECT_EQ(view.dtype(), DType::Float32);
  EXPECT_EQ(view.device(), Device{});
  EXPECT_EQ(view.rank(), 3U);
  EXPECT_EQ(view.storage_bytes(), 96U);
  EXPECT_EQ(Dims(view.sizes().begin(), view.sizes().end()), (Dims{2, 3, 4}));
  EXPECT_EQ(Dims(view.strides().begin(), view.strides().end()), (Dims{12, 4, 1}));
  EXPECT_EQ(view.numel(), 24);
  EXPECT_TRUE(view.is_contiguous());
  EXPECT_EQ(view.data_as<float>(), data.data());
  EXPECT_EQ(to_string(view), "float32[2, 3, 4]");
}

TEST(TensorView, StridedReach) {
  std::vector<double> data(20);
  const TensorView view(data.data(), DType::Float64, Dims{2, 3}, Dims{1, 5}, 0);
  EXPECT_EQ(view.storage_bytes(), 12U * 8);
  EXPECT_FALSE(view.is_contiguous());
  EXPECT_EQ(TensorView(data.data(), DType::Float64, Dims{2, 3}, Dims{1, 5}, 160).storage_bytes(), 160U);
}

TEST(TensorView, RefusesWhatCannotBe) {
  expect_invalid([] { TensorView(nullptr, DType::Float32, {2, -1}); }, "negative size");
  expect_invalid([] { TensorView(nullptr, DType::Float32, {INT64_MAX / 2}); }, "overflows");
  expect_invalid([] { TensorView(nullptr, static_cast<DType>(12), {1}); }, "unknown dtype");
  expect_invalid([] { TensorView(nullptr, DType::Float32, Dims(17, 1)); }, "17 dimensions");
  expect_invalid([] { TensorView(nullptr, DType::Float32, Dims{2}, Dims{1, 1}, 0); }, "2 strides");
  expect_invalid([] { TensorView(nullptr, DType::Float32, Dims{2}, Dims{-1}, 0); }, "negative stride");
  expect_invalid([] { TensorView(nullptr, DType::Float32, Dims{4}, Dims{1}, 12); }, "needs 16 bytes");
}

TEST(TensorView, TypedDataChecksSizeAndDevice) {
  float value = 0;
  const TensorView view(&value, DType::Float32, {1});
  expect_invalid([&] { (void)view.data_as<double>(); }, "elements of 8 bytes");
  const TensorView device(&value, DType::Float32, {1}, Device{DeviceType::Cuda, 1});
  expect_invalid([&] { (void)device.data_as<float>(); }, "cuda:1");
}

TEST(Tensor, OwnsAlignedMemory) {
  const Tensor tensor = Tensor::empty(DType::BFloat16, {3, 5});
  ASSERT_TRUE(tensor.defined());
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(tensor.view().data()) % 64, 0U);
  EXPECT_EQ(tensor.dtype(), DType::BFloat16);
  EXPECT_EQ(tensor.sizes().size(), 2U);
  EXPECT_EQ(tensor.strides()[0], 5);
  EXPECT_EQ(tensor.numel(), 15);
  EXPECT_FALSE(Tensor().defined());
  EXPECT_TRUE(Tensor::empty(DType::Float32, {0}).defined());
}

TEST(Tensor, CopiesShareAndClonesDoNot) {
  const Tensor tensor = Tensor::empty(DType::Int32, {4});
  std::iota(tensor.data_as<std::int32_t>(), tensor.data_as<std::int32_t>() + 4, 1);
  const Tensor shared = tensor;
  const Tensor clone = tensor.clone();
  tensor.data_as<std::int32_t>()[0] = 9;
  EXPECT_EQ(shared.data_as<std::int32_t>()[0], 9);
  EXPECT_EQ(clone.data_as<std::int32_t>()[0], 1);
}

TEST(Tensor, CopyOfStridedIsRowMajor) {
  std::vector<float> data{1, 2, 3, 4, 5, 6};
  const Tensor copy = Tensor::copy_of(TensorView(data.data(), DType::Float32, Dims{3, 2}, Dims{1, 3}, 0));
  EXPECT_TRUE(copy.view().is_contiguous());
  EXPECT_EQ(std::vector<float>(copy.data_as<float>(), copy.data_as<float>() + 6),
            (std::vector<float>{1, 4, 2, 5, 3, 6}));
  const TensorView device(nullptr, DType::Float32, {1}, Device{DeviceType::Cuda, 0});
  expect_invalid([&] { Tensor::copy_of(device); }, "host memory");
}

TEST(Tensor, AdoptKeepsTheOwner) {
  auto owner = std::make_shared<std::vector<float>>(3);
  const std::weak_ptr<void> watch = owner;
  {
    const TensorView view(owner->data(), DType::Float32, {3});
    const Tensor tensor = Tensor::adopt(view, std::move(owner));
    EXPECT_FALSE(watch.expired());
    EXPECT_EQ(tensor.numel(), 3);
  }
  EXPECT_TRUE(watch.expired());
}

TEST(TensorSpec, IsWrittenWithItsRanges) {
  TensorSpec spec;
  spec.dims = {{1, 64, "s0"}, {3, 3, ""}, {2, INT64_MAX, "s1"}};
  EXPECT_EQ(to_string(spec), "float32[1..64, 3, 2..]");
}

TEST(Tensor, IsCopiedToTheStridesAskedFor) {
  const std::array<float, 6> numbers{0, 1, 2, 3, 4, 5};
  const TensorView view(const_cast<float*>(numbers.data()), DType::Float32, {2, 3});
  const std::vector<std::int64_t> strides{1, 4};
  const Tensor copy = Tensor::copy_of(view, strides);
  EXPECT_EQ(std::vector<std::int64_t>(copy.strides().begin(), copy.strides().end()), strides);
  EXPECT_EQ(copy.view().storage_bytes(), 10 * sizeof(float));
  const std::vector<float> expected{0, 3, 0, 0, 1, 4, 0, 0, 2, 5};
  const auto* data = static_cast<const float*>(copy.view().data());
  EXPECT_EQ(std::vector<float>(data, data + 10), expected);
  const std::vector<std::int64_t> expanded{0, 1};
  EXPECT_THROW(Tensor::copy_of(view, expanded), Error) << "the rows differ";
  const std::array<float, 6> rows{7, 8, 9, 7, 8, 9};
  const TensorView alike(const_cast<float*>(rows.data()), DType::Float32, {2, 3});
  const Tensor shared = Tensor::copy_of(alike, expanded);
  EXPECT_EQ(shared.view().storage_bytes(), 3 * sizeof(float));
  EXPECT_EQ(static_cast<const float*>(shared.view().data())[2], 9.0F);
  EXPECT_THROW(Tensor::copy_of(view, std::vector<std::int64_t>{1, 1}), Error);
  EXPECT_THROW(Tensor::copy_of(view, std::vector<std::int64_t>{1}), Error);
}

}  // namespace
}  // namespace penstock
