#include "model/input_rules.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace penstock::model {
namespace {

/// A range that the caller exported otherwise is a mystery to him.
constexpr std::string_view kRangeAdvice =
    "; the package says so, where PyTorch's compiler may have narrowed what was exported, and "
    "LoadOptions::size_ranges or --size-ranges ignored runs other sizes too";

constexpr std::int64_t kUnknown = -1;
constexpr std::int64_t kGeneratedMinimum = 2;
constexpr std::size_t kMostSymbols = 256;

std::string range_text(const DimRule& dim) {
  if (dim.is_fixed()) return fmt::format("{}", dim.min);
  if (dim.max == INT64_MAX) return fmt::format("at least {}", dim.min);
  return fmt::format("{} to {}", dim.min, dim.max);
}

}  // namespace

InputRules::InputRules(std::vector<InputRule> rules, std::vector<TensorSpec> specs, std::string what)
    : rules_(std::move(rules)), specs_(std::move(specs)), what_(std::move(what)) {
  for (InputRule& rule : rules_) {
    for (DimRule& dim : rule.dims) {
      rule.has_followers = rule.has_followers || dim.follows_some;
      has_latitude_ = has_latitude_ || dim.follows_some || dim.assumes_two;
      // More different sizes than anyone has seen in a model: those are left to the generated checks.
      if (dim.symbol >= static_cast<int>(kMostSymbols)) {
        dim.symbol = -1;
        checks_all_ = false;
      }
      symbol_count_ = std::max(symbol_count_, static_cast<std::size_t>(dim.symbol + 1));
      has_scaled_sizes_ = has_scaled_sizes_ || (dim.symbol >= 0 && !dim.is_plain());
    }
  }
}

Latitude InputRules::check(std::span<const TensorView> inputs) const {
  if (inputs.size() != rules_.size()) {
    std::string names;
    for (const TensorSpec& spec : specs_) names += (names.empty() ? "" : ", ") + to_string(spec);
    base::fail(ErrorCode::InvalidArgument, "{} takes {} inputs, {} were given{}{}{}", what_, rules_.size(),
               inputs.size(), names.empty() ? "" : " (", names, names.empty() ? "" : ")");
  }
  std::array<std::int64_t, kMostSymbols> values;
  const std::span<std::int64_t> symbols(values.data(), symbol_count_);
  std::fill(symbols.begin(), symbols.end(), kUnknown);
  for (std::size_t index = 0; index < inputs.size(); ++index) check_one(index, inputs[index], symbols);
  if (has_scaled_sizes_) {
    // Last, as a size may follow from one of an input that comes later.
    for (std::size_t index = 0; index < inputs.size(); ++index)
      check_scaled_sizes(index, inputs[index], symbols);
  }
  return has_latitude_ ? latitude(inputs, symbols) : Latitude{};
}

Latitude InputRules::latitude(std::span<const TensorView> inputs,
                              std::span<const std::int64_t> symbols) const noexcept {
  Latitude result;
  std::array<bool, kMostSymbols> counted{};
  for (std::size_t index = 0; index < inputs.size(); ++index) {
    for (std::size_t dim = 0; dim < rules_[index].dims.size(); ++dim) {
      const DimRule& rule = rules_[index].dims[dim];
      if (rule.follows_some) {
        for (const std::int64_t size : symbols)
          result.largest_followed = std::max(result.largest_followed, size);
      }
      if (!rule.assumes_two || inputs[index].sizes()[dim] >= kGeneratedMinimum) continue;
      if (rule.symbol >= 0 && std::exchange(counted[static_cast<std::size_t>(rule.symbol)], true)) continue;
      ++result.below_two;
    }
  }
  return result;
}

Reach InputRules::reach(std::size_t input, const TensorView& view, const Latitude& latitude) const {
  const InputRule& rule = rules_[input];
  std::array<std::int64_t, kMaxRank> sizes;
  for (std::size_t dim = 0; dim < view.rank(); ++dim) {
    sizes[dim] = view.sizes()[dim];
    const DimRule& accepted = rule.dims[dim];
    if (accepted.assumes_two)
      sizes[dim] = std::max(sizes[dim], accepted.scale * kGeneratedMinimum + accepted.offset);
    if (rule.dims[dim].follows_some) sizes[dim] = std::max(sizes[dim], latitude.largest_followed);
  }
  std::int64_t before = 0;
  std::int64_t extent = 1;
  std::int64_t dense = 1;
  bool overflow = false;
  bool empty = false;
  for (const std::size_t dim : rule.order) {
    std::int64_t stride = rule.strides[dim];
    if (stride == kStrideFree) stride = view.strides()[dim];
    if (stride == kStrideFollows) stride = dense;
    std::int64_t inside = 0;
    overflow |= __builtin_mul_overflow(stride, std::max<std::int64_t>(sizes[dim], 1), &dense);
    overflow |= __builtin_mul_overflow(stride, std::max<std::int64_t>(sizes[dim] - 1, 0), &inside);
    overflow |= __builtin_add_overflow(extent, inside, &extent);
    if (rule.dims[dim].assumes_two) {
      // Counted from the end, the first of two rows lies before the first that is there.
      overflow |= __builtin_mul_overflow(stride, sizes[dim] - view.sizes()[dim], &inside);
      overflow |= __builtin_add_overflow(before, inside, &before);
    }
    empty |= sizes[dim] == 0;
  }
  const auto element = static_cast<std::int64_t>(element_bytes(rule.dtype));
  overflow |= __builtin_mul_overflow(before, element, &before);
  overflow |= __builtin_mul_overflow(empty ? 0 : extent, element, &extent);
  if (overflow) refuse(input, view, "the model may touch more of it than any memory holds");
  return {static_cast<std::size_t>(before), static_cast<std::size_t>(extent)};
}

void InputRules::check_one(std::size_t index, const TensorView& view, std::span<std::int64_t> symbols) const {
  const InputRule& rule = rules_[index];
  if (view.device() != rule.device) {
    refuse(index, view,
           fmt::format("it is on {}, the model on {}", to_string(view.device()), to_string(rule.device)));
  }
  if (view.dtype() != rule.dtype) {
    refuse(index, view,
           fmt::format("its dtype is {}, not {}", dtype_name(view.dtype()), dtype_name(rule.dtype)));
  }
  if (view.rank() != rule.dims.size()) {
    refuse(index, view, fmt::format("it has {} dimensions, not {}", view.rank(), rule.dims.size()));
  }
  check_sizes(index, view, symbols);
  if (rule.has_followers) check_followers(index, view, symbols);
  if (view.numel() == 0) return;
  if (view.data() == nullptr) refuse(index, view, "its address is null");
  // That sizes and strides stay within the storage, and do not overflow, holds for every view: its
  // constructor refuses others.
  if (reinterpret_cast<std::uintptr_t>(view.data()) % std::min<std::size_t>(element_bytes(rule.dtype), 8) !=
      0) {
    refuse(index, view, "its address is not aligned to its dtype");
  }
  std::array<std::int64_t, kMaxRank> expected;
  compiled_strides(index, view, expected);
  for (std::size_t dim = 0; dim < view.rank(); ++dim) {
    if (view.sizes()[dim] == 1 || view.strides()[dim] == expected[dim]) continue;
    refuse(
        index, view,
        fmt::format("its strides are {}, the model was compiled for {}; give a tensor that lies so, such as "
                    "Tensor::copy_of(view) where that is row-major",
                    tensor::sizes_text(view.strides()), tensor::sizes_text({expected.data(), view.rank()})));
  }
}

void InputRules::check_sizes(std::size_t index, const TensorView& view,
                             std::span<std::int64_t> symbols) const {
  const InputRule& rule = rules_[index];
  for (std::size_t dim = 0; dim < rule.dims.size(); ++dim) {
    const DimRule& accepted = rule.dims[dim];
    const std::int64_t size = view.sizes()[dim];
    if (size < accepted.min || size > accepted.max) {
      refuse(index, view,
             fmt::format("dimension {} is {}, the model takes {}{}", dim, size, range_text(accepted),
                         accepted.is_fixed() ? std::string_view() : kRangeAdvice));
    }
    if (accepted.symbol < 0 || !accepted.is_plain()) continue;
    std::int64_t& symbol = symbols[static_cast<std::size_t>(accepted.symbol)];
    if (symbol == kUnknown) {
      symbol = size;
    } else if (symbol != size) {
      refuse(index, view,
             fmt::format("dimension {} is {}, but the sizes before it make it {}", dim, size, symbol));
    }
  }
}

void InputRules::check_scaled_sizes(std::size_t index, const TensorView& view,
                                    std::span<const std::int64_t> symbols) const {
  const InputRule& rule = rules_[index];
  for (std::size_t dim = 0; dim < rule.dims.size(); ++dim) {
    const DimRule& accepted = rule.dims[dim];
    if (accepted.symbol < 0 || accepted.is_plain()) continue;
    const std::int64_t symbol = symbols[static_cast<std::size_t>(accepted.symbol)];
    const auto scaled = base::checked_mul(accepted.scale, symbol);
    const auto wanted = scaled ? base::checked_add(*scaled, accepted.offset) : std::nullopt;
    const std::int64_t size = view.sizes()[dim];
    if (symbol != kUnknown && wanted && size == *wanted) continue;
    refuse(index, view,
           fmt::format("dimension {} is {}, but the other sizes make it {}", dim, size,
                       wanted ? fmt::to_string(*wanted) : "impossible"));
  }
}

void InputRules::check_followers(std::size_t index, const TensorView& view,
                                 std::span<const std::int64_t> symbols) const {
  const InputRule& rule = rules_[index];
  for (std::size_t dim = 0; dim < rule.dims.size(); ++dim) {
    const std::int64_t size = view.sizes()[dim];
    if (!rule.dims[dim].follows_some || std::ranges::find(symbols, size) != symbols.end()) continue;
    refuse(index, view,
           fmt::format("dimension {} is {}, which is no size of the inputs before it", dim, size));
  }
}

void InputRules::compiled_strides(std::size_t input, const TensorView& view,
                                  std::span<std::int64_t> strides) const noexcept {
  const InputRule& rule = rules_[input];
  std::int64_t next = 1;
  for (const std::size_t dim : rule.order) {
    strides[dim] = rule.strides[dim] >= 0             ? rule.strides[dim]
                   : rule.strides[dim] == kStrideFree ? view.strides()[dim]
                                                      : next;
    // Overflows only beside a size of 0, where strides mean nothing.
    if (__builtin_mul_overflow(strides[dim], std::max<std::int64_t>(view.sizes()[dim], 1), &next)) next = 0;
  }
}

std::vector<std::vector<std::int64_t>> InputRules::smallest_sizes() const {
  std::array<std::int64_t, kMostSymbols> symbols;
  symbols.fill(1);
  for (const InputRule& rule : rules_) {
    for (const DimRule& dim : rule.dims) {
      if (dim.symbol < 0 || dim.is_fixed()) continue;
      std::int64_t& symbol = symbols[static_cast<std::size_t>(dim.symbol)];
      // The least that makes scale * symbol + offset at least the minimum.
      symbol = std::max(symbol, (dim.min - dim.offset + dim.scale - 1) / dim.scale);
    }
  }
  std::vector<std::vector<std::int64_t>> result;
  for (const InputRule& rule : rules_) {
    std::vector<std::int64_t> sizes;
    for (const DimRule& dim : rule.dims) {
      const bool follows = dim.symbol >= 0 && !dim.is_fixed();
      sizes.push_back(follows ? dim.scale * symbols[static_cast<std::size_t>(dim.symbol)] + dim.offset
                      : dim.is_fixed() ? dim.min
                                       : std::max<std::int64_t>(dim.min, 1));
    }
    result.push_back(std::move(sizes));
  }
  return result;
}

void InputRules::refuse(std::size_t index, const TensorView& view, const std::string& reason) const {
  const TensorSpec& spec = specs_[index];
  base::fail(ErrorCode::InvalidArgument, "{}: input {}{}: {} was given and {} is accepted: {}", what_,
             spec.name, spec.keyword.empty() ? "" : " (" + spec.keyword + ")", to_string(view),
             to_string(spec), reason);
}

}  // namespace penstock::model
