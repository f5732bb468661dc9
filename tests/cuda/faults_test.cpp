#include "on_recorder.hpp"

#include "entries.hpp"

#include <penstock/log.hpp>

#include <functional>

namespace penstock::testing {
namespace {

using ::testing::HasSubstr;

// CUDA_ERROR_DEVICE_UNAVAILABLE, which nothing answers by itself.
constexpr cuda::Result kFault = 46;

/// Runs `work` once for each driver call that it makes, with that call failing. Expects each time, where it
/// throws, the driver's code in the error, and always that nothing is left of it, the context of the thread
/// included, and that `check` passes. Calls that only give something back may fail without an error.
void expect_each_fault_is_survived(const std::function<void()>& work, const std::function<void()>& check) {
  // Twice: the first time some things are made that stay.
  work();
  const unsigned calls_before = penstock_recording_calls();
  work();
  const unsigned calls = penstock_recording_calls() - calls_before;
  ASSERT_GT(calls, 0U);
  const recording::Alive before = penstock_recording_alive();
  void* const context = current_context();
  unsigned thrown = 0;
  for (unsigned nth = 1; nth <= calls; ++nth) {
    SCOPED_TRACE("call " + std::to_string(nth));
    penstock_recording_clear_log();
    penstock_recording_fail({.nth = nth, .result = kFault});
    try {
      work();
    } catch (const Error& error) {
      ++thrown;
      EXPECT_TRUE(error.cuda_result() == kFault || error.code() == ErrorCode::OutOfMemory) << error.what();
    }
    penstock_recording_clear_faults();
    EXPECT_EQ(penstock_recording_alive(), before) << penstock_recording_log();
    EXPECT_EQ(current_context(), context);
    EXPECT_STREQ(penstock_recording_violations(), "");
    check();
  }
  EXPECT_GT(thrown, 0U);
}

class Faults : public OnRecorder {};

TEST_F(Faults, OfALoadLeaveNothing) {
  for (const char* name : {"add", "folded"}) {
    SCOPED_TRACE(name);
    expect_each_fault_is_survived([&] { load(name); }, [] {});
  }
}

TEST_F(Faults, OfARunLeaveTheSessionUsable) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const Stream stream = Stream::create();
  const auto run = [&] { session.enqueue(views_of(inputs), stream); };
  expect_each_fault_is_survived(run, run);
}

TEST_F(Faults, OfAFirstRunLeaveTheSessionUsable) {
  const Model model = load("add");
  const std::vector<Tensor> inputs = inputs_of("add");
  const Stream stream = Stream::create();
  expect_each_fault_is_survived([&] { Session(model).enqueue(views_of(inputs), stream); }, [] {});
}

TEST_F(Faults, OfARunOnTheDefaultStreamLeaveTheSessionUsable) {
  const Primary primary;
  const Current current(primary.handle());
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const auto run = [&] { session.enqueue(views_of(inputs), StreamView::legacy_default()); };
  expect_each_fault_is_survived(run, run);
}

TEST_F(Faults, OfABlockingRunLeaveTheSessionUsable) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const auto run = [&] { session.run(views_of(inputs)); };
  expect_each_fault_is_survived(run, run);
}

TEST_F(Faults, OfAChangeOfStreamsLeaveTheSessionUsable) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const Stream first = Stream::create();
  const Stream second = Stream::create();
  const auto run = [&] {
    session.enqueue(views_of(inputs), first);
    session.enqueue(views_of(inputs), second);
  };
  expect_each_fault_is_survived(run, run);
}

TEST_F(Faults, OfCopiedInputsLeaveTheSessionUsable) {
  Session session(load("add"), {.host_inputs = HostInputs::Copy});
  const std::vector<Tensor> inputs = recorded("add", "inputs", kGpuPackages);
  const Stream stream = Stream::create();
  const auto run = [&] { session.enqueue(views_of(inputs), stream); };
  expect_each_fault_is_survived(run, run);
}

TEST_F(Faults, OfAnUpdateLeaveTheModelAsItWas) {
  Model model = load("folded");
  Session session(model);
  const std::vector<Tensor> inputs = inputs_of("folded");
  const Tensor scale = model.weight("scale");
  const NamedWeight same{.name = "scale", .view = scale.view()};
  expect_each_fault_is_survived(
      [&] {
        model.update_weights({&same, 1});
      },
      [&] { session.run(views_of(inputs)); });
}

TEST_F(Faults, OfAllocationNameTheBytesAndPass) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const Stream stream = Stream::create();
  penstock_recording_fail({.function = "cuMemAlloc", .result = cuda::kOutOfMemory});
  const Error error = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("2048 bytes"));
  session.enqueue(views_of(inputs), stream);
}

TEST_F(Faults, ThatAContextDoesNotRecoverFromAreNamedSo) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const Stream stream = Stream::create();
  session.enqueue(views_of(inputs), stream);
  penstock_recording_fail({.function = "cuLaunchKernel", .sticky = true, .result = cuda::kIllegalAddress});
  const Error first = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(first.cuda_result(), cuda::kIllegalAddress);
  EXPECT_THAT(first.what(), HasSubstr("every later call"));
  const Error second = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(second.cuda_result(), cuda::kIllegalAddress);
  // A real device would stay broken: what is there could not be given back.
  penstock_recording_reset({});
}

}  // namespace
}  // namespace penstock::testing
