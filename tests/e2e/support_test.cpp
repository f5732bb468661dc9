#include "support.hpp"

#include <memory>
#include <vector>

namespace penstock::testing {
namespace {

TEST(GrowthOf, TellsWhatLeaks) {
  if (kSanitized) GTEST_SKIP() << "needs a build without sanitizers, whose heap gives no account of itself";
  std::vector<std::unique_ptr<char[]>> leaked;
  leaked.reserve(1000);
  const auto leak = [&] { leaked.push_back(std::make_unique<char[]>(100)); };
  EXPECT_NE(growth_of(leak, 100).find("bytes of heap"), std::string::npos);
}

TEST(GrowthOf, TellsWhatEveryOtherRepetitionLeaks) {
  if (kSanitized) GTEST_SKIP() << "needs a build without sanitizers, whose heap gives no account of itself";
  std::vector<std::unique_ptr<char>> leaked;
  leaked.reserve(1000);
  int time = 0;
  const auto leak = [&] {
    if (++time % 2 == 0) leaked.push_back(std::make_unique<char>());
  };
  EXPECT_NE(growth_of(leak, 100).find("bytes of heap"), std::string::npos);
}

TEST(GrowthOf, TellsLibrariesThatStay) {
  std::vector<Model> models;
  const Package package = open_package("add");
  const std::string growth = growth_of([&] { models.push_back(Model::load(package)); }, 1);
  EXPECT_NE(growth.find("mappings of libraries"), std::string::npos) << growth;
}

TEST(GrowthOf, TellsNothingOfWhatComesToAnEnd) {
  std::vector<std::unique_ptr<char[]>> list;
  const auto fill = [&] {
    if (list.size() < 350) list.push_back(std::make_unique<char[]>(100));
  };
  EXPECT_EQ(growth_of(fill, 100), "");
  EXPECT_EQ(list.size(), 350U);
}

}  // namespace
}  // namespace penstock::testing
