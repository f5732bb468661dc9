#pragma once

#include "model/container.hpp"
#include "model/input_rules.hpp"

#include <penstock/tensor.hpp>

#include <span>
#include <string_view>
#include <vector>

namespace penstock::model {

/// What the library's own checks accept.
struct ProbedInputs {
  /// One an input; none where the library has inputs but no checks to ask.
  std::vector<InputRule> rules;
  /// True where every check of the library was passed in the end, so that the rules refuse all that
  /// the checks refuse.
  bool complete = false;
  /// True where the library checks which sizes go together. Libraries before torch 2.13 do not.
  bool layout_checked = false;
};

/// Asks the library what inputs it takes: calls it with made-up tensors that fail one check after the
/// other, and reads the messages. Nothing of the model itself runs, and no tensor has any data.
/// The library's checks must be on. Blocking. Errors: OutOfMemory.
/// docs/design/0006-input-checks.md says how and why.
ProbedInputs probe_inputs(const Container& container);

/// True where the library's checks are off: it takes anything. To be asked after they were turned off.
bool takes_anything(const Container& container);

/// For libraries that do not check which sizes go together: takes that from the generated text. Sizes
/// that the text says nothing of are the ones that follow from others, so they get to be one of those.
void add_text_hints(std::vector<InputRule>& rules, std::span<const TensorSpec> hints);

}  // namespace penstock::model
