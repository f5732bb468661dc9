#include "on_graph.hpp"

#include <array>
#include <functional>
#include <thread>

// What calls wait for, and which captures they end: as measured on an H200 with a driver of CUDA 13.0.
namespace penstock::cuda {
namespace {

using testing::HasSubstr;

class RecorderWaits : public OnGraph {
 protected:
  /// What ends by a call while a capture of this mode is on that this thread or another has begun.
  struct Outcome {
    Result of_call;
    Result of_capture;
    bool operator==(const Outcome&) const = default;
  };
  static void PrintTo(const Outcome& outcome, std::ostream* out) {
    *out << "call " << outcome.of_call << ", capture " << outcome.of_capture;
  }
  Outcome during(int capture_mode, int thread_mode, bool same_thread, const std::function<Result()>& call) {
    Outcome outcome{};
    EXPECT_EQ(table_.stream_begin_capture(stream_, capture_mode), kSuccess);
    const auto work = [&] {
      const ContextScope scope(*context_);
      int mode = thread_mode;
      EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&mode), kSuccess);
      outcome.of_call = call();
      EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&mode), kSuccess);
    };
    if (same_thread) {
      work();
    } else {
      std::thread(work).join();
    }
    GraphHandle graph = nullptr;
    outcome.of_capture = table_.stream_end_capture(stream_, &graph);
    if (graph != nullptr) {
      EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
    }
    return outcome;
  }
};

TEST_F(RecorderWaits, ACaptureForbidsWhatCouldDisturbIt) {
  StreamHandle const other = make_stream();
  EventHandle const event = make_event();
  EXPECT_EQ(table_.event_record(event, other), kSuccess);
  const std::array<std::function<Result()>, 6> calls{
      [&] { return table_.stream_synchronize(other); },
      [&] { return table_.stream_query(other); },
      [&] { return table_.event_synchronize(event); },
      [&] { return table_.event_query(event); },
      [&] {
        DevicePointer memory = 0;
        const Result result = table_.mem_alloc(&memory, 8);
        return result == kSuccess ? table_.mem_free(memory) : result;
      },
      [&] {
        ModuleHandle module = nullptr;
        EXPECT_EQ(table_.module_load_data(&module, kReplayPtx), kSuccess);
        const Result result = table_.module_unload(module);
        if (result == kSuccess) return result;
        int mode = kCaptureRelaxed;
        EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&mode), kSuccess);
        EXPECT_EQ(table_.module_unload(module), kSuccess);
        EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&mode), kSuccess);
        return result;
      }};
  const Outcome fine{kSuccess, kSuccess};
  const Outcome broken{kStreamCaptureUnsupported, kStreamCaptureInvalidated};
  for (std::size_t i = 0; i < calls.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(during(kCaptureGlobal, kCaptureGlobal, false, calls[i]), broken);
    EXPECT_EQ(during(kCaptureGlobal, kCaptureThreadLocal, false, calls[i]), fine);
    EXPECT_EQ(during(kCaptureThreadLocal, kCaptureGlobal, false, calls[i]), fine);
    EXPECT_EQ(during(kCaptureThreadLocal, kCaptureThreadLocal, true, calls[i]), broken);
    EXPECT_EQ(during(kCaptureGlobal, kCaptureRelaxed, true, calls[i]), fine);
    EXPECT_EQ(during(kCaptureRelaxed, kCaptureGlobal, true, calls[i]), fine);
  }
  EXPECT_EQ(table_.event_destroy(event), kSuccess);
  EXPECT_EQ(table_.stream_destroy(other), kSuccess);
}

TEST_F(RecorderWaits, SynchronizingTheContextEndsEveryCapture) {
  for (const int capture_mode : {kCaptureGlobal, kCaptureThreadLocal, kCaptureRelaxed}) {
    for (const int thread_mode : {kCaptureGlobal, kCaptureThreadLocal, kCaptureRelaxed}) {
      EXPECT_EQ(during(capture_mode, thread_mode, false, [&] { return table_.ctx_synchronize(); }),
                (Outcome{kStreamCaptureUnsupported, kStreamCaptureInvalidated}));
    }
  }
}

TEST_F(RecorderWaits, GivingBackPassesOverAGraphThatIsAloneInAPartition) {
  may_violate_ = true;
  const DevicePointer other = make_memory(8);
  capture(green_stream_, [&] { EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess); });
  ModuleHandle module = nullptr;
  ASSERT_EQ(table_.module_load_data(&module, kReplayPtx), kSuccess);
  ASSERT_TRUE(penstock_recording_hold(green_stream_));
  EXPECT_EQ(table_.graph_launch(exec_, green_stream_), kSuccess);
  EXPECT_EQ(table_.mem_free(other), kSuccess);
  EXPECT_EQ(table_.module_unload(module), kSuccess);
  EXPECT_THAT(log(), HasSubstr("cuMemFree passes over stream#2 green#1 (32 SMs)"));
  EXPECT_THAT(log(), HasSubstr("cuModuleUnload passes over stream#2 green#1 (32 SMs)"));
  EXPECT_STREQ(penstock_recording_violations(), "");
  EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess);
  EXPECT_EQ(table_.mem_free(memory_), kUnknown);
  EXPECT_EQ(table_.module_unload(module_), kUnknown);
  penstock_recording_let_go(green_stream_);
}

TEST_F(RecorderWaits, EndWhereATestSaysSo) {
  penstock_recording_end_waits(true);
  EventHandle const event = make_event();
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(penstock_recording_hold(stream_));
    EXPECT_EQ(table_.memset_d8_async(memory_, 'x', 1, stream_), kSuccess);
    EXPECT_EQ(table_.event_record(event, stream_), kSuccess);
    EXPECT_EQ(i == 0 ? table_.stream_synchronize(stream_) : table_.event_synchronize(event), kSuccess);
    EXPECT_EQ(table_.stream_query(stream_), kSuccess);
  }
  EXPECT_THAT(log(), HasSubstr("cuStreamSynchronize waits for stream#1"));
  EXPECT_THAT(log(), HasSubstr("cuEventSynchronize waits for event#1"));
  EXPECT_EQ(table_.event_destroy(event), kSuccess);
}

TEST_F(RecorderWaits, AddressesOfHostMemoryAreToldWhereAContextIsCurrent) {
  const auto address_of = [&](void* memory) {
    int attribute = kPointerDevicePointer;
    DevicePointer pointer = 1;
    void* value = &pointer;
    EXPECT_EQ(table_.pointer_get_attributes(1, &attribute, &value, reinterpret_cast<DevicePointer>(memory)),
              kSuccess);
    return reinterpret_cast<void*>(pointer);
  };
  for (const auto kind : {recording::ForeignMemory::Pinned, recording::ForeignMemory::Registered,
                          recording::ForeignMemory::Managed}) {
    void* const memory = penstock_recording_memory(kind, 8);
    EXPECT_EQ(address_of(memory), memory);
    std::thread([&] { EXPECT_EQ(address_of(memory), nullptr); }).join();
  }
  std::thread([&] { EXPECT_EQ(address_of(at(memory_)), at(memory_)); }).join();
}

TEST_F(RecorderWaits, ContextsBesideThePrimaryOneTakeNeitherItsEventsNorItsKernels) {
  auto* const stream = static_cast<StreamHandle>(penstock_recording_stream_of_other_context(0));
  ContextHandle context = nullptr;
  EXPECT_EQ(table_.stream_get_ctx(stream, &context), kSuccess);
  EXPECT_NE(context, context_->handle());
  EventHandle const event = make_event();
  EXPECT_EQ(table_.event_record(event, stream), kInvalidHandle);
  EXPECT_EQ(launch(kernel_, stream, memory_), kInvalidHandle);
  EXPECT_EQ(table_.event_destroy(event), kSuccess);
  EXPECT_EQ(penstock_recording_stream_of_other_context(1), nullptr);
}

}  // namespace
}  // namespace penstock::cuda
