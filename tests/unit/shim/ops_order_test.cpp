#include "contract/shim_call.hpp"
#include "unit/cpu/tensors.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace penstock::shim {
namespace {

using cpu::testing::over;
using SearchSortedScalar = AOTITorchError(AtenTensorHandle, double, std::int32_t, std::int32_t, const char**,
                                          AtenTensorHandle*, AtenTensorHandle*);

template <class T>
std::int64_t place_of(std::vector<T> sequence, double value, bool right = false) {
  auto* const search = contract::shim_function<SearchSortedScalar>("aoti_torch_cpu_searchsorted_Scalar");
  contract::ShimRun run(1);
  contract::Results<1> results;
  const auto tensor = over(sequence, {static_cast<std::int64_t>(sequence.size())});
  contract::expect_success(run, "searchsorted", [&] {
    return search(tensor.get(), value, 0, right ? 1 : 0, nullptr, nullptr, results[0]);
  });
  if (results.handles[0] == nullptr) return -1;
  return *reinterpret_cast<const std::int64_t*>(results.handles[0]->data);
}

TEST(SearchSortedScalar, TellsIntegersApartThatDoublesDoNot) {
  constexpr std::int64_t kWide = std::int64_t{1} << 53;
  const std::vector<std::int64_t> edges{kWide - 1, kWide, kWide + 1, kWide + 2, INT64_MAX};
  EXPECT_EQ(place_of(edges, 0x1p53), 1);
  EXPECT_EQ(place_of(edges, 0x1p53, true), 2);
  EXPECT_EQ(place_of(edges, 0x1p53 + 2), 3);
  EXPECT_EQ(place_of(edges, 0x1p53 + 2, true), 4);
  EXPECT_EQ(place_of(std::vector<std::int64_t>{INT64_MIN, INT64_MIN + 1}, -0x1p63, true), 1);
}

TEST(SearchSortedScalar, FindsFractionsAmongIntegersOfAnyKind) {
  EXPECT_EQ(place_of(std::vector<std::int64_t>{1, 2, 3}, 2.5), 2);
  EXPECT_EQ(place_of(std::vector<std::int8_t>{1, 2, 3}, 1000), 3);
  EXPECT_EQ(place_of(std::vector<std::uint8_t>{1, 2, 3}, -1), 0);
  EXPECT_EQ(place_of(std::vector<std::int32_t>{1, 2, 3}, std::numeric_limits<double>::infinity()), 3);
  EXPECT_EQ(place_of(std::vector<std::int32_t>{1, 2, 3}, std::numeric_limits<double>::quiet_NaN()), 3);
  EXPECT_EQ(place_of(std::vector<float>{1, 2, 3}, 2), 1);
}

}  // namespace
}  // namespace penstock::shim
