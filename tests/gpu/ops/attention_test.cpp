#include "contract/recording.hpp"
#include "gpu/ops/harness.hpp"
#include "tensor/layout.hpp"

#include <cmath>
#include <limits>
#include <optional>

namespace penstock::gpu {
namespace {

using Dims = std::vector<std::int64_t>;
using Handle = AtenTensorHandle;
using Int = std::int64_t;
using Flag = std::int32_t;
using tensor::TensorObjectPtr;
using Efficient = AOTITorchError(Handle, Handle, Handle, Handle*, Flag, double, Flag, double*, Handle*,
                                 Handle*, Handle*, Handle*);
using Flash = AOTITorchError(Handle, Handle, Handle, double, Flag, Flag, double*, Handle*, Handle*, Handle*,
                             Handle*, Int*, Int*, Handle*, Handle*, Handle*);
using Cudnn = AOTITorchError(Handle, Handle, Handle, Handle*, Flag, double, Flag, Flag, double*, Handle*,
                             Handle*, Handle*, Handle*, Int*, Int*, Handle*, Handle*, Handle*);

struct Attention {
  TensorObjectPtr query = {};
  TensorObjectPtr key = {};
  TensorObjectPtr value = {};
  TensorObjectPtr mask = {};
  bool causal = false;
  std::optional<double> scale = {};
  double dropout = 0;
};

struct Answer {
  TensorObjectPtr out = {};
  TensorObjectPtr log_sum = {};
  std::array<TensorObjectPtr, 2> seeds = {};
};

std::string run(const std::string& kind, const Attention& one, Answer& answer) {
  return run_on_gpu([&] {
    std::array<Handle, 4> made{};
    Handle mask = one.mask.get();
    Handle* const masked = mask != nullptr ? &mask : nullptr;
    double scale = one.scale.value_or(0);
    double* const scaled = one.scale ? &scale : nullptr;
    const Flag causal = one.causal ? 1 : 0;
    Int queries = 0;
    Int keys = 0;
    AOTITorchError code = 1;
    if (kind == "efficient") {
      code = gpu_function<Efficient>("_scaled_dot_product_efficient_attention")(
          one.query.get(), one.key.get(), one.value.get(), masked, 1, one.dropout, causal, scaled, &made[0],
          &made[1], &made[2], &made[3]);
    } else if (kind == "flash") {
      code = gpu_function<Flash>("_scaled_dot_product_flash_attention")(
          one.query.get(), one.key.get(), one.value.get(), one.dropout, causal, 0, scaled, &made[0], &made[1],
          nullptr, nullptr, &queries, &keys, &made[2], &made[3], nullptr);
    } else {
      code = gpu_function<Cudnn>("_scaled_dot_product_cudnn_attention")(
          one.query.get(), one.key.get(), one.value.get(), masked, 1, one.dropout, causal, 0, scaled,
          &made[0], &made[1], nullptr, nullptr, &queries, &keys, &made[2], &made[3], nullptr);
    }
    if (code == 0 && kind != "efficient") {
      EXPECT_EQ(queries, one.query->size[2]);
      EXPECT_EQ(keys, one.key->size[2]);
    }
    answer = {TensorObjectPtr(made[0]),
              TensorObjectPtr(made[1]),
              {TensorObjectPtr(made[2]), TensorObjectPtr(made[3])}};
    return code;
  });
}

template <class T>
void hide(tensor::TensorObject& mask, double below) {
  auto* const values = reinterpret_cast<T*>(mask.data);
  for (std::int64_t i = 0; i < mask.numel; ++i) {
    if (values[i] < static_cast<T>(below)) values[i] = -std::numeric_limits<T>::infinity();
  }
}

Attention make_attention(const nlohmann::json& one) {
  const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
  const auto& tensors = one.at("tensors");
  Attention attention;
  attention.query = to_gpu(contract::make_input(tensors.at("query"), dtype));
  attention.key = to_gpu(contract::make_input(tensors.at("key"), dtype));
  attention.value = to_gpu(contract::make_input(tensors.at("value"), dtype));
  if (tensors.contains("mask")) {
    auto mask = contract::make_input(tensors.at("mask"), dtype);
    if (const auto& below = one.at("hidden_below"); !below.is_null()) {
      dtype == DType::Float64 ? hide<double>(*mask, below) : hide<float>(*mask, below);
    }
    attention.mask = to_gpu(std::move(mask));
  }
  attention.causal = one.at("causal").get<bool>();
  if (!one.at("scale").is_null()) attention.scale = one.at("scale").get<double>();
  return attention;
}

/// Strides of tensors that have the tokens outside of the heads.
Dims heads_inside(const tensor::TensorObject& out) {
  return {out.size[2] * out.size[1] * out.size[3], out.size[3], out.size[1] * out.size[3], 1};
}

/// The recorded sums; behind those of the last query may be infinities.
void check_log_sums(const tensor::TensorObject& log_sum, const std::vector<double>& expected, Int queries,
                    const std::string& text) {
  const std::vector<double> padded = gpu_values(log_sum);
  const Int room = log_sum.size[2];
  std::vector<double> actual;
  for (std::size_t i = 0; i < padded.size(); ++i) {
    if (static_cast<Int>(i) % room < queries) {
      actual.push_back(padded[i]);
    } else {
      EXPECT_EQ(padded[i], std::numeric_limits<double>::infinity()) << text;
    }
  }
  contract::expect_values(actual, expected, DType::Float32, text);
}

void check_recorded(const contract::Recording& recording, const nlohmann::json& one, const std::string& kind,
                    const Attention& attention, const Answer& answer) {
  const std::string text = kind + ": " + one.dump();
  const auto& result = one.at("results").at(0);
  const tensor::TensorObject& out = *answer.out;
  EXPECT_EQ(Dims(out.sizes().begin(), out.sizes().end()), result.at("sizes").get<Dims>()) << text;
  const std::vector<double> actual = gpu_values(out);
  contract::expect_values(actual, contract::recorded_values(recording, result, actual.size()), out.dtype,
                          text);
  if (kind == "efficient" && out.numel > 0) {
    EXPECT_EQ(Dims(out.strides().begin(), out.strides().end()), heads_inside(out)) << text;
  }
  // What a query that sees nothing sums up to is nobody's business. 16-bit sums were recorded from 16-bit
  // scores.
  if (!one.at("hidden_below").is_null() || out.dtype != DType::Float32) return;
  const auto count = static_cast<std::size_t>(attention.query->size[0] * attention.query->size[1] *
                                              attention.query->size[2]);
  check_log_sums(*answer.log_sum, contract::recorded_values(recording, one.at("results").at(1), count),
                 attention.query->size[2], text);
}

void run_recorded(const std::string& kind) {
  const contract::Recording recording = contract::read_recording("attention");
  ASSERT_FALSE(recording.cases.empty());
  for (const auto& one : recording.cases) {
    const Attention attention = make_attention(one);
    if (kind == "flash" && attention.mask != nullptr) continue;
    Answer answer;
    if (attention.query->dtype == DType::Float64) {
      EXPECT_NE(run(kind, attention, answer).find("of float64 on a GPU"), std::string::npos);
      continue;
    }
    for (int round = 0; round < 2; ++round) {
      const std::string failure = run(kind, attention, answer);
      EXPECT_EQ(failure, "") << kind << ": " << one.dump();
      if (failure.empty()) check_recorded(recording, one, kind, attention, answer);
    }
  }
}

TEST(GpuAttention, EfficientAnswersAsLibtorch) { run_recorded("efficient"); }
TEST(GpuAttention, FlashAnswersAsLibtorch) { run_recorded("flash"); }
TEST(GpuAttention, CudnnAnswersAsLibtorch) { run_recorded("cudnn"); }

/// Values from a hash, row-major.
TensorObjectPtr hashed(const Dims& sizes, DType dtype, Int seed) {
  Dims strides(sizes.size());
  tensor::fill_contiguous_strides(sizes, strides);
  return to_gpu(contract::make_input({{"sizes", sizes}, {"strides", strides}, {"seed", seed}}, dtype));
}

/// Each head of keys for several heads of queries, in the order that both shapes of loops have.
void check_grouped(Int heads, Int key_heads, DType dtype) {
  constexpr Int kQueries = 19;
  constexpr Int kKeys = 23;
  constexpr Int kDepth = 16;
  Attention grouped;
  grouped.query = hashed({2, heads, kQueries, kDepth}, dtype, 1);
  grouped.key = hashed({2, key_heads, kKeys, kDepth}, dtype, 2);
  grouped.value = hashed({2, key_heads, kKeys, kDepth}, dtype, 3);
  Answer all;
  ASSERT_EQ(run("efficient", grouped, all), "");
  const std::vector<double> actual = gpu_values(*all.out);
  for (Int head = 0; head < heads; ++head) {
    const Int key_head = head / (heads / key_heads);
    const auto one = [](const tensor::TensorObject& tensor, Int at) {
      return view(tensor, {2, 1, tensor.size[2], tensor.size[3]},
                  Dims(tensor.strides().begin(), tensor.strides().end()), at * tensor.stride[1]);
    };
    Attention single;
    single.query = one(*grouped.query, head);
    single.key = one(*grouped.key, key_head);
    single.value = one(*grouped.value, key_head);
    Answer answer;
    ASSERT_EQ(run("efficient", single, answer), "");
    const std::vector<double> expected = gpu_values(*answer.out);
    constexpr auto kHead = static_cast<std::size_t>(kQueries * kDepth);
    std::vector<double> part;
    for (Int batch = 0; batch < 2; ++batch) {
      const auto first = actual.begin() + (batch * heads + head) * kQueries * kDepth;
      part.insert(part.end(), first, first + kHead);
    }
    contract::expect_values(part, expected, dtype, "head " + std::to_string(head));
  }
}

TEST(GpuAttention, SharesHeadsOfKeys) {
  for (const DType dtype : {DType::Float32, DType::Float16, DType::BFloat16}) {
    check_grouped(6, 2, dtype);
    check_grouped(6, 3, dtype);
    check_grouped(4, 1, dtype);
  }
}

/// The queries from `first` on.
TensorObjectPtr rows_of(const tensor::TensorObject& tensor, Int first, Int rows) {
  return view(tensor, {tensor.size[0], tensor.size[1], rows, tensor.size[3]},
              Dims(tensor.strides().begin(), tensor.strides().end()), first * tensor.stride[2]);
}

/// What is too large for one kernel is made by products: the same as one kernel makes of few queries.
void check_large(const Attention& large, DType dtype) {
  constexpr Int kStep = 40;
  Answer all;
  ASSERT_EQ(run("efficient", large, all), "");
  const std::vector<double> actual = gpu_values(*all.out);
  const Int heads = large.query->size[1];
  const Int queries = large.query->size[2];
  const Int depth = large.value->size[3];
  for (Int first = 0; first < queries; first += kStep) {
    Attention part;
    part.query = rows_of(*large.query, first, kStep);
    part.key = rows_of(*large.key, 0, large.key->size[2]);
    part.value = rows_of(*large.value, 0, large.key->size[2]);
    if (large.mask != nullptr) part.mask = rows_of(*large.mask, first, kStep);
    Answer answer;
    ASSERT_EQ(run("efficient", part, answer), "");
    std::vector<double> rows;
    for (Int matrix = 0; matrix < large.query->size[0] * heads; ++matrix) {
      const auto begin = actual.begin() + (matrix * queries + first) * depth;
      rows.insert(rows.end(), begin, begin + kStep * depth);
    }
    contract::expect_values(rows, gpu_values(*answer.out), dtype, "from " + std::to_string(first));
  }
}

TEST(GpuAttention, AnswersAlikeByOneKernelAndByProducts) {
  for (const DType dtype : {DType::Float32, DType::Float16, DType::BFloat16}) {
    for (const Int depth : {Int{16}, Int{40}, Int{96}}) {
      Attention large;
      large.query = hashed({2, 4, 240, depth}, dtype, 1);
      large.key = hashed({2, 2, 200, depth}, dtype, 2);
      large.value = hashed({2, 2, 200, depth}, dtype, 3);
      check_large(large, dtype);
      large.mask = hashed({2, 4, 240, 200}, dtype, 4);
      check_large(large, dtype);
    }
  }
}

/// All keys are equal, so that every value counts as much.
TEST(GpuAttention, KeepsToBoundedMemoryWithManyKeys) {
  constexpr Int kLength = 3000;
  constexpr Int kHeads = 4;
  for (const DType dtype : {DType::Float32, DType::BFloat16}) {
    Attention attention;
    attention.query = hashed({1, kHeads, kLength, 8}, dtype, 1);
    attention.key = hashed({1, kHeads, kLength, 8}, dtype, 2);
    attention.key->stride = {};
    attention.value = hashed({1, kHeads, kLength, 8}, dtype, 3);
    const std::uint64_t before = gpu().pool().held_bytes();
    Answer answer;
    ASSERT_EQ(run("efficient", attention, answer), "");
    constexpr std::uint64_t kScores = std::uint64_t{kHeads} * kLength * kLength * sizeof(float);
    EXPECT_LT(gpu().pool().held_bytes() - before, kScores * 3 / 4);
    const std::vector<double> values = gpu_values(*attention.value);
    std::vector<double> means(kHeads * 8);
    for (std::size_t i = 0; i < values.size(); ++i)
      means[i / (kLength * 8) * 8 + i % 8] += values[i] / kLength;
    const std::vector<double> actual = gpu_values(*answer.out);
    const double tolerance = dtype == DType::Float32 ? 1e-5 : 1e-2;
    for (std::size_t i = 0; i < actual.size(); ++i) {
      ASSERT_NEAR(actual[i], means[i / (kLength * 8) * 8 + i % 8], tolerance) << i;
    }
  }
}

TEST(GpuAttention, MakesTheResultsOfTheOperatorsThatPyTorchHas) {
  Attention attention;
  const auto tokens = hashed({2, 40, 3, 16}, DType::Float16, 1);
  const Dims strides{40 * 3 * 16, 16, 3 * 16, 1};
  for (TensorObjectPtr* tensor : {&attention.query, &attention.key, &attention.value}) {
    *tensor = view(*tokens, {2, 3, 40, 16}, strides);
  }
  for (const std::string kind : {"efficient", "flash", "cudnn"}) {
    Answer answer;
    ASSERT_EQ(run(kind, attention, answer), "") << kind;
    EXPECT_EQ(Dims(answer.out->strides().begin(), answer.out->strides().end()), strides) << kind;
    EXPECT_EQ(answer.log_sum->dtype, DType::Float32) << kind;
    const Dims sums(answer.log_sum->sizes().begin(), answer.log_sum->sizes().end());
    const Dims expected = kind == "efficient" ? Dims{2, 3, 64}
                          : kind == "flash"   ? Dims{2, 3, 40}
                                              : Dims{2, 3, 40, 1};
    EXPECT_EQ(sums, expected) << kind;
    EXPECT_EQ(answer.seeds[0]->dtype, kind == "flash" ? DType::UInt64 : DType::Int64) << kind;
    EXPECT_EQ(answer.seeds[0]->numel, kind == "flash" ? 2 : 1) << kind;
    EXPECT_EQ(answer.seeds[1]->rank, 0) << kind;
  }
}

TEST(GpuAttention, IsSteady) {
  for (const DType dtype : {DType::Float32, DType::Float16}) {
    Attention attention;
    attention.query = hashed({2, 3, 50, 16}, dtype, 1);
    attention.key = hashed({2, 3, 50, 16}, dtype, 2);
    attention.value = hashed({2, 3, 50, 16}, dtype, 3);
    attention.mask = hashed({50, 50}, dtype, 4);
    {
      Answer answer;
      ASSERT_EQ(run("efficient", attention, answer), "");
    }
    expect_steady("attention", [&] {
      Answer answer;
      return run("efficient", attention, answer);
    });
  }
}

TEST(GpuAttention, RefusesDropoutByName) {
  Attention attention;
  attention.query = hashed({1, 1, 2, 8}, DType::Float32, 1);
  attention.key = hashed({1, 1, 2, 8}, DType::Float32, 2);
  attention.value = hashed({1, 1, 2, 8}, DType::Float32, 3);
  attention.dropout = 0.5;
  for (const std::string kind : {"efficient", "flash", "cudnn"}) {
    Answer answer;
    EXPECT_NE(run(kind, attention, answer).find("with a dropout of 0.5"), std::string::npos) << kind;
  }
}

}  // namespace
}  // namespace penstock::gpu
