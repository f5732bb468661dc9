#include "contract/shim_call.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace penstock::contract {

using Dims = std::vector<std::int64_t>;

void expect_success(ShimRun& run, const std::string& text, const std::function<AOTITorchError()>& call) {
  run.context.failure.reset();
  const shim::ContextScope scope(run.context);
  ASSERT_EQ(call(), 0) << (run.context.failure ? run.context.failure->message : "no message") << "\n" << text;
}

void expect_results(const Recording& recording, const nlohmann::json& one,
                    std::span<const AtenTensorHandle> results) {
  const auto& expected = one.at("results");
  ASSERT_EQ(results.size(), expected.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const std::string text = "result " + std::to_string(i) + " of " + one.dump();
    ASSERT_NE(results[i], nullptr) << text;
    const tensor::TensorObject& result = *results[i];
    EXPECT_EQ(dtype_name(result.dtype), expected[i].at("dtype").get<std::string>()) << text;
    EXPECT_EQ(Dims(result.sizes().begin(), result.sizes().end()), expected[i].at("sizes").get<Dims>())
        << text;
    EXPECT_EQ(Dims(result.strides().begin(), result.strides().end()), expected[i].at("strides").get<Dims>())
        << text;
    const std::vector<double> values = logical_values(result);
    expect_values(values, recorded_values(recording, expected[i], values.size()), result.dtype, text);
  }
}

}  // namespace penstock::contract
