#include "gpu/ops/both_devices.hpp"

#include "cpu/copy.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace penstock::gpu {
namespace {

using tensor::TensorObjectPtr;
using Option = Flag*;

Flag number_of(DType dtype) { return static_cast<Flag>(dtype); }

std::vector<double> values_of(const tensor::TensorObject& tensor) {
  const TensorObjectPtr wide = RandomTensor{.dtype = DType::Float64, .sizes = {tensor.numel}}.make();
  const TensorObjectPtr flat(tensor::make_tensor(
      tensor.storage, {tensor.dtype, wide->sizes(), wide->strides(), tensor.storage_offset}));
  cpu::copy(*wide, *flat);
  const auto* const data = reinterpret_cast<const double*>(wide->data);
  return {data, data + wide->numel};
}

/// `count` numbers of rand or randn.
std::vector<double> draw(const std::string& name, DType dtype, Int count) {
  const auto made = results_on_gpu({}, 1, [&](const auto& machine, const auto&, Handle* results) {
    Flag wanted = number_of(dtype);
    const Dims sizes{count};
    return call_on(machine, "aoti_torch_cuda_" + name, sizes.data(), Int{1}, &wanted, Option{}, Option{},
                   Flag{0}, Option{}, results);
  });
  EXPECT_EQ(made[0]->dtype, dtype);
  return values_of(*made[0]);
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double deviation(const std::vector<double>& values) {
  const double middle = mean(values);
  double sum = 0;
  for (const double value : values) sum += (value - middle) * (value - middle);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

TEST(GpuRandom, IsUniformBelowOne) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    const auto values = draw("rand", dtype, 20000);
    const auto [least, largest] = std::ranges::minmax(values);
    EXPECT_GE(least, 0);
    EXPECT_LT(largest, 1);
    EXPECT_NEAR(mean(values), 0.5, 0.02);
    EXPECT_NEAR(deviation(values), std::sqrt(1.0 / 12), 0.02);
  }
}

TEST(GpuRandom, IsNormal) {
  for (const DType dtype : {DType::Float32, DType::Float64, DType::Float16, DType::BFloat16}) {
    const auto values = draw("randn", dtype, 20000);
    EXPECT_NEAR(mean(values), 0, 0.05);
    EXPECT_NEAR(deviation(values), 1, 0.05);
    const auto beyond = std::ranges::count_if(values, [](double value) { return std::abs(value) > 1.96; });
    EXPECT_NEAR(static_cast<double>(beyond) / 20000, 0.05, 0.01);
  }
}

TEST(GpuRandom, GivesOthersEachTimeAndSaysThatTheHostChoseThem) {
  gpu().call.read_by_host = nullptr;
  EXPECT_NE(draw("rand", DType::Float64, 8), draw("rand", DType::Float64, 8));
  ASSERT_NE(gpu().call.read_by_host, nullptr);
  EXPECT_EQ(std::string(gpu().call.read_by_host), "rand");
  const auto before = draw("rand", DType::Float64, 8);
  gpu().reset_lane();
  EXPECT_NE(before, draw("rand", DType::Float64, 8));
}

Call seeds_call(Int low, Int high) {
  return [=](const auto& machine, const auto& given, Handle* results) {
    if (call_on(machine, "aoti_torch_new_tensor_handle", given[0], results) != 0) return 1;
    return call_on(machine, "aoti_torch_cuda_randint_low_out", given[0], low, high,
                   static_cast<const Int*>(given[0]->size.data()), Int{given[0]->rank});
  };
}

std::vector<TensorObjectPtr> empty(Int count, DType dtype = DType::Int64) {
  std::vector<TensorObjectPtr> tensors;
  tensors.push_back(RandomTensor{.dtype = dtype, .sizes = {count}, .spread = 1}.make());
  return tensors;
}

TEST(GpuRandint, GivesSeedsOfAllBits) {
  const auto made = results_on_gpu(empty(1000), 1, seeds_call(INT64_MIN, INT64_MAX));
  const auto* const seeds = reinterpret_cast<const Int*>(made[0]->data);
  const std::set<Int> different(seeds, seeds + 1000);
  EXPECT_EQ(different.size(), 1000U);
  for (int bit = 0; bit < 64; ++bit) {
    const auto set = std::count_if(seeds, seeds + 1000, [bit](Int seed) { return (seed >> bit & 1) != 0; });
    EXPECT_NEAR(static_cast<double>(set), 500, 100) << "bit " << bit;
  }
}

TEST(GpuRandint, StaysInItsRange) {
  for (const DType dtype : {DType::Int64, DType::Int8, DType::Float32, DType::UInt8}) {
    const auto made = results_on_gpu(empty(3000, dtype), 1, seeds_call(3, 7));
    const auto values = values_of(*made[0]);
    EXPECT_EQ(std::set<double>(values.begin(), values.end()), (std::set<double>{3, 4, 5, 6}));
  }
}

TEST(GpuRandint, RefusesRangesThatAreNone) {
  const auto out = to_gpu(integers({2}, {0, 0}, DType::Int8));
  const Handle given = out.get();
  Handle result = nullptr;
  EXPECT_EQ(run_on_gpu([&] { return seeds_call(3, 3)(gpu(), {given}, &result); }),
            "random_ expects 'from' to be less than 'to', but got from=3 >= to=3");
  tensor::free_tensor(std::exchange(result, nullptr));
  EXPECT_EQ(run_on_gpu([&] { return seeds_call(0, 200)(gpu(), {given}, &result); }),
            "to - 1 is out of bounds for int8");
  tensor::free_tensor(result);
}

TEST(GpuRandperm, OrdersEachNumberOnce) {
  const auto draw_order = [] {
    const auto made = results_on_gpu({}, 1, [](const auto& machine, const auto&, Handle* results) {
      return call_on(machine, "aoti_torch_cuda_randperm", Int{3000}, Option{}, Option{}, Option{}, Flag{0},
                     Option{}, results);
    });
    return values_of(*made[0]);
  };
  std::vector<double> order = draw_order();
  EXPECT_NE(order, draw_order());
  EXPECT_FALSE(std::ranges::is_sorted(order));
  std::ranges::sort(order);
  for (std::size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<double>(i));
}

TEST(GpuRandom, MakesTensorsLikeOthers) {
  std::vector<TensorObjectPtr> tensors;
  tensors.push_back(RandomTensor{.dtype = DType::Float16, .sizes = {20, 30}, .order = {1, 0}}.make());
  const auto made = results_on_gpu(tensors, 1, [](const auto& machine, const auto& given, Handle* results) {
    return call_on(machine, "aoti_torch_cuda_randn_like", given[0], Option{}, Option{}, Option{}, Flag{0},
                   Option{}, Option{}, results);
  });
  EXPECT_EQ(made[0]->dtype, DType::Float16);
  EXPECT_EQ(made[0]->stride[0], 1);
  EXPECT_NEAR(deviation(values_of(*made[0])), 1, 0.2);
  const auto uniform =
      results_on_gpu(tensors, 1, [](const auto& machine, const auto& given, Handle* results) {
        return call_on(machine, "aoti_torch_cuda_uniform", given[0], 3.0, 5.0, static_cast<void**>(nullptr),
                       results);
      });
  const auto values = values_of(*uniform[0]);
  const auto [least, largest] = std::ranges::minmax(values);
  EXPECT_GE(least, 3);
  EXPECT_LE(largest, 5);
  EXPECT_NEAR(mean(values), 4, 0.2);
}

}  // namespace
}  // namespace penstock::gpu
