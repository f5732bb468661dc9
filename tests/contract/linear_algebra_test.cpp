#include "cpu/linear_algebra.hpp"
#include "contract/recording.hpp"

#include <gtest/gtest.h>

namespace penstock::contract {
namespace {

using Dims = std::vector<std::int64_t>;
using tensor::TensorObjectPtr;

/// Runs one recorded case; weights are marked constant where `is_constant`.
void run_case(cpu::OpContext& context, const Recording& recording, const nlohmann::json& one,
              bool is_constant) {
  const std::string text = one.dump();
  const DType dtype = dtype_from_name(one.at("dtype").get<std::string>()).value();
  const auto& tensors = one.at("tensors");
  const TensorObjectPtr mat1 = make_input(tensors.at("mat1"), dtype);
  const TensorObjectPtr mat2 = make_input(tensors.at("mat2"), dtype);
  mat2->storage->constant = is_constant;
  TensorObjectPtr self;
  if (tensors.contains("self"))
    self = make_input(tensors.at("self"), dtype, one.at("self_is_nan").get<bool>());
  const TensorObjectPtr out = make_output(tensors.at("out").at("sizes").get<Dims>(),
                                          tensors.at("out").at("strides").get<Dims>(), dtype);
  const cpu::Factors factors{one.at("beta").get<double>(), one.at("alpha").get<double>()};
  const auto op = one.at("op").get<std::string>();
  // A second time for what is prepared or kept in the first.
  for (int round = 0; round < 2; ++round) {
    if (op == "mm") cpu::mm(context, *out, *mat1, *mat2);
    if (op == "addmm") cpu::addmm(context, *out, *self, *mat1, *mat2, factors);
    if (op == "bmm") cpu::bmm(context, *out, *mat1, *mat2);
    if (op == "baddbmm") cpu::baddbmm(context, *out, *self, *mat1, *mat2, factors);
    const std::vector<double> actual = logical_values(*out);
    expect_values(actual, recorded_values(recording, one, actual.size()), dtype, text);
  }
}

void run_all(int threads, bool is_constant) {
  const Recording recording = read_recording("linear_algebra");
  ASSERT_FALSE(recording.cases.empty());
  cpu::OpState state;
  cpu::OpContext context{state, threads};
  for (const auto& one : recording.cases) run_case(context, recording, one, is_constant);
}

TEST(LinearAlgebraContract, AnswersAsLibtorch) { run_all(1, false); }
TEST(LinearAlgebraContract, AnswersAsLibtorchWithThreads) { run_all(2, false); }
TEST(LinearAlgebraContract, AnswersAsLibtorchWithWeights) { run_all(2, true); }

}  // namespace
}  // namespace penstock::contract
