#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::cuda {

/// A part of a split as it was asked for.
struct SplitPart {
  enum class Kind { Count, Share, Rest };
  Kind kind = Kind::Count;
  unsigned count = 0;
  double percent = 0;
};

/// Reads "32,64,rest" or "25%,75%". Errors: InvalidArgument names what is wrong.
std::vector<SplitPart> parse_split(std::string_view parts);

/// What parts can be made of.
struct SplitLimits {
  unsigned sm_count = 0;  ///< That there are.
  unsigned least = 1;
  unsigned step = 1;
};

/// SMs that each part gets, in whose place 0 means the rest: numbers that the GPU can give.
/// `what` is the resource in messages. Errors: InvalidArgument where they do not fit.
std::vector<unsigned> plan_split(std::span<const SplitPart> parts, const SplitLimits& limits,
                                 const std::string& what);

}  // namespace penstock::cuda
