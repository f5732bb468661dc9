#include "shim/cuda_call.hpp"
#include "shim/imports.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace penstock::shim {
namespace {

TEST(OperatorsPage, SaysWhatIsAnswered) {
  std::ifstream page(std::filesystem::path(PENSTOCK_EXAMPLES).parent_path() / "docs/operators.md");
  ASSERT_TRUE(page);
  int answered = 0;
  int refused = 0;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| `aoti_")) continue;
    const std::size_t end = line.find('`', 3);
    const std::string name = line.substr(3, end - 3);
    // Where libpenstock_cuda is not built, its functions are missing.
    if (name.starts_with("aoti_torch_cuda_") && cuda_operators() == nullptr) continue;
    const bool says_yes = line.find("| yes |") != std::string::npos;
    EXPECT_EQ(resolve_import(name, {}).kind == ImportKind::Ours, says_yes) << name;
    ++(says_yes ? answered : refused);
  }
  EXPECT_GT(answered, 50);
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace penstock::shim
