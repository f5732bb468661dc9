#pragma once

#include "cuda/context.hpp"
#include "cuda/driver.hpp"
#include "recording_driver.hpp"

#include <penstock/error.hpp>
#include <penstock/stream.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <ostream>
#include <string>

namespace penstock::recording {

void PrintTo(const Alive& alive, std::ostream* out);

}  // namespace penstock::recording

namespace penstock::cuda {

/// Tests on the recording driver: each begins with a fresh machine, has to give back all that it makes, to
/// leave the thread without a context, and to wait for no stream that is held.
/// The stream as the driver knows it.
inline StreamHandle handle(StreamView stream) { return static_cast<StreamHandle>(stream.handle()); }

class OnRecorder : public testing::Test {
 protected:
  OnRecorder();
  void TearDown() override;

  /// A machine other than one GPU of 132 SMs.
  static void use(const recording::Machine& machine) { penstock_recording_reset(machine); }
  /// Lines of the log.
  static std::string log() { return penstock_recording_log(); }
  static recording::Alive alive() { return penstock_recording_alive(); }

  bool may_violate_ = false;  ///< Set by tests of the recorder itself.
};

/// With the primary context current: tests of the recorder itself.
class OnContext : public OnRecorder {
 protected:
  OnContext() : context_(primary_context(0)), scope_(std::in_place, *context_) {}
  void TearDown() override {
    scope_.reset();
    context_.reset();
    OnRecorder::TearDown();
  }

  StreamHandle make_stream(unsigned flags = kStreamNonBlocking) {
    StreamHandle stream = nullptr;
    EXPECT_EQ(table_.stream_create_with_priority(&stream, flags, 0), kSuccess);
    return stream;
  }
  EventHandle make_event() {
    EventHandle event = nullptr;
    EXPECT_EQ(table_.event_create(&event, kEventDisableTiming), kSuccess);
    return event;
  }
  DevicePointer make_memory(std::size_t bytes) {
    DevicePointer pointer = 0;
    EXPECT_EQ(table_.mem_alloc(&pointer, bytes), kSuccess);
    return pointer;
  }
  static std::string text_at(DevicePointer pointer, std::size_t bytes) {
    return {reinterpret_cast<const char*>(static_cast<std::uintptr_t>(pointer)), bytes};
  }

  const Driver& table_ = driver();
  std::shared_ptr<const PrimaryContext> context_;
  std::optional<ContextScope> scope_;
};

/// What `work` throws. Fails the test where it throws nothing.
template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::Internal, "nothing"};
}

/// Runs `work` once for each driver call that it makes, with that call failing, and expects each time an
/// error with the driver's code, nothing left, and no context on the thread; `work` gives back what it makes.
/// Calls that only give something back report to the log instead.
template <class Work>
void expect_each_fault_is_survived(Work&& work) {
  constexpr Result kFault = 46;  // CUDA_ERROR_DEVICE_UNAVAILABLE, which nothing here answers by itself.
  const recording::Alive before = penstock_recording_alive();
  const unsigned calls_before = penstock_recording_calls();
  work();
  const unsigned calls = penstock_recording_calls() - calls_before;
  ASSERT_GT(calls, 0U);
  unsigned thrown = 0;
  for (unsigned nth = 1; nth <= calls; ++nth) {
    penstock_recording_clear_faults();
    penstock_recording_fail({.nth = nth, .result = kFault});
    try {
      work();
    } catch (const Error& error) {
      ++thrown;
      EXPECT_EQ(error.cuda_result(), kFault) << error.what();
      EXPECT_NE(std::string(error.what()).find("46"), std::string::npos) << error.what();
    }
    penstock_recording_clear_faults();
    EXPECT_EQ(penstock_recording_alive(), before) << "call " << nth << "\n" << penstock_recording_log();
    ContextHandle context = nullptr;
    driver().ctx_get_current(&context);
    EXPECT_EQ(context, nullptr) << "call " << nth;
  }
  EXPECT_GT(thrown, 0U);
}

}  // namespace penstock::cuda
