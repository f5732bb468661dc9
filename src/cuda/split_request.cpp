#include "cuda/split_request.hpp"

#include "base/fail.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace penstock::cuda {
namespace {

constexpr double kWhole = 100;
constexpr double kTolerance = 1e-6;  ///< Of shares such as 33.3333333%, three of which are all.

[[noreturn]] void refuse_text(std::string_view parts, std::string_view part) {
  base::fail(ErrorCode::InvalidArgument,
             "\"{}\" is no split: \"{}\" is neither a number of SMs (32), nor a share (25%), nor \"rest\"",
             parts, part);
}

SplitPart parse_part(std::string_view parts, std::string_view part) {
  if (part == "rest") return {.kind = SplitPart::Kind::Rest};
  const char* const end = part.data() + part.size();
  if (part.ends_with('%')) {
    double percent = 0;
    const auto [rest, error] = std::from_chars(part.data(), end - 1, percent, std::chars_format::fixed);
    if (error != std::errc{} || rest != end - 1 || !(percent > 0 && percent <= kWhole))
      refuse_text(parts, part);
    return {.kind = SplitPart::Kind::Share, .percent = percent};
  }
  unsigned count = 0;
  const auto [rest, error] = std::from_chars(part.data(), end, count);
  if (error != std::errc{} || rest != end || count == 0) refuse_text(parts, part);
  return {.kind = SplitPart::Kind::Count, .count = count};
}

unsigned round_up(std::uint64_t count, unsigned step) {
  return static_cast<unsigned>(std::min<std::uint64_t>((count + step - 1) / step * step, UINT32_MAX));
}

/// Shares that make up all, by which the last one is the rest.
bool shares_are_all(std::span<const SplitPart> parts) {
  double percent = 0;
  for (const SplitPart& part : parts) {
    if (part.kind != SplitPart::Kind::Share) return false;
    percent += part.percent;
  }
  return std::abs(percent - kWhole) < kTolerance;
}

/// Parts are put together of equal groups, none of which may be smaller than the least: so they grow by that,
/// unless what is asked for can be had of larger groups in the finer steps of the GPU.
unsigned step_of(std::span<const SplitPart> parts, const SplitLimits& limits) {
  const unsigned fine = std::max(limits.step, 1U);
  const unsigned coarse = round_up(std::max(limits.least, 1U), fine);
  std::uint64_t group = 0;
  for (const SplitPart& part : parts) {
    if (part.kind == SplitPart::Kind::Share) return coarse;
    if (part.kind == SplitPart::Kind::Count) {
      group = std::gcd(group, std::uint64_t{round_up(std::max(part.count, limits.least), fine)});
    }
  }
  return group >= limits.least && group != 0 ? fine : coarse;
}

std::string limits_text(const SplitLimits& limits, const std::string& what) {
  return fmt::format("{} has {} SMs, and gives parts of {} or more in steps of {}, and the rest", what,
                     limits.sm_count, limits.least, limits.step);
}

}  // namespace

std::vector<SplitPart> parse_split(std::string_view parts) {
  std::vector<SplitPart> parsed;
  std::string_view left = parts;
  bool more = true;
  while (more) {
    const std::size_t comma = left.find(',');
    more = comma != std::string_view::npos;
    parsed.push_back(parse_part(parts, left.substr(0, comma)));
    if (more) left.remove_prefix(comma + 1);
    if (more && parsed.back().kind == SplitPart::Kind::Rest) {
      base::fail(ErrorCode::InvalidArgument, "\"{}\" is no split: \"rest\" comes once, in the end", parts);
    }
  }
  return parsed;
}

std::vector<unsigned> plan_split(std::span<const SplitPart> parts, const SplitLimits& limits,
                                 const std::string& what) {
  const bool last_is_rest = shares_are_all(parts);
  const unsigned step = step_of(parts, limits);
  std::vector<unsigned> plan;
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const SplitPart& part = parts[i];
    unsigned size = 0;
    if (part.kind == SplitPart::Kind::Count) size = round_up(std::max(part.count, limits.least), step);
    if (part.kind == SplitPart::Kind::Share && !(last_is_rest && i + 1 == parts.size())) {
      const double wanted = limits.sm_count * part.percent / kWhole;
      size = std::max(1U, static_cast<unsigned>(std::lround(wanted / step))) * step;
    }
    sum += size;
    plan.push_back(size);
  }
  const bool has_rest = !plan.empty() && plan.back() == 0;
  if (plan.empty()) base::fail(ErrorCode::InvalidArgument, "a split needs at least one part");
  if (sum > limits.sm_count) {
    base::fail(ErrorCode::InvalidArgument, "parts of {} SMs do not fit: {}", fmt::join(plan, " + "),
               limits_text(limits, what));
  }
  if (has_rest && sum == limits.sm_count) {
    base::fail(ErrorCode::InvalidArgument, "parts of {} SMs leave no rest: {}",
               fmt::join(std::span(plan).first(plan.size() - 1), " + "), limits_text(limits, what));
  }
  return plan;
}

}  // namespace penstock::cuda
