#pragma once

#include "recorder.hpp"

#include <array>
#include <cstring>
#include <vector>

namespace penstock::cuda {

inline constexpr const char* kReplayPtx =
    ".entry add_kernel(.param .u64 to) { ret; }\n"
    ".entry penstock_sm_probe(.param .u64 out, .param .u64 cycles) { ret; }";

/// A captured graph, a stream of the whole GPU and one of a partition.
class OnGraph : public OnContext {
 protected:
  OnGraph() : stream_(make_stream()), memory_(make_memory(64)) {
    EXPECT_EQ(table_.module_load_data(&module_, kReplayPtx), kSuccess);
    EXPECT_EQ(table_.module_get_function(&kernel_, module_, "add_kernel"), kSuccess);
    std::memset(at(memory_), '-', 64);
    split();
  }
  void TearDown() override {
    penstock_recording_clear_faults();
    if (exec_ != nullptr) {
      EXPECT_EQ(table_.graph_exec_destroy(exec_), kSuccess);
    }
    if (graph_ != nullptr) {
      EXPECT_EQ(table_.graph_destroy(graph_), kSuccess);
    }
    EXPECT_EQ(table_.stream_destroy(green_stream_), kSuccess);
    if (green_ != nullptr) {
      EXPECT_EQ(table_.green_ctx_destroy(green_), kSuccess);
    }
    if (module_ != nullptr) {
      EXPECT_EQ(table_.module_unload(module_), kSuccess);
    }
    EXPECT_EQ(table_.mem_free(memory_), kSuccess);
    EXPECT_EQ(table_.stream_destroy(stream_), kSuccess);
    OnContext::TearDown();
  }

  static char* at(DevicePointer pointer) {
    return reinterpret_cast<char*>(static_cast<std::uintptr_t>(pointer));
  }
  Result launch(FunctionHandle kernel, StreamHandle stream, DevicePointer to) {
    std::array<void*, 2> parameters{&to, &to};
    return table_.launch_kernel(kernel, 4, 1, 1, 128, 1, 1, 0, stream, parameters.data(), nullptr);
  }
  template <class Work>
  void capture(StreamHandle stream, Work&& work) {
    EXPECT_EQ(table_.stream_begin_capture(stream, kCaptureThreadLocal), kSuccess);
    work();
    EXPECT_EQ(table_.stream_end_capture(stream, &graph_), kSuccess);
    EXPECT_EQ(table_.graph_instantiate(&exec_, graph_, 0), kSuccess);
    nodes_.resize(8);
    std::size_t count = nodes_.size();
    EXPECT_EQ(table_.graph_get_nodes(graph_, nodes_.data(), &count), kSuccess);
    nodes_.resize(count);
  }
  void drop_graph() {
    EXPECT_EQ(table_.graph_exec_destroy(exec_), kSuccess);
    EXPECT_EQ(table_.graph_destroy(graph_), kSuccess);
    exec_ = nullptr;
    graph_ = nullptr;
  }

  StreamHandle stream_;
  DevicePointer memory_;
  ModuleHandle module_ = nullptr;
  FunctionHandle kernel_ = nullptr;
  GreenContextHandle green_ = nullptr;
  ContextHandle green_context_ = nullptr;
  StreamHandle green_stream_ = nullptr;
  GraphHandle graph_ = nullptr;
  GraphExecHandle exec_ = nullptr;
  std::vector<GraphNodeHandle> nodes_;

 private:
  void split() {
    Resource all;
    Resource part;
    unsigned parts = 1;
    ResourceDescHandle description = nullptr;
    EXPECT_EQ(table_.device_get_dev_resource(0, &all, Resource::Sm), kSuccess);
    EXPECT_EQ(table_.dev_sm_resource_split_by_count(&part, &parts, &all, nullptr, 0, 32), kSuccess);
    EXPECT_EQ(table_.dev_resource_generate_desc(&description, &part, 1), kSuccess);
    EXPECT_EQ(table_.green_ctx_create(&green_, description, 0, kGreenContextDefaultStream), kSuccess);
    EXPECT_EQ(table_.ctx_from_green_ctx(&green_context_, green_), kSuccess);
    EXPECT_EQ(table_.green_ctx_stream_create(&green_stream_, green_, kStreamNonBlocking, 0), kSuccess);
  }
};

}  // namespace penstock::cuda
