#pragma once

#include <penstock/tensor.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace penstock::model {

/// A stride that is dense after the dimensions inside of it, or one that is left to the library.
inline constexpr std::int64_t kStrideFollows = -1;
inline constexpr std::int64_t kStrideFree = -2;

/// What one dimension of an input may be.
struct DimRule {
  std::int64_t min = 0;
  std::int64_t max = INT64_MAX;
  /// Which size of the whole call it depends on, and how: size == scale * symbol + offset. -1: none.
  int symbol = -1;
  std::int64_t scale = 1;
  std::int64_t offset = 0;
  /// It is the size of some dimension with a symbol: all that is known where a library does not check
  /// which sizes go together.
  bool follows_some = false;
  /// The library was generated for sizes of 2 and more here, which is no statement of the model: see
  /// docs/design/0006-input-checks.md.
  bool assumes_two = false;

  [[nodiscard]] bool is_fixed() const noexcept { return min == max; }
  /// True where it is the very size that its symbol stands for.
  [[nodiscard]] bool is_plain() const noexcept { return scale == 1 && offset == 0; }
};

/// What one input must be.
struct InputRule {
  DType dtype = DType::Float32;
  Device device;
  std::vector<DimRule> dims;
  /// Stride that each dimension must have where its size is not 1, or one of the constants above.
  std::vector<std::int64_t> strides;
  /// Dimensions from the innermost out: the order in which following strides are made.
  std::vector<std::size_t> order;
  /// Filled in by InputRules: some dimension has `follows_some`.
  bool has_followers = false;
};

/// What sizes that passed leave open of the memory that a model may touch.
struct Latitude {
  /// Different sizes of this call that are 0 or 1 where the library was generated for 2 and more: its
  /// code may touch two of each, counted from either end.
  int below_two = 0;
  /// The largest size that one which follows some other may really have; 0 where none does.
  std::int64_t largest_followed = 0;

  [[nodiscard]] bool none() const noexcept { return below_two == 0 && largest_followed == 0; }
};

/// Bytes around the first element of an input.
struct Reach {
  std::size_t before = 0;
  std::size_t from_first = 0;
};

/// Checks inputs before anything of a model runs. Immutable. Thread: thread-safe.
class InputRules {
 public:
  InputRules() = default;
  InputRules(std::vector<InputRule> rules, std::vector<TensorSpec> specs, std::string what);

  /// Errors: InvalidArgument names the input, what was given, and what is accepted.
  Latitude check(std::span<const TensorView> inputs) const;

  [[nodiscard]] std::size_t input_count() const noexcept { return rules_.size(); }
  /// Where an input must be.
  [[nodiscard]] Device device_of(std::size_t input) const noexcept { return rules_[input].device; }

  /// All bytes that a model may touch of an input that passed, which may be more than the input has.
  /// Errors: InvalidArgument where no memory could hold them.
  [[nodiscard]] Reach reach(std::size_t input, const TensorView& view, const Latitude& latitude) const;

  /// False where there were more sizes than are checked for going together.
  [[nodiscard]] bool checks_all() const noexcept { return checks_all_; }

  /// The strides that the model may be told for an input that passed: those it was compiled for, in
  /// the dimensions of size 1 too, where they mean nothing.
  void compiled_strides(std::size_t input, const TensorView& view,
                        std::span<std::int64_t> strides) const noexcept;

  /// Sizes that go together, each the smallest that is accepted but 0, which few models mean.
  [[nodiscard]] std::vector<std::vector<std::int64_t>> smallest_sizes() const;

 private:
  void check_one(std::size_t index, const TensorView& view, std::span<std::int64_t> symbols) const;
  void check_sizes(std::size_t index, const TensorView& view, std::span<std::int64_t> symbols) const;
  [[nodiscard]] Latitude latitude(std::span<const TensorView> inputs,
                                  std::span<const std::int64_t> symbols) const noexcept;
  void check_scaled_sizes(std::size_t index, const TensorView& view,
                          std::span<const std::int64_t> symbols) const;
  void check_followers(std::size_t index, const TensorView& view,
                       std::span<const std::int64_t> symbols) const;
  [[noreturn]] void refuse(std::size_t index, const TensorView& view, const std::string& reason) const;

  std::vector<InputRule> rules_;
  std::vector<TensorSpec> specs_;
  std::string what_;
  std::size_t symbol_count_ = 0;
  bool has_scaled_sizes_ = false;
  bool has_latitude_ = false;
  bool checks_all_ = true;
};

}  // namespace penstock::model
