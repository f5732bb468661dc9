#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

enum class CallSide { Inputs, Outputs };

/// Where each leaf of a call spec (ModelInfo::call_spec_in, call_spec_out) is in the structures of the
/// exported call: "args[1]['ids']", "out['logits']". Empty for one that its position or keyword tells
/// already. Nothing where the spec is not stated, cannot be read, has another number of leaves, or has places
/// of more than 4 KiB, or of 16 MiB together. Host-only. Thread: thread-safe.
/// Source: torch/utils/_pytree.py, treespec_dumps.
std::vector<std::string> call_places(std::string_view spec, std::size_t leaf_count, CallSide side);

}  // namespace penstock::package
