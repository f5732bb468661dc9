#include "contract/operator_recording.hpp"
#include "shim/imports.hpp"

#include <gtest/gtest.h>

#include <string>

namespace penstock::contract {
namespace {

using Handle = AtenTensorHandle;
using Int = std::int64_t;
using Flag = std::int32_t;

/// The function that answers an import, called with `arguments`.
template <class... Arguments>
AOTITorchError call(const std::string& op, Arguments... arguments) {
  const shim::Import import = shim::resolve_import("aoti_torch_cpu_" + op, {});
  EXPECT_EQ(import.kind, shim::ImportKind::Ours) << op;
  if (import.address == nullptr) return 1;
  return reinterpret_cast<AOTITorchError (*)(Arguments...)>(import.address)(arguments...);
}

std::string op_of(OperatorCase& one) { return one.json().at("op").get<std::string>(); }

AOTITorchError run_embedding_bag(OperatorCase& one) {
  Handle* const out = one.result();
  Handle* const offset2bag = one.result();
  Handle* const bag_size = one.result();
  return call<Handle, Handle, Handle, Flag, Int, Flag, Handle*, Flag, Int, Handle*, Handle*, Handle*,
              Handle*>(op_of(one), one.tensor("weight"), one.tensor("indices"), one.tensor("offsets"), 0,
                       one.json().at("mode").get<Int>(), 0, one.optional("per_sample_weights"),
                       one.json().at("include_last_offset").get<bool>() ? 1 : 0,
                       one.json().at("padding_idx").get<Int>(), out, offset2bag, bag_size, one.result());
}

AOTITorchError run_complex(OperatorCase& one) {
  if (op_of(one) == "polar") {
    return call<Handle, Handle, Handle*>("polar", one.tensor("abs"), one.tensor("angle"), one.result());
  }
  if (op_of(one) == "mul_Tensor") {
    return call<Handle, Handle, Handle*>("mul_Tensor", one.tensor("self"), one.tensor("other"), one.result());
  }
  if (op_of(one) == "add_Tensor") {
    return call<Handle, Handle, double, Handle*>("add_Tensor", one.tensor("self"), one.tensor("other"),
                                                 one.json().at("alpha").get<double>(), one.result());
  }
  return call<Handle, Handle*>(op_of(one), one.tensor("self"), one.result());
}

TEST(EmbeddingBagContract, AnswersAsLibtorch) {
  const OperatorRecording recording("embedding_bag");
  ASSERT_FALSE(recording.cases().empty());
  for (const auto& one : recording.cases()) OperatorCase(recording, one).check(run_embedding_bag);
}

TEST(ComplexContract, AnswersAsLibtorch) {
  const OperatorRecording recording("complex");
  ASSERT_FALSE(recording.cases().empty());
  for (const auto& one : recording.cases()) OperatorCase(recording, one).check(run_complex);
}

}  // namespace
}  // namespace penstock::contract
