#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::cli {

/// Where each leaf of a call spec (ModelInfo::call_spec_in, call_spec_out) is in the structures of the
/// exported call: "args[1]['ids']", "out['logits']". Empty for one that its position or keyword tells
/// already. Nothing where the spec is not stated, cannot be read, or has another number of leaves.
std::vector<std::string> call_places(std::string_view spec, std::size_t leaf_count, bool is_input);

}  // namespace penstock::cli
