#include "on_graph.hpp"

// What graphs of the stand-in for the driver hold, and what they must outlive.
namespace penstock::cuda {
namespace {

using testing::HasSubstr;

class RecorderLifetimes : public OnGraph {};

TEST_F(RecorderLifetimes, GraphsHoldUserObjectsToTheEndOfTheLast) {
  int destroyed = 0;
  const auto make = [&](unsigned references) {
    UserObjectHandle object = nullptr;
    EXPECT_EQ(table_.user_object_create(
                  &object, &destroyed, [](void* data) { ++*static_cast<int*>(data); }, references,
                  kUserObjectNoDestructorSync),
              kSuccess);
    return object;
  };
  EXPECT_EQ(table_.user_object_release(make(1), 1), kSuccess);
  EXPECT_EQ(destroyed, 1);
  UserObjectHandle const object = make(2);
  ASSERT_EQ(table_.stream_begin_capture(stream_, kCaptureThreadLocal), kSuccess);
  int status = 0;
  EXPECT_EQ(table_.stream_get_capture_info(stream_, &status, nullptr, &graph_, nullptr, nullptr), kSuccess);
  EXPECT_EQ(table_.graph_retain_user_object(graph_, object, 3, kGraphUserObjectMove), kInvalidValue);
  EXPECT_EQ(table_.graph_retain_user_object(graph_, object, 1, kGraphUserObjectMove), kSuccess);
  EXPECT_EQ(table_.graph_retain_user_object(graph_, object, 1, 0), kSuccess);
  EXPECT_EQ(table_.memset_d8_async(memory_, 'a', 1, stream_), kSuccess);
  EXPECT_EQ(table_.stream_end_capture(stream_, &graph_), kSuccess);
  EXPECT_EQ(table_.user_object_release(object, 2), kInvalidValue);
  EXPECT_EQ(table_.user_object_release(object, 1), kSuccess);
  EXPECT_EQ(alive().user_objects, 0U);
  ASSERT_EQ(table_.graph_instantiate(&exec_, graph_, 0), kSuccess);
  EXPECT_EQ(table_.graph_destroy(graph_), kSuccess);
  graph_ = nullptr;
  ASSERT_TRUE(penstock_recording_hold(stream_));
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(table_.graph_exec_destroy(exec_), kSuccess);
  exec_ = nullptr;
  EXPECT_EQ(destroyed, 1);
  penstock_recording_let_go(stream_);
  EXPECT_EQ(destroyed, 2);
  EXPECT_EQ(text_at(memory_, 1), "a");
}

TEST_F(RecorderLifetimes, CapturesThatFailGiveUserObjectsBack) {
  int destroyed = 0;
  UserObjectHandle object = nullptr;
  ASSERT_EQ(table_.user_object_create(
                &object, &destroyed, [](void* data) { ++*static_cast<int*>(data); }, 1,
                kUserObjectNoDestructorSync),
            kSuccess);
  ASSERT_EQ(table_.stream_begin_capture(stream_, kCaptureThreadLocal), kSuccess);
  int status = 0;
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_get_capture_info(stream_, &status, nullptr, &graph, nullptr, nullptr), kSuccess);
  EXPECT_EQ(table_.graph_retain_user_object(graph, object, 1, kGraphUserObjectMove), kSuccess);
  EXPECT_EQ(table_.stream_query(stream_), kStreamCaptureUnsupported);
  EXPECT_EQ(destroyed, 0);
  EXPECT_EQ(table_.stream_end_capture(stream_, &graph), kStreamCaptureInvalidated);
  EXPECT_EQ(destroyed, 1);
}

TEST_F(RecorderLifetimes, ReplaysAreViolationsWhereWhatTheyUseIsGone) {
  may_violate_ = true;
  const DevicePointer other = make_memory(8);
  capture(stream_, [&] { EXPECT_EQ(table_.memset_d8_async(other, 0, 8, stream_), kSuccess); });
  EXPECT_EQ(table_.mem_free(other), kSuccess);
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_THAT(penstock_recording_violations(), HasSubstr("memory is gone: cuMemsetD8Async 8 bytes"));
  drop_graph();

  capture(green_stream_, [&] { EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess); });
  EXPECT_EQ(table_.module_unload(module_), kSuccess);
  module_ = nullptr;
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kInvalidHandle);
  EXPECT_THAT(penstock_recording_violations(), HasSubstr("of add_kernel, which is unloaded"));
  EXPECT_EQ(table_.stream_destroy(green_stream_), kSuccess);
  EXPECT_EQ(table_.green_ctx_destroy(green_), kSuccess);
  green_ = nullptr;
  green_stream_ = make_stream();
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kInvalidContext);
  EXPECT_THAT(penstock_recording_violations(), HasSubstr("of green#1 (32 SMs), which is gone"));
}

TEST_F(RecorderLifetimes, LetNoCallOfTheDriverIntoCallbacks) {
  may_violate_ = true;
  constexpr Result kNotPermitted = 800;
  Result result = kSuccess;
  const auto call = [](void* data) { *static_cast<Result*>(data) = driver().ctx_synchronize(); };
  EXPECT_EQ(table_.launch_host_func(stream_, call, &result), kSuccess);
  EXPECT_EQ(result, kNotPermitted);
  result = kSuccess;
  UserObjectHandle object = nullptr;
  EXPECT_EQ(table_.user_object_create(&object, &result, call, 1, kUserObjectNoDestructorSync), kSuccess);
  EXPECT_EQ(table_.user_object_release(object, 1), kSuccess);
  EXPECT_EQ(result, kNotPermitted);
  result = kSuccess;
  penstock_recording_kernel("", [&](const recording::KernelLaunch&) { call(&result); });
  EXPECT_EQ(launch(kernel_, stream_, memory_), kSuccess);
  EXPECT_EQ(result, kNotPermitted);
  EXPECT_EQ(table_.stream_query(stream_), kSuccess);
  EXPECT_THAT(penstock_recording_violations(),
              HasSubstr("cuCtxSynchronize from a function that the driver called"));
}

}  // namespace
}  // namespace penstock::cuda
