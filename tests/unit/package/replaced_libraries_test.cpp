#include "package/replaced_libraries.hpp"

#include <gtest/gtest.h>

namespace penstock::package {
namespace {

TEST(ReplacedLibraries, AreTheseOnly) {
  for (const char* name : {"libtorch.so", "libtorch_cpu.so", "libtorch_cuda.so", "libc10.so", "libcuda.so.1",
                           "libcudart.so.12", "libgomp.so.1", "libgomp-a34b3233.so.1"}) {
    EXPECT_TRUE(is_replaced_library(name)) << name;
  }
  for (const char* name :
       {"libc.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libm.so.6", "libcudnn.so.9", ""}) {
    EXPECT_FALSE(is_replaced_library(name)) << name;
  }
}

}  // namespace
}  // namespace penstock::package
