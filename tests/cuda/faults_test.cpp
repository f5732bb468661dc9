#include "on_recorder.hpp"

#include "entries.hpp"

#include <penstock/log.hpp>

#include <algorithm>
#include <functional>
#include <iterator>
#include <string_view>

namespace penstock::testing {
namespace {

using ::testing::HasSubstr;

// CUDA_ERROR_DEVICE_UNAVAILABLE, which nothing answers by itself.
constexpr cuda::Result kFault = 46;

// Of names and versions nothing can go wrong. A context that cannot be made current is lost, and with it all
// that is in it: nothing could be given back.
bool may_fail(std::string_view function) {
  constexpr std::string_view kOthers[] = {"cuDriverGetVersion", "cuGetErrorName",   "cuGetErrorString",
                                          "cuCtxGetCurrent",    "cuCtxPushCurrent", "cuCtxPopCurrent"};
  return std::find(std::begin(kOthers), std::end(kOthers), function) == std::end(kOthers);
}

std::vector<const char*> driver_functions() {
  std::vector<const char*> names;
#define PENSTOCK_ADD_NAME(member, name, exported) \
  if (may_fail(#name)) names.push_back(#name);
  PENSTOCK_DRIVER_ENTRIES(PENSTOCK_ADD_NAME)
#undef PENSTOCK_ADD_NAME
  return names;
}

/// Runs `work` with the nth call of a function failing. Expects, where it throws, the driver's code in the
/// error, and always that nothing is left of it, the context of the thread included. False where there was no
/// such call.
bool survives_fault(const std::function<void()>& work, const char* function, unsigned nth) {
  const recording::Alive before = penstock_recording_alive();
  void* const context = current_context();
  penstock_recording_clear_log();
  penstock_recording_fail({.function = function, .nth = nth, .result = kFault});
  try {
    work();
  } catch (const Error& error) {
    // An obstacle to opening is a text.
    const bool is_told = error.cuda_result() == kFault ||
                         std::string_view(error.what()).find("CUresult 46") != std::string_view::npos;
    EXPECT_TRUE(is_told) << error.what();
  }
  penstock_recording_clear_faults();
  const std::string log = penstock_recording_log();
  if (log.find("fails with 46") == std::string::npos) return false;
  EXPECT_EQ(penstock_recording_alive(), before) << log;
  EXPECT_EQ(current_context(), context);
  EXPECT_STREQ(penstock_recording_violations(), "");
  return true;
}

/// That each driver call of `work` may fail; `check` is run after each.
void expect_each_fault_is_survived(const std::function<void()>& work, const std::function<void()>& check) {
  // Twice: the first time some things are made that stay.
  work();
  work();
  unsigned faults = 0;
  for (const char* const function : driver_functions()) {
    for (unsigned nth = 1;; ++nth, ++faults) {
      SCOPED_TRACE("call " + std::to_string(nth) + " of " + function);
      if (!survives_fault(work, function, nth)) break;
      check();
    }
  }
  EXPECT_GT(faults, 1U);
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
  penstock_recording_fail({.function = "cuMemAlloc", .every = true, .result = cuda::kOutOfMemory});
  const Error error = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(error.code(), ErrorCode::OutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("2048 bytes"));
  penstock_recording_clear_faults();
  session.enqueue(views_of(inputs), stream);
}

TEST_F(Faults, OfACaptureLeaveTheSessionUsable) {
  const Model model = load("add");
  const std::vector<Tensor> inputs = inputs_of("add");
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const auto three_runs = [&] {
    Session session(model);
    for (int i = 0; i < 3; ++i) session.enqueue(views_of(inputs), stream);
  };
  expect_each_fault_is_survived(three_runs, three_runs);
}

TEST_F(Faults, ThatEndACaptureArePassing) {
  const Stream stream = Stream::create();
  Session session(load("add"));
  const std::vector<Tensor> x = inputs_of("add");
  const auto run = [&] { session.enqueue(views_of(x), stream); };
  run();
  penstock_recording_fail({.function = "cuStreamEndCapture", .result = cuda::kStreamCaptureInvalidated});
  run();
  EXPECT_FALSE(session.last_run().replayed);
  run();
  EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  session.release_memory();
  // What ends so each time is not tried for ever.
  run();
  penstock_recording_fail(
      {.function = "cuStreamEndCapture", .every = true, .result = cuda::kStreamCaptureInvalidated});
  for (int i = 0; i < 5; ++i) run();
  penstock_recording_clear_faults();
  run();
  EXPECT_FALSE(session.last_run().replayed);
}

TEST_F(Faults, OfAReplayLeaveTheSessionUsable) {
  Session session(load("add"));
  const std::vector<std::vector<Tensor>> inputs{inputs_of("add"), inputs_of("add")};
  const Stream stream = Stream::create();
  std::size_t turn = 0;
  const auto run = [&] { session.enqueue(views_of(inputs[++turn % 2]), stream); };
  run();
  expect_each_fault_is_survived(run, [&] {
    run();
    EXPECT_TRUE(session.last_run().replayed) << session.last_run().reason;
  });
}

TEST_F(Faults, OfAKernelAreNotTakenForMissingMemory) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const std::vector<Tensor> host = recorded("add", "inputs", kGpuPackages);
  const Stream stream = Stream::create();
  // The first call that a fault of a kernel shows at may be any.
  penstock_recording_fail({.function = "cuMemAlloc", .every = true, .result = cuda::kIllegalAddress});
  for (const Error& error : {error_of([&] { session.enqueue(views_of(inputs), stream); }), error_of([&] {
                               copy_to_device(host[0].view(), {DeviceType::Cuda, 0});
                             })}) {
    EXPECT_EQ(error.code(), ErrorCode::Cuda);
    EXPECT_EQ(error.cuda_result(), cuda::kIllegalAddress);
    EXPECT_THAT(error.what(), HasSubstr("nothing can run on this device"));
  }
  penstock_recording_clear_faults();
  session.enqueue(views_of(inputs), stream);
}

TEST_F(Faults, ThatAContextDoesNotRecoverFromAreNamedSo) {
  Session session(load("add"));
  const std::vector<Tensor> inputs = inputs_of("add");
  const Stream stream = Stream::create();
  session.enqueue(views_of(inputs), stream);
  EXPECT_TRUE(session.model().healthy());
  penstock_recording_fail({.function = "cuLaunchKernel", .sticky = true, .result = cuda::kIllegalAddress});
  const Error first = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(first.cuda_result(), cuda::kIllegalAddress);
  EXPECT_THAT(first.what(), HasSubstr("nothing can run on this device"));
  const Error second = error_of([&] { session.enqueue(views_of(inputs), stream); });
  EXPECT_EQ(second.cuda_result(), cuda::kIllegalAddress);
  EXPECT_FALSE(session.model().healthy());
  // A real device would stay broken: what is there could not be given back.
  penstock_recording_reset({});
}

}  // namespace
}  // namespace penstock::testing
