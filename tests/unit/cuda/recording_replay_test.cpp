#include "on_graph.hpp"

#include <array>
#include <cstring>
#include <string>
#include <vector>

// What the stand-in for the driver does with graphs that are launched.
namespace penstock::cuda {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class RecorderReplays : public OnGraph {};

TEST_F(RecorderReplays, DoTheWorkInTheOrderOfTheStream) {
  capture(stream_, [&] {
    EXPECT_EQ(table_.memcpy_dtod_async(memory_ + 4, memory_, 2, stream_), kSuccess);
    EXPECT_EQ(table_.memset_d8_async(memory_ + 1, 'c', 1, stream_), kSuccess);
  });
  EXPECT_THAT(log(), HasSubstr("cuGraphInstantiateWithFlags graph#1 (2 nodes)\n"));
  EXPECT_EQ(text_at(memory_, 6), "------");
  ASSERT_TRUE(penstock_recording_hold(stream_));
  EXPECT_EQ(table_.memset_d8_async(memory_, 'a', 2, stream_), kSuccess);
  EXPECT_EQ(table_.graph_upload(exec_, stream_), kSuccess);
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(table_.memset_d8_async(memory_ + 5, 'z', 1, stream_), kSuccess);
  EXPECT_EQ(text_at(memory_, 6), "------");
  // What is on its way goes on when its graph is gone.
  drop_graph();
  EXPECT_EQ(alive().graph_execs, 0U);
  penstock_recording_let_go(stream_);
  EXPECT_EQ(text_at(memory_, 6), "ac--az");
  EXPECT_THAT(log(), HasSubstr("cuGraphLaunch graph#1 (2 nodes) stream#1 cuda:0 (132 SMs)\n"));
  EXPECT_THAT(log(), HasSubstr("replayed: cuMemcpyDtoDAsync 2 bytes cuda:0 (132 SMs)\n"
                               "replayed: cuMemsetD8Async 1 bytes cuda:0 (132 SMs)\n"));
}

TEST_F(RecorderReplays, StayInTheContextThatWasCaptured) {
  FunctionHandle probe = nullptr;
  ASSERT_EQ(table_.module_get_function(&probe, module_, "penstock_sm_probe"), kSuccess);
  capture(green_stream_, [&] {
    EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess);
    EXPECT_EQ(launch(probe, green_stream_, memory_), kSuccess);
  });
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_THAT(log(), HasSubstr("replayed: cuLaunchKernel add_kernel grid 4x1x1 green#1 (32 SMs)\n"));
  std::array<unsigned, 4> sms{};
  std::memcpy(sms.data(), at(memory_), sizeof sms);
  for (const unsigned sm : sms) EXPECT_LT(sm, 32U);
  KernelNodeParams params;
  EXPECT_EQ(table_.graph_kernel_node_get_params(nodes_.at(0), &params), kSuccess);
  EXPECT_EQ(params.context, green_context_);
}

TEST_F(RecorderReplays, RunKernelsThatTestsGive) {
  std::vector<std::string> runs;
  penstock_recording_kernel("add_kernel", [&](const recording::KernelLaunch& launch) {
    DevicePointer to = 0;
    std::memcpy(&to, launch.parameters.data(), sizeof to);
    EXPECT_EQ(launch.parameters.size(), sizeof to);
    EXPECT_THAT(launch.grid, ElementsAre(4U, 1U, 1U));
    EXPECT_THAT(launch.block, ElementsAre(128U, 1U, 1U));
    EXPECT_EQ(launch.shared_bytes, 0U);
    ++*at(to);
    runs.push_back(std::string(launch.name) + " at " + std::to_string(to - memory_) + " " + launch.resource);
  });
  EXPECT_EQ(table_.memset_d8_async(memory_, 'a', 2, stream_), kSuccess);
  EXPECT_EQ(launch(kernel_, stream_, memory_), kSuccess);
  capture(green_stream_, [&] { EXPECT_EQ(launch(kernel_, green_stream_, memory_ + 1), kSuccess); });
  EXPECT_EQ(text_at(memory_, 2), "ba");
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(text_at(memory_, 2), "bc");
  EXPECT_THAT(runs, ElementsAre("add_kernel at 0 cuda:0 (132 SMs)", "add_kernel at 1 green#1 (32 SMs)",
                                "add_kernel at 1 green#1 (32 SMs)"));
}

TEST_F(RecorderReplays, OfOneExecutableGraphComeOneAfterTheOther) {
  StreamHandle const other = make_stream();
  int runs = 0;
  penstock_recording_kernel("", [&](const recording::KernelLaunch&) { ++runs; });
  capture(stream_, [&] { EXPECT_EQ(launch(kernel_, stream_, memory_), kSuccess); });
  ASSERT_TRUE(penstock_recording_hold(stream_));
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(table_.graph_launch(exec_, other), kSuccess);
  EXPECT_EQ(runs, 0);
  EXPECT_EQ(table_.stream_query(other), kNotReady);
  penstock_recording_let_go(stream_);
  EXPECT_EQ(runs, 2);
  EXPECT_EQ(table_.stream_query(other), kSuccess);
  EXPECT_EQ(table_.stream_destroy(other), kSuccess);
}

TEST_F(RecorderReplays, TakeNewParametersUnderTheContextOfTheirNodes) {
  std::vector<DevicePointer> written;
  penstock_recording_kernel("add_kernel", [&](const recording::KernelLaunch& launch) {
    std::memcpy(&written.emplace_back(), launch.parameters.data(), sizeof(DevicePointer));
  });
  capture(green_stream_, [&] {
    EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess);
    EXPECT_EQ(table_.memcpy_dtod_async(memory_ + 2, memory_, 1, green_stream_), kSuccess);
    EXPECT_EQ(table_.memset_d8_async(memory_, 'a', 1, green_stream_), kSuccess);
  });
  KernelNodeParams kernel;
  MemcpyNodeParams copy;
  MemsetNodeParams fill;
  ASSERT_EQ(table_.graph_kernel_node_get_params(nodes_.at(0), &kernel), kSuccess);
  ASSERT_EQ(table_.graph_memcpy_node_get_params(nodes_.at(1), &copy), kSuccess);
  ASSERT_EQ(table_.graph_memset_node_get_params(nodes_.at(2), &fill), kSuccess);
  DevicePointer to = memory_ + 8;
  std::array<void*, 1> parameters{&to};
  kernel.parameters = parameters.data();
  copy.to.device = memory_ + 9;
  fill.to = memory_ + 10;
  const auto set_all = [&](ContextHandle context) {
    return std::array{table_.graph_exec_kernel_node_set_params(exec_, nodes_[0], &kernel),
                      table_.graph_exec_memcpy_node_set_params(exec_, nodes_[1], &copy, context),
                      table_.graph_exec_memset_node_set_params(exec_, nodes_[2], &fill, context)};
  };
  EXPECT_THAT(set_all(context_->handle()), ElementsAre(kInvalidValue, kInvalidValue, kInvalidValue));
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(text_at(memory_, 12), "a-----------");

  // Launches that are on their way keep what they had.
  ASSERT_TRUE(penstock_recording_hold(stream_));
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  {
    const ContextScope green(green_context_);
    EXPECT_THAT(set_all(green_context_), ElementsAre(kSuccess, kSuccess, kSuccess));
  }
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  penstock_recording_let_go(stream_);
  EXPECT_EQ(text_at(memory_, 12), "a-a------aa-");
  EXPECT_THAT(written, ElementsAre(memory_, memory_, memory_ + 8));
  EXPECT_THAT(log(), HasSubstr("cuGraphExecKernelNodeSetParams cuLaunchKernel add_kernel"));
  // The graph itself has what was captured.
  ASSERT_EQ(table_.graph_memset_node_get_params(nodes_.at(2), &fill), kSuccess);
  EXPECT_EQ(fill.to, memory_);
}

TEST_F(RecorderReplays, RefuseParametersThatNoNodeCanTake) {
  capture(stream_, [&] {
    EXPECT_EQ(table_.memcpy_dtod_async(memory_ + 2, memory_, 1, stream_), kSuccess);
    EXPECT_EQ(table_.memset_d8_async(memory_, 'a', 1, stream_), kSuccess);
    EXPECT_EQ(launch(kernel_, stream_, memory_), kSuccess);
  });
  MemcpyNodeParams copy;
  ASSERT_EQ(table_.graph_memcpy_node_get_params(nodes_.at(0), &copy), kSuccess);
  const auto set_copy = [&](auto&& change) {
    MemcpyNodeParams changed = copy;
    change(changed);
    return table_.graph_exec_memcpy_node_set_params(exec_, nodes_[0], &changed, context_->handle());
  };
  EXPECT_EQ(set_copy([](MemcpyNodeParams&) {}), kSuccess);
  EXPECT_EQ(set_copy([](MemcpyNodeParams& params) { params.width_bytes = 0; }), kInvalidValue);
  EXPECT_EQ(set_copy([](MemcpyNodeParams& params) { params.height = 2; }), kInvalidValue);
  EXPECT_EQ(set_copy([](MemcpyNodeParams& params) { params.from.memory_type = kMemoryHost; }), kInvalidValue);
  EXPECT_EQ(set_copy([](MemcpyNodeParams& params) { params.to.device += 62; }), kInvalidValue);
  MemsetNodeParams fill;
  ASSERT_EQ(table_.graph_memset_node_get_params(nodes_.at(1), &fill), kSuccess);
  fill.element_bytes = 4;
  EXPECT_EQ(table_.graph_exec_memset_node_set_params(exec_, nodes_[1], &fill, context_->handle()),
            kInvalidValue);
  KernelNodeParams kernel;
  ASSERT_EQ(table_.graph_kernel_node_get_params(nodes_.at(2), &kernel), kSuccess);
  EXPECT_EQ(table_.graph_exec_kernel_node_set_params(exec_, nodes_[1], &kernel), kInvalidValue);
  kernel.context = green_context_;
  EXPECT_EQ(table_.graph_exec_kernel_node_set_params(exec_, nodes_[2], &kernel), kInvalidValue);
  kernel.context = nullptr;
  kernel.grid[0] = 0;
  EXPECT_EQ(table_.graph_exec_kernel_node_set_params(exec_, nodes_[2], &kernel), kInvalidValue);
}

TEST_F(RecorderReplays, AreNotSeenByTheDevicesSynchronizationOnGreenStreams) {
  may_violate_ = true;
  StreamHandle const plain = make_stream();
  EventHandle const event = make_event();
  capture(green_stream_, [&] { EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess); });
  EXPECT_TRUE(penstock_recording_device_waits_for(green_stream_));
  ASSERT_TRUE(penstock_recording_hold(green_stream_));
  EXPECT_EQ(table_.graph_launch(exec_, green_stream_), kSuccess);
  EXPECT_EQ(table_.event_record(event, green_stream_), kSuccess);
  EXPECT_FALSE(penstock_recording_device_waits_for(green_stream_));
  EXPECT_EQ(table_.ctx_synchronize(), kSuccess);
  EXPECT_EQ(table_.stream_query(green_stream_), kNotReady);
  EXPECT_THAT(log(), HasSubstr("cuCtxSynchronize passes over stream#2 green#1 (32 SMs)"));
  EXPECT_STREQ(penstock_recording_violations(), "");
  {
    const ContextScope green(green_context_);
    EXPECT_EQ(table_.ctx_synchronize(), kUnknown);
  }
  EXPECT_EQ(table_.stream_synchronize(green_stream_), kUnknown);
  EXPECT_EQ(table_.event_synchronize(event), kUnknown);

  // A fill behind it is waited for, and so is the graph.
  EXPECT_EQ(table_.memset_d8_async(memory_, 0, 1, green_stream_), kSuccess);
  EXPECT_TRUE(penstock_recording_device_waits_for(green_stream_));
  EXPECT_EQ(table_.ctx_synchronize(), kUnknown);
  penstock_recording_let_go(green_stream_);
  EXPECT_EQ(table_.ctx_synchronize(), kSuccess);

  // A primary context's stream is waited for in any case.
  ASSERT_TRUE(penstock_recording_hold(plain));
  EXPECT_EQ(table_.graph_launch(exec_, plain), kSuccess);
  EXPECT_TRUE(penstock_recording_device_waits_for(plain));
  EXPECT_EQ(table_.ctx_synchronize(), kUnknown);
  {
    const ContextScope green(green_context_);
    EXPECT_EQ(table_.ctx_synchronize(), kSuccess);
  }
  penstock_recording_let_go(plain);
  EXPECT_EQ(table_.event_destroy(event), kSuccess);
  EXPECT_EQ(table_.stream_destroy(plain), kSuccess);
}

TEST_F(RecorderReplays, AreCapturedAsOneNode) {
  capture(green_stream_, [&] { EXPECT_EQ(launch(kernel_, green_stream_, memory_), kSuccess); });
  ASSERT_EQ(table_.stream_begin_capture(stream_, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(table_.graph_upload(exec_, stream_), kStreamCaptureUnsupported);
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_end_capture(stream_, &graph), kStreamCaptureInvalidated);
  ASSERT_EQ(table_.stream_begin_capture(stream_, kCaptureThreadLocal), kSuccess);
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  ASSERT_EQ(table_.stream_end_capture(stream_, &graph), kSuccess);
  GraphNodeHandle node = nullptr;
  std::size_t count = 1;
  int type = 0;
  EXPECT_EQ(table_.graph_get_nodes(graph, &node, &count), kSuccess);
  EXPECT_EQ(table_.graph_node_get_type(node, &type), kSuccess);
  EXPECT_EQ(type, kGraphChild);
  drop_graph();
  GraphExecHandle exec = nullptr;
  ASSERT_EQ(table_.graph_instantiate(&exec, graph, 0), kSuccess);
  EXPECT_THAT(log(), Not(HasSubstr("replayed")));
  EXPECT_EQ(table_.graph_launch(exec, stream_), kSuccess);
  EXPECT_THAT(log(), HasSubstr("replayed: cuLaunchKernel add_kernel grid 4x1x1 green#1 (32 SMs)\n"));
  EXPECT_EQ(table_.graph_exec_destroy(exec), kSuccess);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
}

TEST_F(RecorderReplays, MayFail) {
  capture(stream_, [&] { EXPECT_EQ(table_.memset_d8_async(memory_, 'a', 1, stream_), kSuccess); });
  penstock_recording_fail({.function = "cuGraphLaunch", .result = kUnknown});
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kUnknown);
  EXPECT_EQ(text_at(memory_, 1), "-");
  EXPECT_EQ(table_.graph_launch(exec_, stream_), kSuccess);
  EXPECT_EQ(text_at(memory_, 1), "a");
}

}  // namespace
}  // namespace penstock::cuda
