#include "cpu/padding.hpp"

#include "unit/cpu/tensors.hpp"

#include <array>

namespace penstock::cpu {
namespace {

using testing::expect_refused;
using testing::over;

TEST(Padding, RefusesAmountsAtTheEndsOfTheirType) {
  std::vector<float> elements(6);
  const auto input = over(elements, {1, 2, 3});
  for (const std::int64_t amount : {INT64_MIN, INT64_MIN + 1, INT64_MIN / 2, INT64_MAX / 2, INT64_MAX}) {
    for (const auto& pad : {std::array{amount, std::int64_t{0}}, std::array{std::int64_t{0}, amount},
                            std::array{amount, amount}}) {
      for (const PadMode mode :
           {PadMode::Constant, PadMode::Reflect, PadMode::Replicate, PadMode::Circular}) {
        expect_refused(ErrorCode::InvalidArgument, "is too large", [&] { pad_layout(*input, pad, mode); });
      }
    }
  }
}

TEST(Padding, RefusesToCutOffMoreThanThereIs) {
  std::vector<float> elements(6);
  const auto input = over(elements, {1, 2, 3});
  const std::array<std::int64_t, 2> pad{-2, -2};
  expect_refused(ErrorCode::InvalidArgument, "negative size",
                 [&] { pad_layout(*input, pad, PadMode::Constant); });
}

}  // namespace
}  // namespace penstock::cpu
