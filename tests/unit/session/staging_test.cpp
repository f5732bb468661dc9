#include "session/staging.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <vector>

namespace penstock::session {
namespace {

/// Rows that code was generated for two of, of four numbers each.
model::InputRule rows_of_four() {
  model::DimRule rows{.symbol = 0};
  rows.assumes_two = true;
  return {.dims = {rows, {.min = 4, .max = 4}}, .strides = {model::kStrideFollows, 1}, .order = {1, 0}};
}

struct Staged {
  explicit Staged(std::vector<model::InputRule> given)
      : rules(std::move(given), std::vector<TensorSpec>(given.size()), "model") {}

  void begin(const std::vector<TensorView>& inputs) { staging.begin(rules, inputs, rules.check(inputs)); }
  [[nodiscard]] std::byte* copy_of(std::size_t index, const TensorView& input) const {
    const tensor::StorageReference storage(staging.storage(index, input));
    return static_cast<std::byte*>(storage->data);
  }

  model::InputRules rules;
  Staging staging;
};

Staged staged(std::size_t inputs) { return Staged(std::vector<model::InputRule>(inputs, rows_of_four())); }

TEST(Staging, LeavesRoomForTheRowThatIsNotThere) {
  Staged one = staged(1);
  std::array<float, 4> numbers{1, 2, 3, 4};
  const TensorView input(numbers.data(), DType::Float32, {1, 4});
  one.begin({input});
  std::byte* const copy = one.copy_of(0, input);
  EXPECT_NE(copy, static_cast<void*>(numbers.data()));
  EXPECT_EQ(std::memcmp(copy, numbers.data(), sizeof numbers), 0);
  // The address sanitizer sees where this is no memory of ours.
  std::memset(copy - 16, 7, 16);
  std::memset(copy + 16, 7, 16);
  one.staging.finish(std::vector{input});
  EXPECT_EQ(numbers, (std::array<float, 4>{1, 2, 3, 4}));
  EXPECT_EQ(one.staging.margin().doublings, 1);
}

TEST(Staging, WritesBackWhatChangedAndNothingElse) {
  Staged two = staged(2);
  std::array<float, 4> first{1, 2, 3, 4};
  const std::array<float, 4> second{5, 6, 7, 8};
  const std::vector<TensorView> inputs{{first.data(), DType::Float32, {1, 4}},
                                       {const_cast<float*>(second.data()), DType::Float32, {1, 4}}};
  two.begin(inputs);
  reinterpret_cast<float*>(two.copy_of(0, inputs[0]))[2] = 30;
  two.staging.finish(inputs);
  EXPECT_EQ(first, (std::array<float, 4>{1, 2, 30, 4}));
  EXPECT_EQ(second, (std::array<float, 4>{5, 6, 7, 8}));
}

TEST(Staging, CopiesATensorThatIsGivenTwiceOnce) {
  Staged two = staged(2);
  std::array<float, 4> numbers{1, 2, 3, 4};
  const TensorView input(numbers.data(), DType::Float32, {1, 4});
  const std::vector<TensorView> inputs{input, input};
  two.begin(inputs);
  EXPECT_EQ(two.copy_of(0, input), two.copy_of(1, input));
  reinterpret_cast<float*>(two.copy_of(1, input))[0] = 9;
  two.staging.finish(inputs);
  EXPECT_EQ(numbers[0], 9.0F);
}

TEST(Staging, CopiesATensorTwiceWhereItIsTouchedFurther) {
  model::InputRule wider = rows_of_four();
  wider.dims[1] = {.symbol = 1};
  wider.dims[1].follows_some = true;
  model::InputRule columns = rows_of_four();
  columns.dims = {{.symbol = 2}};
  columns.strides = {1};
  columns.order = {0};
  Staged three({columns, rows_of_four(), wider});
  std::array<float, 4> numbers{1, 2, 3, 4};
  std::array<float, 400> many{};
  const TensorView input(numbers.data(), DType::Float32, {1, 4});
  const std::vector<TensorView> inputs{{many.data(), DType::Float32, {400}}, input, input};
  three.begin(inputs);
  EXPECT_NE(three.copy_of(1, input), three.copy_of(2, input));
  std::memset(three.copy_of(2, input), 0, 400 * sizeof(float));
}

TEST(Staging, GivesOutputsThatAreInputsBack) {
  Staged one = staged(1);
  std::array<float, 4> numbers{1, 2, 3, 4};
  const TensorView input(numbers.data(), DType::Float32, {1, 4});
  one.begin({input});
  const tensor::StorageReference storage(one.staging.storage(0, input));
  const std::int64_t size = 2;
  const std::int64_t stride = 1;
  const tensor::TensorObjectPtr output(tensor::make_tensor(
      storage.get(), {.sizes = {&size, 1}, .strides = {&stride, 1}, .storage_offset = 2}));
  one.staging.give_back(*output, std::vector{input});
  EXPECT_EQ(static_cast<void*>(output->data), numbers.data() + 2);
  EXPECT_GT(one.staging.held_bytes(), 0U);
}

}  // namespace
}  // namespace penstock::session
