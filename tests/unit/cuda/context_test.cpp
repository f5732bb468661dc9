#include "cuda/context.hpp"

#include "recorder.hpp"

#include <penstock/log.hpp>

#include <string>

namespace penstock::cuda {
namespace {

using testing::HasSubstr;

class ContextOnRecorder : public OnRecorder {};

TEST_F(ContextOnRecorder, IsRetainedOnceAndReleasedWithItsLastHolder) {
  auto first = primary_context(0);
  const auto second = primary_context(0);
  EXPECT_EQ(first, second);
  EXPECT_EQ(first->device(), 0);
  EXPECT_EQ(alive().primary_contexts, 1U);
  first.reset();
  EXPECT_EQ(alive().primary_contexts, 1U);
}

TEST_F(ContextOnRecorder, IsOneADevice) {
  use({.devices = 2});
  const auto first = primary_context(0);
  const auto second = primary_context(1);
  EXPECT_NE(first->handle(), second->handle());
  EXPECT_EQ(second->number(), 1);
  EXPECT_EQ(alive().primary_contexts, 2U);
}

TEST_F(ContextOnRecorder, NamesTheDevicesThatThereAre) {
  EXPECT_THAT(error_of([] { primary_context(1); }).what(),
              HasSubstr("cuda:1: there is no such GPU; CUDA sees one"));
  EXPECT_EQ(error_of([] { primary_context(-1); }).code(), ErrorCode::NotFound);
  use({.devices = 2});
  EXPECT_THAT(error_of([] { primary_context(2); }).what(), HasSubstr("CUDA sees 2, cuda:0 to cuda:1"));
}

TEST_F(ContextOnRecorder, IsMadeCurrentAndTheOneBeforeAgain) {
  use({.devices = 2});
  const auto first = primary_context(0);
  const auto second = primary_context(1);
  const ContextScope outer(*first);
  {
    const ContextScope inner(*second);
    EXPECT_EQ(current_context(), second->handle());
  }
  EXPECT_EQ(current_context(), first->handle());
}

TEST_F(ContextOnRecorder, SurvivesEachFault) {
  expect_each_fault_is_survived([] {
    const auto context = primary_context(0);
    const ContextScope scope(*context);
    EXPECT_EQ(current_context(), context->handle());
  });
}

TEST_F(ContextOnRecorder, ReportsOnceWhatCannotBeReleased) {
  std::string said;
  set_log_callback([&](LogLevel, std::string_view text) { said += std::string(text) + "\n"; });
  penstock_recording_fail({.function = "cuDevicePrimaryCtxRelease", .result = kInvalidContext});
  primary_context(0);
  set_log_callback({});
  EXPECT_EQ(
      said,
      "the context of a GPU: cuDevicePrimaryCtxRelease failed: CUDA_ERROR_INVALID_CONTEXT (invalid device "
      "context)\n");
}

}  // namespace
}  // namespace penstock::cuda
