#include "cpu/linear_algebra.hpp"

#include "cpu/onednn.hpp"
#include "cpu/op_state_impl.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <thread>
#include <vector>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;
using Dims = std::vector<std::int64_t>;

/// A float tensor over `data` from `offset` on.
TensorObjectPtr view(std::vector<float>& data, const Dims& sizes, const Dims& strides,
                     std::int64_t offset = 0) {
  tensor::Storage* storage = tensor::borrow_storage(data.data(), data.size() * sizeof(float), {});
  TensorObjectPtr made(tensor::make_tensor(storage, {DType::Float32, sizes, strides, offset}));
  storage->drop();
  return made;
}

std::vector<float> numbers(std::size_t count) {
  std::vector<float> made(count);
  for (std::size_t i = 0; i < count; ++i) made[i] = static_cast<float>(i * 7 % 13) - 6;
  return made;
}

/// a [n, m] @ b [m, p] of row-major matrices.
std::vector<float> product(const std::vector<float>& a, const std::vector<float>& b, std::int64_t n,
                           std::int64_t m, std::int64_t p) {
  std::vector<float> c(static_cast<std::size_t>(n * p));
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < p; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < m; ++k) {
        sum += static_cast<double>(a[static_cast<std::size_t>(i * m + k)]) *
               b[static_cast<std::size_t>(k * p + j)];
      }
      c[static_cast<std::size_t>(i * p + j)] = static_cast<float>(sum);
    }
  }
  return c;
}

class LinearAlgebra : public testing::Test {
 protected:
  OpState state;
  OpContext context{state, 2};
};

TEST_F(LinearAlgebra, OutMayBeSelf) {
  auto a = numbers(6);
  auto b = numbers(6);
  auto c = numbers(4);
  auto expected = product(a, b, 2, 3, 2);
  for (std::size_t i = 0; i < 4; ++i) expected[i] = 2 * c[i] + 3 * expected[i];
  const auto out = view(c, {2, 2}, {2, 1});
  addmm(context, *out, *out, *view(a, {2, 3}, {3, 1}), *view(b, {3, 2}, {2, 1}), {2, 3});
  EXPECT_EQ(c, expected);
}

TEST_F(LinearAlgebra, OutMayBeSelfInAnyLayoutAndSize) {
  for (const std::int64_t n : {3, 130}) {
    const std::int64_t m = n == 3 ? 4 : 100;
    auto a = numbers(static_cast<std::size_t>(n * m));
    auto b = numbers(static_cast<std::size_t>(m * n));
    const auto plain = product(a, b, n, m, n);
    for (const Dims& strides : {Dims{n, 1}, Dims{1, n}}) {
      auto c = numbers(static_cast<std::size_t>(n * n));
      const auto before = c;
      const auto out = view(c, {n, n}, strides);
      addmm(context, *out, *out, *view(a, {n, m}, {m, 1}), *view(b, {m, n}, {n, 1}), {-1, 0.5});
      for (std::int64_t i = 0; i < n * n; ++i) {
        const auto at = static_cast<std::size_t>(i / n * strides[0] + i % n * strides[1]);
        ASSERT_NEAR(c[at], 0.5F * plain[static_cast<std::size_t>(i)] - before[at], 1e-3) << i;
      }
    }
  }
}

TEST_F(LinearAlgebra, OutMayShareMemoryWithAnOperandOrAShiftedSelf) {
  auto data = numbers(12);
  const auto before = data;
  auto b = numbers(9);
  mm(context, *view(data, {3, 3}, {3, 1}), *view(data, {3, 3}, {3, 1}, 3), *view(b, {3, 3}, {3, 1}));
  const auto expected = product({before.begin() + 3, before.end()}, b, 3, 3, 3);
  EXPECT_EQ(std::vector<float>(data.begin(), data.begin() + 9), expected);

  data = numbers(12);
  auto a = numbers(9);
  addmm(context, *view(data, {3, 3}, {3, 1}, 3), *view(data, {3, 3}, {3, 1}), *view(a, {3, 3}, {3, 1}),
        *view(b, {3, 3}, {3, 1}), {1, 1});
  auto sum = product(a, b, 3, 3, 3);
  for (std::size_t i = 0; i < 9; ++i) sum[i] += before[i];
  EXPECT_EQ(std::vector<float>(data.begin() + 3, data.end()), sum);
}

TEST_F(LinearAlgebra, WritesNothingBetweenStrides) {
  auto a = numbers(6);
  auto b = numbers(6);
  std::vector<float> c(20, 77);
  mm(context, *view(c, {2, 2}, {9, 3}, 1), *view(a, {2, 3}, {3, 1}), *view(b, {3, 2}, {2, 1}));
  const auto expected = product(a, b, 2, 3, 2);
  std::vector<float> all(20, 77);
  all[1] = expected[0];
  all[4] = expected[1];
  all[10] = expected[2];
  all[13] = expected[3];
  EXPECT_EQ(c, all);
}

TEST_F(LinearAlgebra, BetaOfZeroReadsNoSelfOfAnySize) {
  std::vector<float> nan(1, std::numeric_limits<float>::quiet_NaN());
  auto a = numbers(4);
  std::vector<float> c(4);
  const auto square = view(a, {2, 2}, {2, 1});
  addmm(context, *view(c, {2, 2}, {2, 1}), *view(nan, {1}, {1}), *square, *square, {0, 1});
  EXPECT_EQ(c, product(a, a, 2, 2, 2));
}

TEST_F(LinearAlgebra, ThreadSettingOfTheCallerStays) {
  const OnednnApi* const api = onednn();
  if (api == nullptr || api->get_max_threads == nullptr) GTEST_SKIP() << "no oneDNN with OpenMP";
  api->set_num_threads(3);
  {
    const OnednnThreads threads(*api, 2);
    EXPECT_EQ(threads.count(), 2);
    EXPECT_EQ(api->get_max_threads(), 2);
    const OnednnThreads more(*api, 100);
    EXPECT_EQ(more.count(), 2);
  }
  EXPECT_EQ(api->get_max_threads(), 3);
  auto a = numbers(128 * 128);
  std::vector<float> c(128 * 128);
  const auto square = view(a, {128, 128}, {128, 1});
  context.threads = 1;
  mm(context, *view(c, {128, 128}, {128, 1}), *square, *square);
  EXPECT_EQ(api->get_max_threads(), 3);
  EXPECT_EQ(state.impl().operations.size(), 1U);
}

TEST_F(LinearAlgebra, SmallProductsPrepareNothing) {
  auto a = numbers(64 * 64);
  std::vector<float> c(64 * 64);
  const auto square = view(a, {64, 64}, {64, 1});
  mm(context, *view(c, {64, 64}, {64, 1}), *square, *square);
  EXPECT_EQ(state.impl().operations.size(), 0U);
}

TEST_F(LinearAlgebra, KeepsNothingOfMemoryThatMayChange) {
  constexpr std::int64_t kSize = 512;
  auto weight = numbers(kSize * kSize);
  auto a = numbers(8 * kSize);
  std::vector<float> c(8 * kSize);
  const auto out = view(c, {8, kSize}, {kSize, 1});
  const auto right = view(weight, {kSize, kSize}, {kSize, 1});
  mm(context, *out, *view(a, {8, kSize}, {kSize, 1}), *right);
  EXPECT_TRUE(right->storage->derived.empty());
  for (float& value : weight) value = 1;
  mm(context, *out, *view(a, {8, kSize}, {kSize, 1}), *right);
  EXPECT_EQ(c, product(a, weight, 8, kSize, kSize));
}

TEST_F(LinearAlgebra, WeightsGiveTheSameAnswerKeptOrNot) {
  constexpr std::int64_t kSize = 512;
  auto weight = numbers(kSize * kSize);
  auto a = numbers(8 * kSize);
  const auto expected = product(a, weight, 8, kSize, kSize);
  const auto right = view(weight, {kSize, kSize}, {kSize, 1});
  right->storage->constant = true;
  for (int round = 0; round < 3; ++round) {
    std::vector<float> c(8 * kSize);
    mm(context, *view(c, {8, kSize}, {kSize, 1}), *view(a, {8, kSize}, {kSize, 1}), *right);
    ASSERT_EQ(c, expected) << round;
    ASSERT_LE(right->storage->derived.size(), 1U);
  }
}

TEST(LinearAlgebraSessions, ShareAWeight) {
  constexpr std::int64_t kSize = 512;
  auto weight = numbers(kSize * kSize);
  auto a = numbers(8 * kSize);
  const auto expected = product(a, weight, 8, kSize, kSize);
  tensor::Storage* storage = tensor::borrow_storage(weight.data(), weight.size() * sizeof(float), {});
  storage->constant = true;
  std::array<std::vector<float>, 4> results;
  std::vector<std::thread> threads;
  for (auto& result : results) {
    threads.emplace_back([&a, &result, storage] {
      OpState own_state;
      OpContext own{own_state, 1};
      result.resize(8 * kSize);
      const TensorObjectPtr right(
          tensor::make_tensor(storage, {DType::Float32, Dims{kSize, kSize}, Dims{kSize, 1}, 0}));
      const auto left = view(a, {8, kSize}, {kSize, 1});
      for (int i = 0; i < 10; ++i) mm(own, *view(result, {8, kSize}, {kSize, 1}), *left, *right);
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
  EXPECT_LE(storage->derived.size(), 1U);
  storage->drop();
}

TEST_F(LinearAlgebra, PreparedOperationsAreBounded) {
  if (onednn() == nullptr) GTEST_SKIP() << "oneDNN is not installed";
  auto a = numbers(600 * 64);
  auto b = numbers(64 * 64);
  std::vector<float> c(600 * 64);
  for (std::int64_t n = 256; n < 256 + 300; ++n) {
    mm(context, *view(c, {n, 64}, {64, 1}), *view(a, {n, 64}, {64, 1}), *view(b, {64, 64}, {64, 1}));
  }
  EXPECT_EQ(state.impl().operations.size(), OperationCache::kMost);
  mm(context, *view(c, {256, 64}, {64, 1}), *view(a, {256, 64}, {64, 1}), *view(b, {64, 64}, {64, 1}));
  EXPECT_EQ(c[0], product(a, b, 1, 64, 64)[0]);
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

TEST_F(LinearAlgebra, RefusesWhatDoesNotGoTogether) {
  std::vector<float> data(64);
  const auto m23 = view(data, {2, 3}, {3, 1});
  const auto m34 = view(data, {3, 4}, {4, 1});
  const auto m24 = view(data, {2, 4}, {4, 1});
  const auto batch = view(data, {2, 3, 4}, {12, 4, 1});
  expect_error(ErrorCode::InvalidArgument, "mm: [2, 3] @ [2, 3] does not give [2, 4]",
               [&] { mm(context, *m24, *m23, *m23); });
  expect_error(ErrorCode::InvalidArgument, "does not give [2, 3]", [&] { mm(context, *m23, *m23, *m34); });
  expect_error(ErrorCode::InvalidArgument, "does not give", [&] { bmm(context, *m24, *m23, *m34); });
  expect_error(ErrorCode::InvalidArgument, "does not give", [&] { bmm(context, *batch, *batch, *batch); });
  expect_error(ErrorCode::InvalidArgument, "self of sizes [2, 3] cannot be broadcast to [2, 4]",
               [&] { addmm(context, *m24, *m23, *m23, *m34, {}); });
  expect_error(ErrorCode::InvalidArgument, "cannot be broadcast",
               [&] { addmm(context, *m24, *batch, *m23, *m34, {}); });
  std::vector<double> wide(12);
  tensor::Storage* storage = tensor::borrow_storage(wide.data(), 96, {});
  const TensorObjectPtr m34_wide(tensor::make_tensor(storage, {DType::Float64, Dims{3, 4}, Dims{4, 1}, 0}));
  const TensorObjectPtr flags(tensor::make_tensor(storage, {DType::Bool, Dims{3, 3}, Dims{3, 1}, 0}));
  storage->drop();
  expect_error(ErrorCode::InvalidArgument, "mat2 is float64 where out is float32",
               [&] { mm(context, *m24, *m23, *m34_wide); });
  expect_error(ErrorCode::Unsupported, "mm of bool tensors", [&] { mm(context, *flags, *flags, *flags); });
  const TensorObjectPtr undefined(tensor::make_tensor(nullptr, {DType::Float32, Dims{3, 4}, Dims{4, 1}, 0}));
  expect_error(ErrorCode::InvalidArgument, "mat2 is undefined", [&] { mm(context, *m24, *m23, *undefined); });
}

}  // namespace
}  // namespace penstock::cpu
