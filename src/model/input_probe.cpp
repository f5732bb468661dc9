#include "model/input_probe.hpp"

#include "model/check_message.hpp"
#include "model/probe.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>

namespace penstock::model {
namespace {

using tensor::kRoomForDims;

constexpr std::int64_t kHuge = std::int64_t{1} << 60;
/// PyTorch writes this minimum for every dynamic dimension, whatever was exported: its compiler
/// assumes that sizes are not 0 or 1 unless told so, and the code runs with those all the same.
constexpr std::int64_t kAssumedMinimum = 2;

/// Takes in one message of check_input_N. False where it says nothing new.
bool learn_check(InputGuess& input, const CheckMessage& message) {
  using Kind = CheckMessage::Kind;
  if (message.kind == Kind::Dtype || message.kind == Kind::DeviceType) {
    std::int32_t& known = message.kind == Kind::Dtype ? input.dtype : input.device_type;
    const auto value = static_cast<std::int32_t>(message.value);
    return std::exchange(known, value) != value;
  }
  if (message.dim >= kRoomForDims) return false;
  DimGuess& dim = input.dims[message.dim];
  dim.mentioned = true;
  if (message.kind == Kind::Stride) {
    dim.fixed_stride = message.value;
    return std::exchange(dim.stride, message.value) != message.value;
  }
  std::int64_t next = message.value;
  if (message.kind == Kind::Size) {
    dim.fixed = message.value;
  } else if (message.kind == Kind::TooSmall) {
    dim.min = message.value;
    // The maximum is asked for next.
    if (!dim.max) next = kHuge;
  } else {
    dim.max = message.value;
  }
  return std::exchange(dim.size, next) != next;
}

/// First part: dtype, static sizes, ranges, static strides, one message a call.
void learn_checks(Probe& probe) {
  // Each dimension takes four calls at most, each input two more.
  const std::size_t most_calls = probe.inputs().size() * (kRoomForDims * 4 + 2) + 1;
  for (std::size_t i = 0; i < most_calls; ++i) {
    const CheckMessage message = probe.call();
    const bool of_check =
        message.kind != CheckMessage::Kind::Rank && message.kind != CheckMessage::Kind::Layout &&
        message.kind != CheckMessage::Kind::Passed && message.kind != CheckMessage::Kind::Other;
    if (!of_check || message.input >= probe.inputs().size()) return;
    if (!learn_check(probe.inputs()[message.input], message)) return;
  }
}

bool is_dynamic(const DimGuess& dim) { return !dim.fixed && !dim.derived; }

/// Gives every dynamic dimension a size of its own, so that a layout check that expects another
/// dimension's size gives itself away. Scattered, and other ones for each round, so that no two are
/// tied by chance in all rounds.
void choose_sizes(std::vector<InputGuess>& inputs, std::uint32_t round) {
  constexpr std::int64_t kSpread = 4096;
  std::minstd_rand scatter(round + 1);
  for (InputGuess& input : inputs) {
    for (std::size_t i = 0; i < input.known_rank(); ++i) {
      DimGuess& dim = input.dims[i];
      if (!is_dynamic(dim)) continue;
      const std::int64_t min = std::max<std::int64_t>(dim.min.value_or(kAssumedMinimum), kAssumedMinimum);
      const std::int64_t room = std::clamp<std::int64_t>(dim.max.value_or(kHuge) - min + 1, 1, kSpread);
      dim.size = min + static_cast<std::int64_t>(scatter()) % room;
    }
  }
}

/// Dense strides, in the order that static strides ask for, else row-major.
void choose_strides(InputGuess& input) {
  std::vector<std::size_t> left(input.known_rank());
  std::iota(left.begin(), left.end(), std::size_t{0});
  std::int64_t next = 1;
  while (!left.empty()) {
    auto pick = std::find_if(left.rbegin(), left.rend(),
                             [&](std::size_t dim) { return input.dims[dim].fixed_stride == next; });
    if (pick == left.rend()) {
      pick = std::find_if(left.rbegin(), left.rend(),
                          [&](std::size_t dim) { return !input.dims[dim].fixed_stride; });
    }
    if (pick == left.rend()) pick = left.rbegin();
    DimGuess& dim = input.dims[*pick];
    dim.stride = dim.fixed_stride.value_or(next);
    next = dim.stride * std::max<std::int64_t>(dim.size, 1);
    left.erase(std::next(pick).base());
  }
}

using Wanted = std::map<std::pair<std::size_t, std::size_t>, std::int64_t>;

/// Second part: calls until every layout check passes, doing as they say. What each dimension was told
/// to be goes to `sizes`. True where the checks were passed.
bool follow_layout_checks(Probe& probe, Wanted& sizes) {
  const std::size_t most_calls = probe.inputs().size() * 3 + 1;
  for (InputGuess& input : probe.inputs()) choose_strides(input);
  for (std::size_t i = 0; i < most_calls; ++i) {
    const CheckMessage message = probe.call();
    if (message.kind == CheckMessage::Kind::Passed) return true;
    if (message.input >= probe.inputs().size()) return false;
    InputGuess& input = probe.inputs()[message.input];
    if (message.kind == CheckMessage::Kind::Rank && message.value >= 0 &&
        message.value <= static_cast<std::int64_t>(kRoomForDims)) {
      input.rank = static_cast<std::size_t>(message.value);
      choose_strides(input);
    } else if (message.kind == CheckMessage::Kind::Layout) {
      for (const CheckMessage::Mismatch& mismatch : message.mismatches) {
        if (mismatch.dim >= input.known_rank()) return false;
        DimGuess& dim = input.dims[mismatch.dim];
        if (dim.size != mismatch.size) sizes[{message.input, mismatch.dim}] = mismatch.size;
        dim.size = mismatch.size;
        dim.stride = mismatch.stride;
      }
    } else {
      return false;
    }
  }
  return false;
}

/// One round of sizes and what came of them.
struct Round {
  std::vector<std::vector<std::int64_t>> chosen;
  Wanted wanted;
  bool passed = false;
};

Round run_round(Probe& probe, std::uint32_t number) {
  Round round;
  choose_sizes(probe.inputs(), number);
  for (const InputGuess& input : probe.inputs()) {
    std::vector<std::int64_t> sizes;
    for (const DimGuess& dim : input.dims) sizes.push_back(dim.size);
    round.chosen.push_back(std::move(sizes));
  }
  round.passed = follow_layout_checks(probe, round.wanted);
  return round;
}

/// How one size follows from another.
struct Line {
  std::int64_t scale = 1;
  std::int64_t offset = 0;
};

/// The line through what a dimension was in each round and what another one was told to be; nothing
/// where there is none, or one that is too odd to be meant.
std::optional<Line> find_line(std::span<const std::int64_t> from, std::span<const std::int64_t> to) {
  constexpr std::int64_t kMost = 64;
  std::size_t other = 1;
  while (other < from.size() && from[other] == from[0]) ++other;
  if (other == from.size()) return std::nullopt;
  const std::int64_t step = from[other] - from[0];
  const std::int64_t told = to[other] - to[0];
  if (told % step != 0) return std::nullopt;
  Line line;
  line.scale = told / step;
  line.offset = to[0] - line.scale * from[0];
  if (line.scale < 1 || line.scale > kMost || line.offset < -kMost || line.offset > kMost)
    return std::nullopt;
  for (std::size_t i = 0; i < from.size(); ++i) {
    if (line.scale * from[i] + line.offset != to[i]) return std::nullopt;
  }
  return line;
}

using Place = std::pair<std::size_t, std::size_t>;  ///< Input and dimension.

/// What a dimension was in each round.
std::vector<std::int64_t> chosen_sizes(std::span<const Round> rounds, const Place& place) {
  std::vector<std::int64_t> sizes;
  for (const Round& round : rounds) sizes.push_back(round.chosen[place.first][place.second]);
  return sizes;
}

/// What a dimension had to be in each round: as it was, where the library said nothing.
std::vector<std::int64_t> told_sizes(std::span<const Round> rounds, const Place& place) {
  std::vector<std::int64_t> sizes = chosen_sizes(rounds, place);
  for (std::size_t i = 0; i < rounds.size(); ++i) {
    const auto wanted = rounds[i].wanted.find(place);
    if (wanted != rounds[i].wanted.end()) sizes[i] = wanted->second;
  }
  return sizes;
}

/// The dimensions whose sizes the library leaves open, and those that it told in some round.
struct Places {
  std::vector<Place> free;
  std::vector<Place> told;
};

Places sort_places(const std::vector<InputGuess>& inputs, std::span<const Round> rounds) {
  Places places;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (std::size_t d = 0; d < inputs[i].known_rank(); ++d) {
      if (inputs[i].dims[d].fixed) continue;
      const bool told = std::any_of(rounds.begin(), rounds.end(), [&](const Round& round) {
        return round.wanted.contains({i, d});
      });
      (told ? places.told : places.free).emplace_back(i, d);
    }
  }
  return places;
}

/// Which free dimension the sizes `told` follow from, and how; nothing where none or more than one does.
/// A plain equal size goes before any other line.
std::optional<std::pair<Place, Line>> find_source(std::span<const Place> free, std::span<const Round> rounds,
                                                  std::span<const std::int64_t> told) {
  std::vector<std::pair<Place, Line>> plain;
  std::vector<std::pair<Place, Line>> scaled;
  for (const Place& place : free) {
    const auto line = find_line(chosen_sizes(rounds, place), told);
    if (line) (line->scale == 1 && line->offset == 0 ? plain : scaled).emplace_back(place, *line);
  }
  const auto& found = plain.empty() ? scaled : plain;
  if (found.size() != 1) return std::nullopt;
  return found.front();
}

/// Finds out, for each size that the library told, which free dimension it follows from and how. False
/// where that is not certain, or two free dimensions were the same in every round and so may be tied.
bool derive_sizes(std::vector<InputGuess>& inputs, std::span<const Round> rounds, int& symbols) {
  const Places places = sort_places(inputs, rounds);
  for (std::size_t i = 0; i < places.free.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (chosen_sizes(rounds, places.free[i]) == chosen_sizes(rounds, places.free[k])) return false;
    }
  }
  for (const Place& place : places.told) {
    const auto found = find_source(places.free, rounds, told_sizes(rounds, place));
    if (!found) return false;
    DimGuess& source = inputs[found->first.first].dims[found->first.second];
    if (source.symbol < 0) source.symbol = symbols++;
    DimGuess& target = inputs[place.first].dims[place.second];
    target.derived = true;
    target.symbol = source.symbol;
    target.scale = found->second.scale;
    target.offset = found->second.offset;
  }
  return true;
}

/// Dimensions from the innermost out, by the strides that the library accepted.
std::vector<std::size_t> innermost_first(const InputGuess& input) {
  std::vector<std::size_t> order(input.known_rank());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = order.size() - 1 - i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return input.dims[a].stride < input.dims[b].stride; });
  return order;
}

InputRule make_rule(const InputGuess& input) {
  InputRule rule;
  rule.dtype = static_cast<DType>(input.dtype);
  rule.device = Device{static_cast<DeviceType>(input.device_type), 0};
  for (std::size_t i = 0; i < input.known_rank(); ++i) {
    const DimGuess& dim = input.dims[i];
    DimRule made;
    const std::int64_t min = std::max<std::int64_t>(dim.min.value_or(0), 0);
    const std::int64_t max = dim.max.value_or(INT64_MAX);
    if (dim.fixed || min == max) {
      made.min = made.max = dim.fixed.value_or(min);
    } else {
      made.assumes_two = min == (dim.derived ? dim.scale * kAssumedMinimum + dim.offset : kAssumedMinimum);
      made.min = made.assumes_two ? 0 : min;
      made.max = max;
      made.symbol = dim.symbol;
      made.scale = dim.scale;
      made.offset = dim.offset;
    }
    rule.dims.push_back(made);
    rule.strides.push_back(dim.fixed_stride.value_or(kStrideFollows));
  }
  rule.order = innermost_first(input);
  return rule;
}

/// True where the rule gives the strides that the library accepted in the last round; else its strides
/// follow from sizes in a way that is not understood, and are left to the library's own check.
bool check_strides(InputRule& rule, const InputGuess& input) {
  std::int64_t next = 1;
  bool same = true;
  for (const std::size_t dim : rule.order) {
    const std::int64_t stride = rule.strides[dim] >= 0 ? rule.strides[dim] : next;
    same = same && (input.dims[dim].size == 1 || stride == input.dims[dim].stride);
    next = stride * std::max<std::int64_t>(input.dims[dim].size, 1);
  }
  if (!same) std::fill(rule.strides.begin(), rule.strides.end(), kStrideFree);
  return same;
}

/// Dimensions of inputs whose layout was checked, and that are bound to no other, get a symbol each.
void number_free_sizes(std::vector<InputGuess>& inputs, int symbols) {
  for (InputGuess& input : inputs) {
    if (!input.layout_checked) continue;
    for (std::size_t i = 0; i < input.known_rank(); ++i) {
      if (is_dynamic(input.dims[i]) && input.dims[i].symbol < 0) input.dims[i].symbol = symbols++;
    }
  }
}

}  // namespace

ProbedInputs probe_inputs(const Container& container) {
  ProbedInputs result;
  if (container.input_count() == 0) {
    result.complete = true;
    return result;
  }
  Probe probe(container);
  if (!probe.checks_are_on()) return result;
  learn_checks(probe);
  // Ranks that the messages so far do not show come out in the first try.
  bool passed = run_round(probe, 0).passed;
  std::vector<Round> rounds;
  constexpr std::uint32_t kRounds = 6;
  for (std::uint32_t number = 0; number < kRounds && passed; ++number) {
    rounds.push_back(run_round(probe, number));
    passed = rounds.back().passed;
  }
  int symbols = 0;
  result.complete = passed && derive_sizes(probe.inputs(), rounds, symbols);
  if (passed) number_free_sizes(probe.inputs(), symbols);
  for (const InputGuess& input : probe.inputs()) {
    result.rules.push_back(make_rule(input));
    result.layout_checked.push_back(input.layout_checked);
    result.complete = check_strides(result.rules.back(), input) && result.complete;
  }
  return result;
}

bool takes_anything(const Container& container) {
  return container.input_count() == 0 || !Probe(container).checks_are_on();
}

}  // namespace penstock::model
