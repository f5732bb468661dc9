#include "cuda_ops/stream_trial.hpp"

#include "../cuda/recorder.hpp"

#include <penstock/partition.hpp>

#include <stdexcept>

namespace penstock::cuda_ops {
namespace {

/// Run also on a driver without partitions (StreamTrial.OnADriverWithoutPartitions).
class StreamTrialOnRecorder : public cuda::OnContext {
 protected:
  /// A call of a run on `stream`.
  static shim::CudaCall call_on(cuda::StreamHandle stream) {
    shim::CudaCall call;
    call.stream = stream;
    return call;
  }
  bool fill(cuda::StreamHandle stream) {
    return table_.memset_d32_async(memory_, 7, 4, stream) == cuda::kSuccess;
  }
  void TearDown() override {
    table_.mem_free(memory_);
    OnContext::TearDown();
  }

  cuda::DevicePointer memory_ = make_memory(16);
};

TEST_F(StreamTrialOnRecorder, TriesAgainWhatOthersHaveEnded) {
  cuda::StreamHandle const stream = make_stream();
  {
    const StreamTrial trial(call_on(stream));
    int trials = 0;
    EXPECT_TRUE(trial.stays([&] {
      if (++trials == 1) table_.ctx_synchronize();
      return fill(trial.stream());
    }));
    EXPECT_EQ(trials, 2);
    trials = 0;
    EXPECT_FALSE(trial.stays([&] {
      ++trials;
      table_.ctx_synchronize();
      return fill(trial.stream());
    }));
    EXPECT_EQ(trials, 3);
  }
  table_.stream_destroy(stream);
}

TEST_F(StreamTrialOnRecorder, TakesWorkInOneRow) {
  cuda::StreamHandle const stream = make_stream();
  {
    const StreamTrial trial(call_on(stream));
    EXPECT_TRUE(trial.stays([&] { return fill(trial.stream()) && fill(trial.stream()); }));
    EXPECT_TRUE(trial.stays([] { return true; }));
  }
  table_.stream_destroy(stream);
}

TEST_F(StreamTrialOnRecorder, RefusesWorkOnAnotherStream) {
  cuda::StreamHandle const stream = make_stream();
  cuda::StreamHandle const other = make_stream();
  cuda::EventHandle const event = make_event();
  {
    const StreamTrial trial(call_on(stream));
    EXPECT_FALSE(trial.stays([&] {
      bool good = fill(trial.stream());
      good = good && table_.event_record(event, trial.stream()) == cuda::kSuccess;
      good = good && table_.stream_wait_event(other, event, 0) == cuda::kSuccess;
      good = good && fill(other);
      good = good && table_.event_record(event, other) == cuda::kSuccess;
      return good && table_.stream_wait_event(trial.stream(), event, 0) == cuda::kSuccess;
    }));
  }
  table_.event_destroy(event);
  table_.stream_destroy(other);
  table_.stream_destroy(stream);
}

TEST_F(StreamTrialOnRecorder, RefusesWorkThatFailsOrThrows) {
  cuda::StreamHandle const stream = make_stream();
  {
    const StreamTrial trial(call_on(stream));
    EXPECT_FALSE(trial.stays([&] { return !fill(trial.stream()); }));
    EXPECT_THROW(static_cast<void>(trial.stays([]() -> bool { throw std::runtime_error("no"); })),
                 std::runtime_error);
    // Nothing of the captures before is left on the stream.
    EXPECT_TRUE(trial.stays([&] { return fill(trial.stream()); }));
  }
  table_.stream_destroy(stream);
}

TEST_F(StreamTrialOnRecorder, TriesInThePartitionOfTheRun) {
  if (table_.green_ctx_create == nullptr) GTEST_SKIP() << "the driver has no partitions";
  const GreenContext partition = GreenContext::create(SmResource::of_device().split("32,rest")[0]);
  const Stream stream = partition.create_stream();
  const StreamTrial trial(call_on(cuda::handle(stream.view())));
  EXPECT_EQ(StreamView::from_handle(trial.stream()).sm_count(), partition.sm_count());
  EXPECT_TRUE(trial.stays([&] { return fill(trial.stream()); }));
}

}  // namespace
}  // namespace penstock::cuda_ops
