#include "cpu/attention.hpp"

#include "cpu/attention_kernels.hpp"
#include "system/machine.hpp"
#include "tensor/layout.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <memory>
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
  return made;
}

/// Logical element `i` of a float tensor.
float& at(const TensorObject& tensor, std::int64_t i) {
  std::int64_t place = 0;
  for (std::int32_t dim = tensor.rank; dim-- > 0;) {
    const auto d = static_cast<std::size_t>(dim);
    place += i % tensor.size[d] * tensor.stride[d];
    i /= tensor.size[d];
  }
  return reinterpret_cast<float*>(tensor.data)[place];
}

TensorObjectPtr filled(const Dims& sizes, const Dims& strides, int seed) {
  TensorObjectPtr made = make(sizes, strides);
  for (std::int64_t i = 0; i < made->numel; ++i) {
    at(*made, i) = static_cast<float>((i * 37 + seed * 11) % 64) / 32 - 1;
  }
  return made;
}

struct Answer {
  TensorObjectPtr out;
  TensorObjectPtr log_sum;
};

Answer run(const Attention& attention, int threads = 1) {
  OpState state;
  OpContext context{state, threads};
  const AttentionOutput output = attention_output(attention);
  Answer answer{make(output.out.sizes, output.out.strides, output.out.dtype),
                make(output.log_sum.sizes, output.log_sum.strides, output.log_sum.dtype)};
  attend(context, *answer.out, *answer.log_sum, attention);
  return answer;
}

TEST(Attention, TakesElementsThatDoNotFollowOneAnother) {
  const Dims sizes{2, 3, 5, 4};
  const Dims columns{60, 20, 1, 5};
  const TensorObjectPtr plain = filled(sizes, {}, 1);
  const TensorObjectPtr other = filled(sizes, columns, 1);
  const Answer expected = run({*plain, *plain, *plain});
  const Answer actual = run({*other, *other, *other});
  EXPECT_EQ(Dims(actual.out->strides().begin(), actual.out->strides().end()), columns);
  for (std::int64_t i = 0; i < plain->numel; ++i) {
    EXPECT_FLOAT_EQ(at(*actual.out, i), at(*expected.out, i)) << i;
  }
}

TEST(Attention, AQueryDoesNotSeeWhatIsInKeysBehindIt) {
  constexpr std::int64_t kSpoiled = 5;
  constexpr std::int64_t kDepth = 16;
  for (const float spoiled :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    for (const std::int64_t queries : {2, 40, 100}) {
      const TensorObjectPtr query = filled({1, 1, queries, kDepth}, {}, 1);
      const TensorObjectPtr key = filled({1, 1, 120, kDepth}, {}, 2);
      const TensorObjectPtr value = filled({1, 1, 120, kDepth}, {}, 3);
      const Attention attention{.query = *query, .key = *key, .value = *value, .causal = true};
      const Answer expected = run(attention);
      at(*key, kSpoiled * kDepth + 3) = spoiled;
      const Answer actual = run(attention);
      for (std::int64_t i = 0; i < std::min(kSpoiled, queries) * kDepth; ++i)
        ASSERT_EQ(at(*actual.out, i), at(*expected.out, i)) << queries << " " << i;
    }
  }
}

TEST(Attention, AQueryDoesNotSeeKeysBehindItThroughAMask) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr std::int64_t kSpoiled = 5;
  constexpr std::int64_t kDepth = 16;
  constexpr std::int64_t kKeys = 120;
  for (const float spoiled : {kNan, kInfinity}) {
    for (const std::int64_t queries : {2, 40, 100}) {
      const TensorObjectPtr query = filled({1, 1, queries, kDepth}, {}, 1);
      const TensorObjectPtr key = filled({1, 1, kKeys, kDepth}, {}, 2);
      const TensorObjectPtr value = filled({1, 1, kKeys, kDepth}, {}, 3);
      const TensorObjectPtr mask = filled({queries, kKeys}, {}, 4);
      for (std::int64_t i = 0; i < queries; ++i) at(*mask, i * kKeys + i / 2) = -kInfinity;
      const Attention attention{
          .query = *query, .key = *key, .value = *value, .mask = mask.get(), .causal = true};
      const Answer expected = run(attention);
      at(*key, kSpoiled * kDepth + 3) = spoiled;
      for (std::int64_t i = 0; i < std::min(kSpoiled, queries); ++i) at(*mask, i * kKeys + 7) = spoiled;
      const Answer actual = run(attention);
      for (std::int64_t i = 0; i < std::min(kSpoiled, queries) * kDepth; ++i) {
        ASSERT_EQ(at(*actual.out, i), at(*expected.out, i)) << queries << " " << i;
        // The first query sees one key, which the mask hides.
        if (i < kDepth) {
          ASSERT_EQ(at(*actual.out, i), 0) << queries << " " << i;
        }
      }
    }
  }
}

TEST(Attention, AMaskAndAnOrderHideTogether) {
  constexpr std::int64_t kDepth = 8;
  constexpr std::int64_t kKeys = 250;
  for (const std::int64_t queries : {1, 3, 17, 64, 260}) {
    const TensorObjectPtr query = filled({1, 2, queries, kDepth}, {}, 1);
    const TensorObjectPtr key = filled({1, 2, kKeys, kDepth}, {}, 2);
    const TensorObjectPtr shared = filled({1, kKeys}, {}, 4);
    const TensorObjectPtr whole = filled({queries, kKeys}, {}, 5);
    for (const TensorObject* mask : {shared.get(), whole.get()}) {
      const TensorObjectPtr both = make({queries, kKeys});
      for (std::int64_t i = 0; i < both->numel; ++i) {
        const bool is_seen = i % kKeys <= i / kKeys;
        at(*both, i) = is_seen ? at(*mask, i % mask->numel) : -std::numeric_limits<float>::infinity();
      }
      const Answer expected = run({.query = *query, .key = *key, .value = *key, .mask = both.get()});
      const Answer actual = run({.query = *query, .key = *key, .value = *key, .mask = mask, .causal = true});
      for (std::int64_t i = 0; i < query->numel; ++i)
        ASSERT_NEAR(at(*actual.out, i), at(*expected.out, i), 1e-5) << queries << " " << i;
    }
  }
}

TEST(Attention, TakesAMaskOfFloatsForDoubles) {
  for (const std::int64_t queries : {1, 70}) {
    TensorObjectPtr query = make({1, 2, queries, 4}, {}, DType::Float64);
    TensorObjectPtr key = make({1, 2, 29, 4}, {}, DType::Float64);
    for (const TensorObject* tensor : {query.get(), key.get()}) {
      for (std::int64_t i = 0; i < tensor->numel; ++i) {
        reinterpret_cast<double*>(tensor->data)[i] = static_cast<double>(i * 37 % 64) / 32 - 1;
      }
    }
    const TensorObjectPtr floats = filled({2, queries, 29}, {29 * queries, 1, queries}, 3);
    const TensorObjectPtr doubles = make({2, queries, 29}, {29 * queries, 1, queries}, DType::Float64);
    for (std::int64_t i = 0; i < floats->numel; ++i) {
      reinterpret_cast<double*>(doubles->data)[i] = reinterpret_cast<const float*>(floats->data)[i];
    }
    const Answer actual = run({*query, *key, *key, floats.get()});
    const Answer expected = run({*query, *key, *key, doubles.get()});
    for (std::int64_t i = 0; i < query->numel; ++i) {
      EXPECT_EQ(reinterpret_cast<const double*>(actual.out->data)[i],
                reinterpret_cast<const double*>(expected.out->data)[i])
          << i;
    }
  }
}

TEST(Attention, GivesZerosWhereThereIsNothingToSee) {
  const TensorObjectPtr query = filled({1, 2, 3, 4}, {}, 1);
  const TensorObjectPtr none = make({1, 2, 0, 4});
  const Answer answer = run({*query, *none, *none});
  for (std::int64_t i = 0; i < query->numel; ++i) EXPECT_EQ(at(*answer.out, i), 0);
  for (std::int64_t i = 0; i < 6; ++i) EXPECT_EQ(at(*answer.log_sum, i), 0);
}

TEST(Attention, PassesOnWhatIsNotANumber) {
  for (const std::int64_t queries : {1, 2, 20}) {
    const TensorObjectPtr query = filled({1, 1, queries, 4}, {}, 1);
    const TensorObjectPtr key = filled({1, 1, 9, 4}, {}, 2);
    const std::int64_t bad = queries / 2;
    at(*query, 4 * bad) = std::numeric_limits<float>::quiet_NaN();
    const Answer answer = run({*query, *key, *key});
    for (std::int64_t i = 0; i < query->numel; ++i) {
      EXPECT_EQ(std::isnan(at(*answer.out, i)), i / 4 == bad) << i << " of " << queries;
    }
  }
}

// As PyTorch: docs/operator-notes.md.
TEST(Attention, AnswersInfiniteScores) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr std::int64_t kKeys = 120;
  for (const std::int64_t queries : {1, 2, 40, 100}) {
    const TensorObjectPtr query = filled({1, 1, queries, 16}, {}, 1);
    const TensorObjectPtr key = filled({1, 1, kKeys, 16}, {}, 2);
    const TensorObjectPtr mask = filled({queries, kKeys}, {}, 3);
    const auto run_with = [&](std::int64_t first, std::int64_t end, float bias) {
      const TensorObjectPtr changed = make({queries, kKeys});
      for (std::int64_t i = 0; i < mask->numel; ++i)
        at(*changed, i) = i % kKeys >= first && i % kKeys < end ? bias : at(*mask, i);
      return run({.query = *query, .key = *key, .value = *key, .mask = changed.get()});
    };
    const Answer above = run_with(9, 10, kInfinity);
    const Answer nothing = run_with(0, kKeys, -kInfinity);
    const Answer late = run_with(0, 70, -kInfinity);
    for (std::int64_t i = 0; i < query->numel; ++i) {
      ASSERT_TRUE(std::isnan(at(*above.out, i))) << queries << " " << i;
      ASSERT_EQ(at(*nothing.out, i), 0) << queries << " " << i;
      ASSERT_TRUE(std::isfinite(at(*late.out, i))) << queries << " " << i;
    }
    for (std::int64_t i = 0; i < queries; ++i) ASSERT_EQ(at(*nothing.log_sum, i), 0) << queries << " " << i;
    // What a mask hides is not looked away from, as what comes later is: NaN stays NaN.
    at(*key, 5 * 16 + 3) = std::numeric_limits<float>::quiet_NaN();
    ASSERT_TRUE(std::isnan(at(*run_with(5, 6, -kInfinity).out, 0))) << queries;
  }
}

TEST(Attention, KeepsLargeScoresFinite) {
  const TensorObjectPtr query = filled({1, 1, 3, 4}, {}, 1);
  const TensorObjectPtr key = filled({1, 1, 9, 4}, {}, 2);
  const Answer answer = run({.query = *query, .key = *key, .value = *key, .scale = 1e6});
  for (std::int64_t i = 0; i < query->numel; ++i) EXPECT_TRUE(std::isfinite(at(*answer.out, i))) << i;
}

TEST(Attention, RefusesWhatDoesNotGoTogether) {
  const TensorObjectPtr query = make({2, 3, 5, 4});
  const TensorObjectPtr key = make({2, 3, 6, 4});
  const TensorObjectPtr deeper = make({2, 3, 6, 5});
  const TensorObjectPtr twice = make({2, 3, 6, 4}, {}, DType::Float64);
  const TensorObjectPtr mask = make({5, 7});
  const TensorObjectPtr whole = make({2, 3, 6, 4}, {}, DType::Int32);
  const auto code_of = [](const Attention& attention) {
    try {
      attention_output(attention);
    } catch (const Error& error) {
      return error.code();
    }
    ADD_FAILURE() << "not refused";
    return ErrorCode::Internal;
  };
  EXPECT_EQ(code_of({*query, *key, *deeper}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of({*query, *key, *query}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of({*query, *twice, *twice}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of({*query, *key, *key, mask.get()}), ErrorCode::InvalidArgument);
  const TensorObjectPtr two_heads = make({2, 2, 6, 4});
  const TensorObjectPtr no_heads = make({2, 0, 6, 4});
  const TensorObjectPtr halves = make({5, 6}, {}, DType::Float16);
  EXPECT_EQ(code_of({*query, *two_heads, *two_heads}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of({*query, *no_heads, *no_heads}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of({*query, *key, *key, halves.get()}), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of({*whole, *whole, *whole}), ErrorCode::Unsupported);
}

/// Every unit that this machine can run, on every number of queries that a block can have.
class AttentionUnit : public testing::TestWithParam<std::string> {};

TEST_P(AttentionUnit, AgreesWithTheDefinition) {
  const std::string name = GetParam();
  if (name != "baseline" && !system::has_instruction_set(name)) GTEST_SKIP() << "no " << name;
  const AttentionKernels& kernels =
      name == "baseline" ? kAttentionBaseline : (name == "AVX2" ? kAttentionAvx2 : kAttentionAvx512);
  constexpr std::int64_t kDepth = 19;
  constexpr std::int64_t kKeys = 211;
  const std::int64_t most = kernels.float64_lanes * kAttentionVectors;
  std::vector<double> query(static_cast<std::size_t>(most * kDepth));
  std::vector<double> key(static_cast<std::size_t>(kKeys * kDepth));
  std::vector<double> value(key.size());
  for (std::size_t i = 0; i < query.size(); ++i) query[i] = static_cast<double>(i * 7 % 13) / 13;
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<double>(i * 5 % 17) / 17;
  for (std::size_t i = 0; i < key.size(); ++i) value[i] = static_cast<double>(i * 3 % 19) / 19;
  const std::size_t elements = attention_scratch_elements(kernels.float64_lanes, kDepth);
  const std::unique_ptr<void, decltype(&std::free)> scratch(
      std::aligned_alloc(64, (elements * sizeof(double) + 63) & ~std::size_t{63}), &std::free);
  for (std::int64_t queries = 1; queries <= most; ++queries) {
    std::vector<double> out(static_cast<std::size_t>(queries * kDepth));
    std::vector<double> sums(static_cast<std::size_t>(queries));
    AttentionBlock block{queries,
                         kKeys,
                         kDepth,
                         {query.data(), kDepth},
                         {key.data(), kDepth},
                         {value.data(), kDepth},
                         nullptr,
                         0,
                         0,
                         2,  // Of the head's queries, two come before.
                         0.5,
                         out.data(),
                         kDepth,
                         sums.data(),
                         1,
                         scratch.get()};
    kernels.float64(block);
    for (std::int64_t i = 0; i < queries; ++i) {
      std::vector<double> expected(kDepth);
      double sum = 0;
      for (std::int64_t k = 0; k < std::min(kKeys, i + 3); ++k) {
        double score = 0;
        for (std::int64_t d = 0; d < kDepth; ++d) score += query[i * kDepth + d] * key[k * kDepth + d];
        const double weight = std::exp(score / 2);
        sum += weight;
        for (std::int64_t d = 0; d < kDepth; ++d) expected[d] += weight * value[k * kDepth + d];
      }
      EXPECT_NEAR(sums[i], std::log(sum), 1e-12) << queries << " " << i;
      for (std::int64_t d = 0; d < kDepth; ++d) {
        EXPECT_NEAR(out[i * kDepth + d], expected[d] / sum, 1e-12) << queries << " " << i << " " << d;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, AttentionUnit, testing::Values("baseline", "AVX2", "AVX512F"),
                         [](const auto& unit) { return unit.param; });

}  // namespace
}  // namespace penstock::cpu
