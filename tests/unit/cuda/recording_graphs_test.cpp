#include "recorder.hpp"

#include <array>
#include <cstring>
#include <string>
#include <vector>

// What the stand-in for the driver writes down of a capture, and how it is changed.
namespace penstock::cuda {
namespace {

using testing::ElementsAre;

constexpr const char* kPtx = R"(.version 7.0
.visible .entry add_kernel(
	.param .u64 .ptr .global .align 16 from,
	.param .u32 count,
	.param .u64 .ptr .align 32 to,
	.param .align 4 .b8 sizes[12]
)
.maxntid 128, 1, 1
{ ret; }
.entry other() { })";

struct Arguments {
  DevicePointer from = 0;
  unsigned count = 0;
  DevicePointer to = 0;
  std::array<unsigned, 3> sizes{};
  std::array<void*, 4> pointers() { return {&from, &count, &to, sizes.data()}; }
};

template <class T>
T read(const void* at) {
  T value{};
  std::memcpy(&value, at, sizeof value);
  return value;
}

class RecorderGraphs : public OnContext {
 protected:
  RecorderGraphs() : stream_(make_stream()), memory_(make_memory(64)) {
    EXPECT_EQ(table_.module_load_data(&module_, kPtx), kSuccess);
    EXPECT_EQ(table_.module_get_function(&kernel_, module_, "add_kernel"), kSuccess);
  }
  void TearDown() override {
    EXPECT_EQ(table_.module_unload(module_), kSuccess);
    EXPECT_EQ(table_.mem_free(memory_), kSuccess);
    EXPECT_EQ(table_.stream_destroy(stream_), kSuccess);
    OnContext::TearDown();
  }

  Result launch(Arguments& arguments) {
    return table_.launch_kernel(kernel_, 4, 1, 1, 128, 1, 1, 16, stream_, arguments.pointers().data(),
                                nullptr);
  }
  template <class Work>
  GraphHandle capture(Work&& work) {
    EXPECT_EQ(table_.stream_begin_capture(stream_, kCaptureThreadLocal), kSuccess);
    work();
    GraphHandle graph = nullptr;
    EXPECT_EQ(table_.stream_end_capture(stream_, &graph), kSuccess);
    return graph;
  }
  std::vector<GraphNodeHandle> nodes_of(GraphHandle graph) {
    std::size_t count = 0;
    EXPECT_EQ(table_.graph_get_nodes(graph, nullptr, &count), kSuccess);
    std::vector<GraphNodeHandle> nodes(count);
    EXPECT_EQ(table_.graph_get_nodes(graph, nodes.data(), &count), kSuccess);
    return nodes;
  }
  int type_of(GraphNodeHandle node) {
    int type = -1;
    EXPECT_EQ(table_.graph_node_get_type(node, &type), kSuccess);
    return type;
  }

  StreamHandle stream_;
  DevicePointer memory_;
  ModuleHandle module_ = nullptr;
  FunctionHandle kernel_ = nullptr;
};

TEST_F(RecorderGraphs, TellsWhereAKernelFindsItsParameters) {
  const std::vector<std::pair<std::size_t, std::size_t>> expected{{0, 8}, {8, 4}, {16, 8}, {24, 12}};
  std::size_t offset = 0;
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(table_.func_get_param_info(kernel_, i, &offset, &bytes), kSuccess);
    EXPECT_EQ(std::make_pair(offset, bytes), expected[i]) << i;
    EXPECT_EQ(table_.kernel_get_param_info(reinterpret_cast<KernelHandle>(kernel_), i, &offset, nullptr),
              kSuccess);
  }
  EXPECT_EQ(table_.func_get_param_info(kernel_, 4, &offset, &bytes), kInvalidValue);
  FunctionHandle other = nullptr;
  ASSERT_EQ(table_.module_get_function(&other, module_, "other"), kSuccess);
  EXPECT_EQ(table_.func_get_param_info(other, 0, &offset, &bytes), kInvalidValue);
  const char* name = nullptr;
  EXPECT_EQ(table_.kernel_get_name(&name, reinterpret_cast<KernelHandle>(other)), kSuccess);
  EXPECT_STREQ(name, "other");
}

TEST_F(RecorderGraphs, DoesNotGuessTheParametersOfWhatItCannotRead) {
  ModuleHandle module = nullptr;
  FunctionHandle kernel = nullptr;
  ASSERT_EQ(table_.module_load_data(&module, "no image"), kSuccess);
  ASSERT_EQ(table_.module_get_function(&kernel, module, "any"), kSuccess);
  std::size_t offset = 0;
  std::size_t bytes = 0;
  EXPECT_EQ(table_.func_get_param_info(kernel, 0, &offset, &bytes), kNotSupported);
  Arguments arguments;
  GraphHandle const graph = capture([&] {
    EXPECT_EQ(
        table_.launch_kernel(kernel, 1, 1, 1, 1, 1, 1, 0, stream_, arguments.pointers().data(), nullptr),
        kSuccess);
  });
  KernelNodeParams params;
  EXPECT_EQ(table_.graph_kernel_node_get_params(nodes_of(graph).at(0), &params), kSuccess);
  EXPECT_EQ(params.parameters, nullptr);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
  EXPECT_EQ(table_.module_unload(module), kSuccess);
}

TEST_F(RecorderGraphs, GivesOneHandleOfOneFunction) {
  FunctionHandle again = nullptr;
  EXPECT_EQ(table_.module_get_function(&again, module_, "add_kernel"), kSuccess);
  EXPECT_EQ(again, kernel_);
}

TEST_F(RecorderGraphs, ListsNodesInTheOrderOfTheCapture) {
  Arguments arguments;
  GraphHandle const graph = capture([&] {
    EXPECT_EQ(table_.memset_d16_async(memory_, 7, 2, stream_), kSuccess);
    EXPECT_EQ(launch(arguments), kSuccess);
    EXPECT_EQ(table_.memcpy_dtod_async(memory_ + 8, memory_, 8, stream_), kSuccess);
    EXPECT_EQ(table_.launch_host_func(
                  stream_, [](void*) {}, nullptr),
              kSuccess);
  });
  std::vector<int> types;
  for (GraphNodeHandle each : nodes_of(graph)) types.push_back(type_of(each));
  EXPECT_THAT(types, ElementsAre(kGraphMemset, kGraphKernel, kGraphMemcpy, kGraphHost));

  std::array<GraphNodeHandle, 6> room{};
  room.fill(reinterpret_cast<GraphNodeHandle>(this));
  std::size_t count = 2;
  EXPECT_EQ(table_.graph_get_nodes(graph, room.data(), &count), kSuccess);
  EXPECT_EQ(count, 2U);
  EXPECT_EQ(type_of(room[1]), kGraphKernel);
  count = room.size();
  EXPECT_EQ(table_.graph_get_nodes(graph, room.data(), &count), kSuccess);
  EXPECT_EQ(count, 4U);
  EXPECT_EQ(room[4], nullptr);
  EXPECT_EQ(room[5], nullptr);

  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
  EXPECT_EQ(table_.graph_destroy(graph), kInvalidValue);
  EXPECT_EQ(table_.graph_get_nodes(graph, nullptr, &count), kInvalidValue);
  int type = 0;
  EXPECT_EQ(table_.graph_node_get_type(room[0], &type), kInvalidValue);
}

TEST_F(RecorderGraphs, KeepsTheParametersOfALaunch) {
  Arguments arguments{.from = memory_, .count = 5, .to = memory_ + 8, .sizes = {1, 2, 3}};
  GraphHandle const graph = capture([&] { EXPECT_EQ(launch(arguments), kSuccess); });
  arguments = {};
  KernelNodeParams params;
  ASSERT_EQ(table_.graph_kernel_node_get_params(nodes_of(graph).at(0), &params), kSuccess);
  EXPECT_EQ(params.function, kernel_);
  EXPECT_EQ(params.kernel, nullptr);
  EXPECT_THAT(params.grid, ElementsAre(4U, 1U, 1U));
  EXPECT_THAT(params.block, ElementsAre(128U, 1U, 1U));
  EXPECT_EQ(params.shared_bytes, 16U);
  EXPECT_EQ(params.context, context_->handle());
  EXPECT_EQ(params.extra, nullptr);
  EXPECT_EQ(read<DevicePointer>(params.parameters[0]), memory_);
  EXPECT_EQ(read<unsigned>(params.parameters[1]), 5U);
  EXPECT_EQ(read<DevicePointer>(params.parameters[2]), memory_ + 8);
  EXPECT_THAT((read<std::array<unsigned, 3>>(params.parameters[3])), ElementsAre(1U, 2U, 3U));
  MemcpyNodeParams copy;
  EXPECT_EQ(table_.graph_memcpy_node_get_params(nodes_of(graph).at(0), &copy), kInvalidValue);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
}

TEST_F(RecorderGraphs, KeepsParametersThatComeAsOneBuffer) {
  std::array<unsigned, 9> buffer{1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::size_t bytes = sizeof buffer;
  std::array<void*, 5> extra{reinterpret_cast<void*>(1), buffer.data(), reinterpret_cast<void*>(2), &bytes,
                             nullptr};
  GraphHandle const graph = capture([&] {
    EXPECT_EQ(table_.launch_kernel(kernel_, 1, 1, 1, 1, 1, 1, 0, stream_, nullptr, extra.data()), kSuccess);
  });
  buffer.fill(0);
  KernelNodeParams params;
  ASSERT_EQ(table_.graph_kernel_node_get_params(nodes_of(graph).at(0), &params), kSuccess);
  EXPECT_EQ(params.parameters, nullptr);
  ASSERT_NE(params.extra, nullptr);
  EXPECT_EQ(*static_cast<std::size_t*>(params.extra[3]), sizeof buffer);
  EXPECT_EQ(static_cast<unsigned*>(params.extra[1])[8], 9U);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
}

TEST_F(RecorderGraphs, KeepsCopiesAndFills) {
  std::array<char, 4> host{};
  GraphHandle const graph = capture([&] {
    EXPECT_EQ(table_.memcpy_async(memory_ + 8, memory_, 8, stream_), kSuccess);
    EXPECT_EQ(table_.memcpy_dtoh_async(host.data(), memory_, 4, stream_), kSuccess);
    EXPECT_EQ(table_.memset_d32_async(memory_ + 4, 9, 3, stream_), kSuccess);
  });
  const std::vector<GraphNodeHandle> nodes = nodes_of(graph);
  MemcpyNodeParams copy;
  ASSERT_EQ(table_.graph_memcpy_node_get_params(nodes.at(0), &copy), kSuccess);
  EXPECT_EQ(copy.from.memory_type, kMemoryDevice);
  EXPECT_EQ(copy.from.device, memory_);
  EXPECT_EQ(copy.to.device, memory_ + 8);
  EXPECT_EQ(copy.width_bytes, 8U);
  EXPECT_EQ(copy.height, 1U);
  EXPECT_EQ(copy.depth, 1U);
  ASSERT_EQ(table_.graph_memcpy_node_get_params(nodes.at(1), &copy), kSuccess);
  EXPECT_EQ(copy.to.memory_type, kMemoryHost);
  EXPECT_EQ(copy.to.host, host.data());
  MemsetNodeParams fill;
  ASSERT_EQ(table_.graph_memset_node_get_params(nodes.at(2), &fill), kSuccess);
  EXPECT_EQ(fill.to, memory_ + 4);
  EXPECT_EQ(fill.value, 9U);
  EXPECT_EQ(fill.element_bytes, 4U);
  EXPECT_EQ(fill.width, 3U);
  EXPECT_EQ(fill.height, 1U);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
}

TEST_F(RecorderGraphs, NamesKernelsOfLibrariesWhereAsked) {
  // The machine can be chosen only where nothing is alive.
  TearDown();
  use({.nodes_name_kernels = true});
  context_ = primary_context(0);
  scope_.emplace(*context_);
  stream_ = make_stream();
  memory_ = make_memory(64);
  ASSERT_EQ(table_.module_load_data(&module_, kPtx), kSuccess);
  ASSERT_EQ(table_.module_get_function(&kernel_, module_, "add_kernel"), kSuccess);
  Arguments arguments{.count = 3};
  GraphHandle const graph = capture([&] { EXPECT_EQ(launch(arguments), kSuccess); });
  KernelNodeParams params;
  ASSERT_EQ(table_.graph_kernel_node_get_params(nodes_of(graph).at(0), &params), kSuccess);
  EXPECT_EQ(params.function, nullptr);
  const char* name = nullptr;
  EXPECT_EQ(table_.kernel_get_name(&name, params.kernel), kSuccess);
  EXPECT_STREQ(name, "add_kernel");
  GraphExecHandle exec = nullptr;
  ASSERT_EQ(table_.graph_instantiate(&exec, graph, 0), kSuccess);
  EXPECT_EQ(table_.graph_exec_kernel_node_set_params(exec, nodes_of(graph).at(0), &params), kSuccess);
  EXPECT_EQ(table_.graph_exec_destroy(exec), kSuccess);
  EXPECT_EQ(table_.graph_destroy(graph), kSuccess);
}

TEST_F(RecorderGraphs, TellsOfACaptureInProgress) {
  int status = -1;
  unsigned long long first = 0;
  unsigned long long second = 0;
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_get_capture_info(stream_, &status, &first, &graph, nullptr, nullptr), kSuccess);
  EXPECT_EQ(status, kCaptureNone);
  GraphHandle const ended = capture([&] {
    EXPECT_EQ(table_.stream_get_capture_info(stream_, &status, &first, &graph, nullptr, nullptr), kSuccess);
    EXPECT_EQ(status, kCaptureActive);
    EXPECT_EQ(table_.memset_d8_async(memory_, 1, 1, stream_), kSuccess);
    EXPECT_EQ(nodes_of(graph).size(), 1U);
    EXPECT_EQ(table_.graph_destroy(graph), kInvalidValue);
    GraphExecHandle exec = nullptr;
    EXPECT_EQ(table_.graph_instantiate(&exec, graph, 0), kInvalidValue);
  });
  EXPECT_EQ(graph, ended);
  EXPECT_EQ(table_.graph_destroy(ended), kSuccess);
  GraphHandle const next = capture([&] {
    EXPECT_EQ(table_.stream_get_capture_info(stream_, &status, &second, nullptr, nullptr, nullptr), kSuccess);
  });
  EXPECT_NE(first, second);
  EXPECT_EQ(table_.graph_destroy(next), kSuccess);
}

TEST_F(RecorderGraphs, EndsACaptureAlsoWhereTheCallFails) {
  ASSERT_EQ(table_.stream_begin_capture(stream_, kCaptureThreadLocal), kSuccess);
  penstock_recording_fail({.function = "cuStreamEndCapture", .result = kUnknown});
  GraphHandle graph = nullptr;
  EXPECT_EQ(table_.stream_end_capture(stream_, &graph), kUnknown);
  EXPECT_EQ(graph, nullptr);
  EXPECT_EQ(alive().graphs, 0U);
  int status = -1;
  EXPECT_EQ(table_.stream_is_capturing(stream_, &status), kSuccess);
  EXPECT_EQ(status, kCaptureNone);
}

TEST_F(RecorderGraphs, GivesBackAlsoWhereTheCallFails) {
  GraphHandle const graph = capture([] {});
  GraphExecHandle exec = nullptr;
  UserObjectHandle object = nullptr;
  ASSERT_EQ(table_.graph_instantiate(&exec, graph, 0), kSuccess);
  ASSERT_EQ(table_.user_object_create(
                &object, this, [](void*) {}, 1, kUserObjectNoDestructorSync),
            kSuccess);
  for (const char* function : {"cuGraphDestroy", "cuGraphExecDestroy", "cuUserObjectRelease"}) {
    penstock_recording_fail({.function = function, .result = kUnknown});
  }
  EXPECT_EQ(table_.graph_destroy(graph), kUnknown);
  EXPECT_EQ(table_.graph_exec_destroy(exec), kUnknown);
  EXPECT_EQ(table_.user_object_release(object, 1), kUnknown);
  EXPECT_EQ(alive().graphs, 0U);
  EXPECT_EQ(alive().graph_execs, 0U);
  EXPECT_EQ(alive().user_objects, 0U);
}

}  // namespace
}  // namespace penstock::cuda
