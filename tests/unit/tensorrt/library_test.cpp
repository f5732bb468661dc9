#include "tensorrt/library.hpp"

#include <penstock/error.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace penstock::tensorrt {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::byte> plan_of(const char* magic, std::array<int, 4> version) {
  std::vector<std::byte> plan(64);
  std::memcpy(plan.data(), magic, 4);
  for (std::size_t i = 0; i < version.size(); ++i) plan[24 + i] = static_cast<std::byte>(version[i]);
  return plan;
}

/// A variable of the environment, as it was afterwards.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value, 1);
  }
  ~Variable() { before_.empty() ? ::unsetenv(name_) : ::setenv(name_, before_.c_str(), 1); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::string before_;
};

TEST(PlanHeader, TellsWhoWroteThePlan) {
  const PlanHeader rtx = read_plan_header(plan_of("vtrt", {1, 7, 1, 116}));
  EXPECT_TRUE(rtx.is_known && rtx.is_rtx);
  EXPECT_EQ(rtx.version, "1.7.1.116");
  const PlanHeader full = read_plan_header(plan_of("ftrt", {10, 3, 0, 26}));
  EXPECT_TRUE(full.is_known && !full.is_rtx);
  EXPECT_EQ(full.major, 10);
  EXPECT_FALSE(read_plan_header(plan_of("what", {1, 2, 3, 4})).is_known);
  const auto plan = plan_of("ftrt", {10, 3, 0, 26});
  EXPECT_FALSE(read_plan_header(std::span(plan).first(27)).is_known);
  EXPECT_FALSE(read_plan_header({}).is_known);
}

TEST(LibrariesToTry, AreThoseGivenAndNoOthers) {
  const Variable variable("PENSTOCK_TENSORRT", "/c.so");
  const std::array<std::filesystem::path, 2> given{"/a.so", "/b.so"};
  EXPECT_THAT(libraries_to_try(given, {}), ElementsAre("/a.so", "/b.so"));
  EXPECT_THAT(libraries_to_try({}, {}), ElementsAre("/c.so"));
}

TEST(LibrariesToTry, AreSeveralWithColonsBetween) {
  const Variable variable("PENSTOCK_TENSORRT", "/c.so::/d.so");
  EXPECT_THAT(libraries_to_try({}, {}), ElementsAre("/c.so", "/d.so"));
}

TEST(LibrariesToTry, BeginWithThatOfThePlansVersion) {
  const Variable variable("PENSTOCK_TENSORRT", "");
  EXPECT_EQ(libraries_to_try({}, {}).front(), "libnvinfer.so.11");
  EXPECT_THAT(libraries_to_try({}, read_plan_header(plan_of("ftrt", {10, 3, 0, 26}))),
              ElementsAre("libnvinfer.so.10", "libnvinfer_lean.so.10", "libnvinfer.so.11",
                          "libnvinfer_lean.so.11", "libtensorrt_rtx.so.1"));
  EXPECT_EQ(libraries_to_try({}, read_plan_header(plan_of("vtrt", {1, 7, 1, 116}))).front(),
            "libtensorrt_rtx.so.1");
}

TEST(Library, ThatIsNotThereSaysWhereItWasLookedFor) {
  try {
    Library::open("/no/libnvinfer.so.10");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::NotFound);
    EXPECT_THAT(error.what(), HasSubstr("/no/libnvinfer.so.10"));
  }
}

TEST(Library, ThatIsNoTensorRTIsRefused) {
  try {
    Library::open("libm.so.6");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Incompatible);
    EXPECT_THAT(error.what(), HasSubstr("is no runtime of TensorRT"));
  }
}

}  // namespace
}  // namespace penstock::tensorrt
