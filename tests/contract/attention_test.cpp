#include "contract/recording.hpp"
#include "contract/shim_call.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace penstock::contract {
namespace {

using tensor::TensorObject;
using tensor::TensorObjectPtr;
using Attention = AOTITorchError(AtenTensorHandle, AtenTensorHandle, AtenTensorHandle, double, std::int32_t,
                                 AtenTensorHandle*, double*, AtenTensorHandle*, AtenTensorHandle*);

template <class T>
void hide(TensorObject& mask, double below) {
  auto* const values = reinterpret_cast<T*>(mask.data);
  for (std::int64_t i = 0; i < mask.numel; ++i) {
    if (values[i] < static_cast<T>(below)) values[i] = -std::numeric_limits<T>::infinity();
  }
}

void run_case(ShimRun& run, const Recording& recording, const nlohmann::json& one) {
  const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
  const auto& tensors = one.at("tensors");
  const TensorObjectPtr query = make_input(tensors.at("query"), dtype);
  const TensorObjectPtr key = make_input(tensors.at("key"), dtype);
  const TensorObjectPtr value = make_input(tensors.at("value"), dtype);
  const DType mask_dtype =
      dtype_from_name(one.value("mask_dtype", one.at("dtype").get<std::string>())).value();
  TensorObjectPtr mask;
  if (tensors.contains("mask")) mask = make_input(tensors.at("mask"), mask_dtype);
  if (const auto& below = one.at("hidden_below"); !below.is_null()) {
    mask_dtype == DType::Float64 ? hide<double>(*mask, below) : hide<float>(*mask, below);
  }
  AtenTensorHandle mask_handle = mask.get();
  double scale = one.at("scale").is_null() ? 0 : one.at("scale").get<double>();
  auto* const attention =
      shim_function<Attention>("aoti_torch_cpu__scaled_dot_product_flash_attention_for_cpu");
  ASSERT_NE(attention, nullptr);
  Results<2> results;
  expect_success(run, one.dump(), [&] {
    return attention(query.get(), key.get(), value.get(), 0, one.at("causal").get<bool>() ? 1 : 0,
                     mask != nullptr ? &mask_handle : nullptr, one.at("scale").is_null() ? nullptr : &scale,
                     results[0], results[1]);
  });
  if (!testing::Test::HasFailure()) expect_results(recording, one, results.handles);
}

void run_all(const std::string& name, int threads) {
  const Recording recording = read_recording(name);
  ASSERT_FALSE(recording.cases.empty());
  ShimRun run(threads);
  for (const auto& one : recording.cases) run_case(run, recording, one);
}

TEST(AttentionContract, AnswersAsLibtorch) { run_all("attention", 1); }
TEST(AttentionContract, AnswersAsLibtorchWithThreads) { run_all("attention", 3); }

// Masks of float32 with every dtype, and heads that share one of key and value.
TEST(AttentionContract, AnswersAsLibtorchWhatOnlyTheCpuTakes) {
  run_all("attention_cpu", 1);
  run_all("attention_cpu", 3);
}

}  // namespace
}  // namespace penstock::contract
