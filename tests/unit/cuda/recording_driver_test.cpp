#include "recorder.hpp"

#include <array>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

// The stand-in is what tests of the stream policy rest on, so it is tested itself.
namespace penstock::cuda {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kPtx =
    ".version 7.0\n.visible .entry add_kernel(.param .u64 x)\n{ ret; }\n.entry other() { }";

class Recorder : public OnContext {};

TEST_F(Recorder, CopiesAndFillsInTheOrderOfTheStream) {
  StreamHandle const stream = make_stream();
  const DevicePointer memory = make_memory(8);
  ASSERT_TRUE(penstock_recording_hold(stream));
  EXPECT_EQ(table_.memset_d8_async(memory, 'a', 8, stream), kSuccess);
  EXPECT_EQ(table_.memcpy_htod_async(memory, "xyz", 3, stream), kSuccess);
  EXPECT_EQ(table_.memcpy_dtod_async(memory + 4, memory, 2, stream), kSuccess);
  std::memset(reinterpret_cast<void*>(static_cast<std::uintptr_t>(memory)), '-', 8);
  EXPECT_EQ(text_at(memory, 8), "--------");
  EXPECT_EQ(table_.stream_query(stream), kNotReady);
  penstock_recording_let_go(stream);
  EXPECT_EQ(text_at(memory, 8), "xyzaxyaa");
  std::array<char, 3> back{};
  EXPECT_EQ(table_.memcpy_dtoh_async(back.data(), memory, 3, stream), kSuccess);
  EXPECT_EQ(std::string(back.data(), 3), "xyz");
  EXPECT_EQ(table_.memset_d32_async(memory, 0x64636261, 2, stream), kSuccess);
  EXPECT_EQ(text_at(memory, 8), "abcdabcd");
  EXPECT_EQ(table_.memset_d16_async(memory, 0x6261, 1, stream), kSuccess);
  EXPECT_EQ(table_.memcpy_async(memory + 2, memory, 2, stream), kSuccess);
  EXPECT_EQ(text_at(memory, 4), "abab");
  EXPECT_EQ(table_.mem_free(memory), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, NotesWhatWouldWaitForAHeldStream) {
  may_violate_ = true;
  StreamHandle const stream = make_stream();
  const DevicePointer memory = make_memory(8);
  std::array<char, 8> pageable{};
  ASSERT_TRUE(penstock_recording_hold(stream));
  EXPECT_EQ(table_.stream_synchronize(stream), kUnknown);
  EXPECT_EQ(table_.ctx_synchronize(), kUnknown);
  EXPECT_EQ(table_.memcpy_dtoh_async(pageable.data(), memory, 8, stream), kUnknown);
  EXPECT_EQ(table_.mem_free(memory), kUnknown);
  const std::string violations = penstock_recording_violations();
  for (const char* call : {"cuStreamSynchronize", "cuCtxSynchronize", "cuMemcpyDtoHAsync", "cuMemFree"}) {
    EXPECT_THAT(violations, HasSubstr(std::string(call) + " would wait for stream#1 cuda:0 (132 SMs)"));
  }
  penstock_recording_let_go(stream);
  EXPECT_EQ(table_.mem_free(memory), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, OrdersTheDefaultStreamWithBlockingOnes) {
  StreamHandle const blocking = make_stream(kStreamDefault);
  StreamHandle const independent = make_stream();
  const DevicePointer memory = make_memory(3);
  ASSERT_TRUE(penstock_recording_hold(blocking));
  EXPECT_EQ(table_.memset_d8_async(memory, 'b', 1, blocking), kSuccess);
  EXPECT_EQ(table_.memset_d8_async(memory, 'l', 2, nullptr), kSuccess);
  EXPECT_EQ(table_.memset_d8_async(memory + 2, 'i', 1, independent), kSuccess);
  EXPECT_EQ(table_.stream_query(nullptr), kNotReady);
  EXPECT_EQ(table_.stream_query(independent), kSuccess);
  penstock_recording_let_go(blocking);
  EXPECT_EQ(text_at(memory, 3), "lli");
  EXPECT_EQ(table_.mem_free(memory), kSuccess);
  EXPECT_EQ(table_.stream_destroy(blocking), kSuccess);
  EXPECT_EQ(table_.stream_destroy(independent), kSuccess);
}

TEST_F(Recorder, HoldsDefaultStreams) {
  for (const std::uintptr_t number : {kLegacyStream, kPerThreadStream}) {
    auto* const stream = reinterpret_cast<StreamHandle>(number);
    EXPECT_TRUE(penstock_recording_hold(stream));
    EXPECT_EQ(table_.stream_query(stream), kNotReady);
    EXPECT_TRUE(penstock_recording_let_go(stream));
    EXPECT_EQ(table_.stream_query(stream), kSuccess);
  }
  EXPECT_FALSE(penstock_recording_hold(reinterpret_cast<void*>(0x1000)));
}

TEST_F(Recorder, WritesDownLaunches) {
  ModuleHandle module = nullptr;
  FunctionHandle function = nullptr;
  ASSERT_EQ(table_.module_load_data(&module, kPtx), kSuccess);
  EXPECT_EQ(table_.module_get_function(&function, module, "no_kernel"), kNotFound);
  ASSERT_EQ(table_.module_get_function(&function, module, "add_kernel"), kSuccess);
  const char* name = nullptr;
  EXPECT_EQ(table_.func_get_name(&name, function), kSuccess);
  EXPECT_STREQ(name, "add_kernel");
  unsigned count = 0;
  EXPECT_EQ(table_.module_get_function_count(&count, module), kSuccess);
  EXPECT_EQ(count, 2U);
  std::array<FunctionHandle, 2> all{};
  EXPECT_EQ(table_.module_enumerate_functions(all.data(), 2, module), kSuccess);
  EXPECT_NE(all[1], nullptr);
  EXPECT_EQ(table_.func_load(function), kSuccess);
  EXPECT_EQ(table_.func_set_attribute(function, kFunctionMaxDynamicSharedBytes, 1), kSuccess);
  int value = -1;
  EXPECT_EQ(table_.func_get_attribute(&value, kFunctionMaxDynamicSharedBytes, function), kSuccess);
  EXPECT_EQ(value, 0);

  StreamHandle const stream = make_stream();
  EXPECT_EQ(table_.launch_kernel(function, 4, 1, 2, 128, 1, 1, 0, stream, nullptr, nullptr), kSuccess);
  EXPECT_THAT(log(), HasSubstr("cuLaunchKernel add_kernel grid 4x1x2 stream#1 cuda:0 (132 SMs)\n"));
  EXPECT_EQ(table_.launch_kernel(function, 0, 1, 1, 128, 1, 1, 0, stream, nullptr, nullptr), kInvalidValue);
  EXPECT_EQ(table_.launch_kernel(function, 1, 1, 1, 2048, 1, 1, 0, stream, nullptr, nullptr), kInvalidValue);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
  EXPECT_EQ(table_.module_unload(module), kSuccess);
  EXPECT_EQ(table_.func_load(function), kInvalidHandle);
}

TEST_F(Recorder, RunsHostFunctionsInOrder) {
  StreamHandle const stream = make_stream();
  int calls = 0;
  ASSERT_TRUE(penstock_recording_hold(stream));
  EXPECT_EQ(table_.launch_host_func(
                stream, [](void* data) { ++*static_cast<int*>(data); }, &calls),
            kSuccess);
  EXPECT_EQ(calls, 0);
  penstock_recording_let_go(stream);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, RunsOutOfMemory) {
  use({.memory_bytes = 1024});
  scope_.reset();
  context_.reset();
  context_ = primary_context(0);
  scope_.emplace(*context_);
  const DevicePointer first = make_memory(1000);
  DevicePointer second = 0;
  EXPECT_EQ(table_.mem_alloc(&second, 100), kOutOfMemory);
  std::size_t free = 0;
  std::size_t total = 0;
  EXPECT_EQ(table_.mem_get_info(&free, &total), kSuccess);
  EXPECT_EQ(total, 1024U);
  EXPECT_EQ(free, 24U);
  EXPECT_EQ(table_.memset_d8_async(first, 0, 1001, nullptr), kInvalidValue);
  EXPECT_EQ(table_.mem_free(first), kSuccess);
  EXPECT_EQ(table_.mem_free(first), kInvalidValue);
}

TEST_F(Recorder, TellsWhatAPointerIs) {
  const DevicePointer device = make_memory(64);
  void* host = nullptr;
  ASSERT_EQ(table_.mem_host_alloc(&host, 64, kHostPortable), kSuccess);
  void* const managed = penstock_recording_memory(recording::ForeignMemory::Managed, 64);
  void* const registered = penstock_recording_memory(recording::ForeignMemory::Registered, 64);
  int local = 0;
  const auto type_of = [&](const void* pointer, unsigned& is_managed) {
    std::array attributes{static_cast<int>(kPointerMemoryType), static_cast<int>(kPointerIsManaged)};
    unsigned type = 99;
    std::array<void*, 2> values{&type, &is_managed};
    EXPECT_EQ(
        table_.pointer_get_attributes(2, attributes.data(), values.data(),
                                      static_cast<DevicePointer>(reinterpret_cast<std::uintptr_t>(pointer))),
        kSuccess);
    return type;
  };
  unsigned is_managed = 99;
  EXPECT_EQ(type_of(reinterpret_cast<void*>(static_cast<std::uintptr_t>(device + 63)), is_managed),
            kMemoryDevice);
  EXPECT_EQ(is_managed, 0U);
  EXPECT_EQ(type_of(host, is_managed), kMemoryHost);
  EXPECT_EQ(type_of(registered, is_managed), kMemoryHost);
  EXPECT_EQ(type_of(managed, is_managed), kMemoryDevice);
  EXPECT_EQ(is_managed, 1U);
  EXPECT_EQ(type_of(&local, is_managed), 0U);
  EXPECT_EQ(table_.mem_free(device), kSuccess);
  EXPECT_EQ(table_.mem_free_host(host), kSuccess);
}

TEST_F(Recorder, CapturesInsteadOfRunning) {
  StreamHandle const stream = make_stream();
  const DevicePointer memory = make_memory(1);
  EXPECT_EQ(table_.memset_d8_async(memory, 'a', 1, stream), kSuccess);
  ASSERT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kIllegalState);
  EXPECT_EQ(table_.memset_d8_async(memory, 'b', 1, stream), kSuccess);
  EXPECT_THAT(log(), HasSubstr("captured: cuMemsetD8Async 1 bytes stream#1"));
  EXPECT_EQ(text_at(memory, 1), "a");
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kSuccess);
  EXPECT_EQ(alive().graphs, 1U);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kIllegalState);
  EXPECT_EQ(table_.stream_begin_capture(reinterpret_cast<StreamHandle>(kLegacyStream), kCaptureRelaxed),
            kStreamCaptureUnsupported);
  EXPECT_EQ(table_.mem_free(memory), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, EndsACaptureAtWhatItMayNotHold) {
  StreamHandle const stream = make_stream();
  StreamHandle const other = make_stream();
  EventHandle const outside = make_event();
  EXPECT_EQ(table_.event_record(outside, other), kSuccess);
  GraphHandle graph = nullptr;
  const auto ended_by = [&](auto&& call, Result result) {
    EXPECT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
    EXPECT_EQ(call(), result);
    int status = kCaptureNone;
    EXPECT_EQ(table_.stream_is_capturing(stream, &status), kSuccess);
    EXPECT_EQ(status, kCaptureInvalidated);
    EXPECT_EQ(table_.stream_end_capture(stream, &graph), kStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
  };
  DevicePointer memory = 0;
  ended_by([&] { return table_.mem_alloc(&memory, 8); }, kStreamCaptureUnsupported);
  ended_by([&] { return table_.stream_synchronize(stream); }, kStreamCaptureUnsupported);
  ended_by([&] { return table_.stream_query(stream); }, kStreamCaptureUnsupported);
  ended_by([&] { return table_.ctx_synchronize(); }, kStreamCaptureUnsupported);
  ended_by([&] { return table_.stream_wait_event(stream, outside, 0); }, kStreamCaptureIsolation);
  EXPECT_EQ(table_.event_destroy(outside), kSuccess);
  EXPECT_EQ(table_.stream_destroy(other), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, AllocatesDuringACaptureInRelaxedMode) {
  StreamHandle const stream = make_stream();
  ASSERT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
  int mode = kCaptureRelaxed;
  EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&mode), kSuccess);
  EXPECT_EQ(mode, kCaptureGlobal);
  const DevicePointer memory = make_memory(8);
  EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&mode), kSuccess);
  std::thread([&] {
    // Another thread's allocation does not disturb a capture that is this thread's alone, unless it asks to.
    const ContextScope scope(*context_);
    int local = kCaptureThreadLocal;
    EXPECT_EQ(table_.thread_exchange_stream_capture_mode(&local), kSuccess);
    EXPECT_EQ(table_.mem_free(make_memory(8)), kSuccess);
  }).join();
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kSuccess);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
  EXPECT_EQ(table_.mem_free(memory), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, CapturesForksThatJoinAgain) {
  StreamHandle const stream = make_stream();
  StreamHandle const branch = make_stream();
  EventHandle const fork = make_event();
  EventHandle const join = make_event();
  GraphHandle graph = nullptr;
  ASSERT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(table_.event_record(fork, stream), kSuccess);
  EXPECT_EQ(table_.event_query(fork), kCapturedEvent);
  EXPECT_EQ(table_.stream_wait_event(branch, fork, 0), kSuccess);
  EXPECT_EQ(table_.stream_end_capture(branch, &graph), kStreamCaptureUnmatched);
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kStreamCaptureInvalidated);

  ASSERT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(table_.event_record(fork, stream), kSuccess);
  EXPECT_EQ(table_.stream_wait_event(branch, fork, 0), kSuccess);
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kStreamCaptureUnjoined);

  ASSERT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(table_.event_record(fork, stream), kSuccess);
  EXPECT_EQ(table_.stream_wait_event(branch, fork, 0), kSuccess);
  EXPECT_EQ(table_.event_record(join, branch), kSuccess);
  EXPECT_EQ(table_.stream_wait_event(stream, join, 0), kSuccess);
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kSuccess);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
  for (EventHandle each : {fork, join}) EXPECT_EQ(table_.event_destroy(each), kSuccess);
  for (StreamHandle each : {stream, branch}) EXPECT_EQ(table_.stream_destroy(each), kSuccess);
}

TEST_F(Recorder, KeepsTheDefaultStreamOutOfCapturesOfBlockingStreams) {
  StreamHandle const stream = make_stream(kStreamDefault);
  ASSERT_EQ(table_.stream_begin_capture(stream, kCaptureRelaxed), kSuccess);
  int status = kCaptureNone;
  EXPECT_EQ(table_.stream_is_capturing(nullptr, &status), kStreamCaptureImplicit);
  EXPECT_EQ(table_.stream_is_capturing(stream, &status), kSuccess);
  EXPECT_EQ(status, kCaptureActive);
  EXPECT_EQ(table_.stream_synchronize(nullptr), kStreamCaptureImplicit);
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_end_capture(stream, &graph), kStreamCaptureInvalidated);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
}

TEST_F(Recorder, FailsEveryNthCall) {
  penstock_recording_fail({.function = "cuStreamQuery", .nth = 2, .every = true, .result = kUnknown});
  EXPECT_EQ(table_.stream_query(nullptr), kSuccess);
  EXPECT_EQ(table_.stream_query(nullptr), kUnknown);
  EXPECT_EQ(table_.stream_query(nullptr), kSuccess);
  EXPECT_EQ(table_.stream_query(nullptr), kUnknown);
  penstock_recording_clear_faults();
  EXPECT_EQ(table_.stream_query(nullptr), kSuccess);
  penstock_recording_clear_log();
  EXPECT_EQ(log(), "");
}

TEST_F(Recorder, CountsWhatIsNotGivenBack) {
  const recording::Alive before = alive();
  StreamHandle const stream = make_stream();
  EventHandle const event = make_event();
  const DevicePointer memory = make_memory(100);
  EXPECT_EQ(alive().streams, before.streams + 1);
  EXPECT_EQ(alive().events, before.events + 1);
  EXPECT_EQ(alive().device_bytes, before.device_bytes + 100);
  EXPECT_EQ(table_.mem_free(memory), kSuccess);
  EXPECT_EQ(table_.event_destroy(event), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kSuccess);
  EXPECT_EQ(table_.stream_destroy(stream), kInvalidHandle);
}

}  // namespace
}  // namespace penstock::cuda
