#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::package {

/// The keyword name of each leaf of a call, in flattened order, from torch's pytree JSON of its inputs:
/// "scale", "opts.k", "opts.m.0". Empty for positional arguments, which the format does not name, and for all
/// where the call has more leaves than the model has inputs: those that were no tensors at export. Empty too
/// for a name of more than 4 KiB, and for what is left once all have 16 MiB.
/// Source: torch/utils/_pytree.py, treespec_dumps. Errors: Corrupt for JSON of another form or with
/// fewer leaves.
std::vector<std::string> keyword_names(std::string_view in_spec_json, std::size_t leaf_count);

}  // namespace penstock::package
