#include "cuda/driver.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

namespace penstock::cuda {
namespace {

using testing::HasSubstr;

TEST(DriverFunctions, FillEachPlaceOfTheTableOnce) {
  std::set<std::size_t> offsets;
  std::set<std::string> names;
  for (const DriverFunction& each : driver_functions()) {
    EXPECT_TRUE(offsets.insert(each.offset).second) << each.name;
    EXPECT_TRUE(names.insert(each.name).second) << each.name;
    EXPECT_LT(each.offset, sizeof(Driver)) << each.name;
  }
  EXPECT_EQ(offsets.size() * sizeof(void*), sizeof(Driver));
}

TEST(OpenDriver, SaysWhereItLookedAndWhatToInstall) {
  const OpenedDriver opened = open_driver({"/nonexistent/libcuda.so.1"});
  EXPECT_EQ(opened.code, ErrorCode::NotFound);
  EXPECT_THAT(opened.problem, HasSubstr("/nonexistent/libcuda.so.1"));
  EXPECT_THAT(opened.problem, HasSubstr("install NVIDIA's driver of CUDA 12.0"));
  EXPECT_THAT(opened.problem, HasSubstr("PENSTOCK_LIBCUDA"));
  EXPECT_EQ(opened.path, "");
}

TEST(OpenDriver, RefusesALibraryThatIsNoDriver) {
  const OpenedDriver opened = open_driver({"libm.so.6"});
  EXPECT_EQ(opened.code, ErrorCode::Incompatible);
  EXPECT_THAT(opened.problem, HasSubstr("is no CUDA driver"));
  EXPECT_THAT(opened.problem, HasSubstr("libm.so.6"));
}

}  // namespace
}  // namespace penstock::cuda
