#pragma once

#include "package/weights.hpp"

#include <penstock/tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// How many threads may run the code, as its text tells.
struct ThreadHints {
  /// Most threads of a team: 1 where the text starts none, `kAnyThreads` where it has no memory of a
  /// thread's own, nothing where it cannot be told.
  std::optional<int> at_most;
  /// The text splits work by a thread count of its own, so a smaller team would leave work undone.
  bool exact = false;
};
inline constexpr int kAnyThreads = INT32_MAX;

/// What the generated source in a package says of a model. The library itself may say otherwise.
struct TextHints {
  std::vector<TensorSpec> inputs;  ///< In call order; empty where they could not be read.
  std::optional<std::size_t> input_count;
  std::optional<std::size_t> output_count;
  std::optional<std::size_t> constant_count;
  std::uint64_t constants_bytes = 0;  ///< Sum over all constants.
  /// By the name in PyTorch.
  std::map<std::string, WeightLayout> weights;
  std::string call_spec_in;  ///< Pytree JSON; empty: not stated.
  std::string call_spec_out;
  ThreadHints threads;
  /// Value of -march in the compile commands: "x86-64-v3", "native"; "mixed" where they differ; empty:
  /// not stated.
  std::string march;
};

/// Reads the text of `*.wrapper.cpp` and `*.kernel.cpp`. Host-only. Errors: none: what is not
/// recognized is left out.
TextHints read_text_hints(std::string_view wrapper_text, std::string_view kernel_text);

/// `read_text_hints` of the code's threads alone.
ThreadHints read_thread_hints(std::string_view wrapper_text, std::string_view kernel_text);

}  // namespace penstock::package
