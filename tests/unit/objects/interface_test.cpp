#include <penstock/operators.hpp>

#include <gtest/gtest.h>

namespace penstock {
namespace {

/// What a shared library of operators was compiled against. Whoever has to change a number here raises
/// kOperatorInterface too: a library of the old layout must not be used.
TEST(OperatorInterface, HasTheLayoutOfItsVersion) {
  EXPECT_EQ(kOperatorInterface, 1U);
  EXPECT_EQ(sizeof(Value), 40U);
  EXPECT_EQ(sizeof(Tensor), 312U);
  EXPECT_EQ(sizeof(TensorView), 296U);
  EXPECT_EQ(sizeof(CustomObject), 16U);
  EXPECT_EQ(sizeof(ObjectSnapshot), 32U);
  EXPECT_EQ(sizeof(ObjectOrigin), 40U);
  EXPECT_EQ(sizeof(OperatorDefinition), 72U);
  EXPECT_EQ(sizeof(MethodDefinition), 72U);
  EXPECT_EQ(sizeof(ClassDefinition), 120U);
  EXPECT_EQ(sizeof(OperatorCall), 8U);
  EXPECT_EQ(sizeof(Registry), 16U);
}

}  // namespace
}  // namespace penstock
