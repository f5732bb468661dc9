#include "cpu/gemm_kernels.hpp"

#include "system/machine.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

namespace penstock::cpu {
namespace {

struct Level {
  const char* name;
  const GemmKernels& kernels;
  bool is_offered;
};

std::vector<Level> levels() {
  const bool avx2 = system::has_instruction_set("AVX2") && system::has_instruction_set("FMA") &&
                    system::has_instruction_set("F16C");
  return {{"baseline", kGemmBaseline, true},
          {"avx2", kGemmAvx2, avx2},
          {"avx512", kGemmAvx512, avx2 && system::has_instruction_set("AVX512")}};
}

template <class T>
using Kernel = void (*)(const GemmCall&);

template <class T>
void expect_product(Kernel<T> kernel, std::int64_t rows, std::int64_t depth, std::int64_t columns,
                    bool a_transposed, bool b_transposed, double beta) {
  const std::int64_t gap = 3;
  const std::int64_t a_stride = (a_transposed ? rows : depth) + gap;
  const std::int64_t b_stride = (b_transposed ? depth : columns) + gap;
  const std::int64_t c_stride = columns + gap;
  std::mt19937 random(5);
  std::vector<T> a(static_cast<std::size_t>(a_stride * std::max(rows, depth)));
  std::vector<T> b(static_cast<std::size_t>(b_stride * std::max(depth, columns)));
  std::vector<T> c(static_cast<std::size_t>(c_stride * rows), T(1));
  for (T& value : a) value = static_cast<T>(static_cast<int>(random() % 17) - 8);
  for (T& value : b) value = static_cast<T>(static_cast<int>(random() % 17) - 8);
  const std::vector<T> before = c;
  kernel({rows,
          columns,
          depth,
          {a.data(), a_stride, a_transposed},
          {b.data(), b_stride, b_transposed},
          c.data(),
          c_stride,
          2,
          beta});
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < c_stride; ++j) {
      const auto at = static_cast<std::size_t>(i * c_stride + j);
      T expected = before[at];
      if (j < columns) {
        // All values are small integers, exact in every type.
        T sum = 0;
        for (std::int64_t k = 0; k < depth; ++k) {
          const T left = a[static_cast<std::size_t>(a_transposed ? k * a_stride + i : i * a_stride + k)];
          const T right = b[static_cast<std::size_t>(b_transposed ? j * b_stride + k : k * b_stride + j)];
          // Unsigned, and so defined where the product of two 16-bit integers is more than an int.
          using Wide = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;
          sum = static_cast<T>(sum + static_cast<Wide>(left) * static_cast<Wide>(right));
        }
        expected = static_cast<T>(2 * sum + static_cast<T>(static_cast<int>(beta)) * before[at]);
      }
      ASSERT_EQ(c[at], expected) << rows << "x" << depth << "x" << columns << " " << a_transposed
                                 << b_transposed << " at " << i << "," << j;
    }
  }
}

template <class T>
void expect_products(Kernel<T> kernel) {
  for (const std::int64_t rows : {1, 2, 7, 33}) {
    for (const std::int64_t depth : {0, 1, 5, 64}) {
      for (const std::int64_t columns : {1, 3, 16, 50}) {
        for (const bool a_transposed : {false, true}) {
          for (const bool b_transposed : {false, true}) {
            for (const double beta : {0.0, 1.0, -3.0}) {
              expect_product<T>(kernel, rows, depth, columns, a_transposed, b_transposed, beta);
              if (testing::Test::HasFatalFailure()) return;
            }
          }
        }
      }
    }
  }
}

TEST(GemmKernels, MultiplyAtEveryInstructionLevel) {
  for (const Level& level : levels()) {
    if (!level.is_offered) continue;
    SCOPED_TRACE(level.name);
    expect_products<float>(level.kernels.float32);
    expect_products<double>(level.kernels.float64);
  }
}

TEST(GemmKernels, IntegersWrapAround) {
  expect_products<std::uint8_t>(kGemmBaseline.integer8);
  expect_products<std::uint16_t>(kGemmBaseline.integer16);
  expect_products<std::uint32_t>(kGemmBaseline.integer32);
  expect_products<std::uint64_t>(kGemmBaseline.integer64);
}

TEST(GemmKernels, BetaOfZeroDoesNotReadTheResult) {
  for (const Level& level : levels()) {
    if (!level.is_offered) continue;
    const float a = 2;
    const float b = 3;
    float c = std::numeric_limits<float>::quiet_NaN();
    level.kernels.float32({1, 1, 1, {&a, 1, false}, {&b, 1, false}, &c, 1, 1, 0});
    EXPECT_EQ(c, 6) << level.name;
  }
}

TEST(GemmKernels, ConvertSixteenBitTypes) {
  // 1, -2, a tie that goes to even, a value above it, infinity, NaN.
  const std::vector<float> values{1,
                                  -2,
                                  1.00390625F,
                                  1.004F,
                                  std::numeric_limits<float>::infinity(),
                                  std::numeric_limits<float>::quiet_NaN()};
  for (const Level& level : levels()) {
    if (!level.is_offered) continue;
    SCOPED_TRACE(level.name);
    std::vector<std::uint16_t> narrow(values.size());
    std::vector<float> wide(values.size());
    const auto count = static_cast<std::int64_t>(values.size());
    level.kernels.narrow_bfloat16(values.data(), narrow.data(), count);
    EXPECT_EQ(narrow[0], 0x3F80);
    EXPECT_EQ(narrow[1], 0xC000);
    EXPECT_EQ(narrow[2], 0x3F80);
    EXPECT_EQ(narrow[3], 0x3F81);
    level.kernels.widen_bfloat16(narrow.data(), wide.data(), count);
    EXPECT_EQ(wide[1], -2);
    EXPECT_TRUE(std::isinf(wide[4]));
    EXPECT_TRUE(std::isnan(wide[5]));
    level.kernels.narrow_float16(values.data(), narrow.data(), count);
    EXPECT_EQ(narrow[0], 0x3C00);
    EXPECT_EQ(narrow[1], 0xC000);
    level.kernels.widen_float16(narrow.data(), wide.data(), count);
    EXPECT_EQ(wide[2], 1.00390625F);
    EXPECT_TRUE(std::isinf(wide[4]));
    EXPECT_TRUE(std::isnan(wide[5]));
  }
}

TEST(GemmKernels, ChooseALevelThatThisMachineOffers) {
  for (const Level& level : levels()) {
    const bool is_chosen = &gemm_kernels() == &level.kernels;
    EXPECT_TRUE(level.is_offered || !is_chosen) << level.name;
  }
}

}  // namespace
}  // namespace penstock::cpu
