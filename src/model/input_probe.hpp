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
  /// For each input whether the library was seen to check its whole layout. Libraries before torch 2.13
  /// do so for none, later ones before an input is first used: none that is used after other work.
  std::vector<bool> layout_checked;
};

/// Asks the library what inputs it takes: calls it with made-up tensors that fail one check after the
/// other, and reads the messages. No tensor has any data, and work on tensors is refused. What a model
/// does to buffers of its own before that is not seen: see Container::restore_buffers. The library's
/// checks must be on. Blocking. Errors: OutOfMemory.
/// docs/design/0006-input-checks.md says how and why.
ProbedInputs probe_inputs(const Container& container);

/// True where the library's checks are off: it takes anything. To be asked after they were turned off.
bool takes_anything(const Container& container);

/// Takes from the generated text which sizes go together for inputs whose layout was not seen to be
/// checked. Where the text does not say either: a library that checks layouts keeps its own checks on
/// (`complete` becomes false); of one that does not, such a size follows from others, so it has to be
/// one of those.
void add_text_hints(ProbedInputs& probed, std::span<const TensorSpec> hints, bool library_checks_layouts);

}  // namespace penstock::model
