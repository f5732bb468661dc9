#include "model/input_probe.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::model {
namespace {

struct Input {
  std::vector<DimRule> dims;
  std::vector<std::string> names;
  bool checked = false;
};

ProbedInputs with_hints(const std::vector<Input>& inputs) {
  ProbedInputs probed;
  probed.complete = true;
  std::vector<TensorSpec> hints;
  for (const Input& input : inputs) {
    probed.rules.push_back({.dims = input.dims});
    probed.layout_checked.push_back(input.checked);
    TensorSpec hint;
    for (const std::string& name : input.names) hint.dims.push_back({0, INT64_MAX, name});
    hints.push_back(hint);
  }
  add_text_hints(probed, hints, true);
  return probed;
}

TEST(TextHints, TieLateInputsOfOneName) {
  const ProbedInputs probed =
      with_hints({{{DimRule{}}, {"s0"}}, {{DimRule{}}, {"s0"}}, {{DimRule{}}, {"s1"}}});
  EXPECT_EQ(probed.rules[0].dims[0].symbol, probed.rules[1].dims[0].symbol);
  EXPECT_NE(probed.rules[0].dims[0].symbol, probed.rules[2].dims[0].symbol);
}

TEST(TextHints, LeaveALateInputThatAnotherFollowsFrom) {
  // A mask that is one longer than the rows of a late input, which a layout check has told.
  const DimRule rows{.symbol = 4};
  const DimRule longer{.symbol = 4, .scale = 1, .offset = 1};
  for (const bool late_first : {true, false}) {
    const Input late{{rows}, {"s0"}};
    const Input other{{DimRule{}}, {"s0"}};
    const ProbedInputs probed =
        with_hints({late_first ? late : other, late_first ? other : late, {{longer}, {""}, true}});
    const int symbol = probed.rules[0].dims[0].symbol;
    EXPECT_EQ(probed.rules[1].dims[0].symbol, symbol) << late_first;
    EXPECT_EQ(probed.rules[2].dims[0].symbol, symbol) << late_first;
    EXPECT_GE(symbol, 0);
  }
}

}  // namespace
}  // namespace penstock::model
