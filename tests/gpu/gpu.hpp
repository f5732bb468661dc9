#pragma once

#include "cuda/abi.hpp"
#include "e2e/support.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/partition.hpp>
#include <penstock/penstock.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

// For tests on a real GPU: the public API of Penstock, and the driver as any other program calls it.
namespace penstock::testing {

inline constexpr std::string_view kGpuPackages = "2.11-sm90";
/// Packages with TensorRT engines, run by doubles of TensorRT.
inline constexpr std::string_view kEnginePackages = "2.15-engines";
inline constexpr Device kGpu{DeviceType::Cuda, 0};

/// Functions of libcuda.so.1 that tests call themselves. Ends the program where one is missing.
struct DriverCalls {
  cuda::Result (*init)(unsigned);
  cuda::Result (*primary_retain)(cuda::ContextHandle*, cuda::DeviceNumber);
  cuda::Result (*primary_release)(cuda::DeviceNumber);
  cuda::Result (*push)(cuda::ContextHandle);
  cuda::Result (*pop)(cuda::ContextHandle*);
  cuda::Result (*current)(cuda::ContextHandle*);
  cuda::Result (*synchronize)();
  cuda::Result (*memory_info)(std::size_t* free, std::size_t* total);
  cuda::Result (*host_alloc)(void**, std::size_t, unsigned);
  cuda::Result (*host_free)(void*);
  cuda::Result (*managed_alloc)(cuda::DevicePointer*, std::size_t, unsigned);
  cuda::Result (*free)(cuda::DevicePointer);
  cuda::Result (*module_load)(cuda::ModuleHandle*, const void*);
  cuda::Result (*module_unload)(cuda::ModuleHandle);
  cuda::Result (*module_function)(cuda::FunctionHandle*, cuda::ModuleHandle, const char*);
  cuda::Result (*launch)(cuda::FunctionHandle, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned,
                         unsigned, cuda::StreamHandle, void**, void**);
  cuda::Result (*device_resource)(cuda::DeviceNumber, cuda::Resource*, int);
  cuda::Result (*split)(cuda::Resource*, unsigned*, const cuda::Resource*, cuda::Resource*, unsigned,
                        unsigned);
  cuda::Result (*description)(cuda::ResourceDescHandle*, cuda::Resource*, unsigned);
  cuda::Result (*green_create)(cuda::GreenContextHandle*, cuda::ResourceDescHandle, cuda::DeviceNumber,
                               unsigned);
  cuda::Result (*green_destroy)(cuda::GreenContextHandle);
  cuda::Result (*green_stream)(cuda::StreamHandle*, cuda::GreenContextHandle, unsigned, int);
  cuda::Result (*stream_destroy)(cuda::StreamHandle);
  cuda::Result (*begin_capture)(cuda::StreamHandle, int);
  cuda::Result (*end_capture)(cuda::StreamHandle, cuda::GraphHandle*);
  cuda::Result (*graph_destroy)(cuda::GraphHandle);
  cuda::Result (*graph_instantiate)(cuda::GraphExecHandle*, cuda::GraphHandle, unsigned long long);
  cuda::Result (*graph_launch)(cuda::GraphExecHandle, cuda::StreamHandle);
  cuda::Result (*graph_exec_destroy)(cuda::GraphExecHandle);
  cuda::Result (*copy_to)(cuda::DevicePointer, const void*, std::size_t);
};
const DriverCalls& driver();

/// The device's primary context, current on this thread until the end of the scope.
class InPrimary {
 public:
  InPrimary();
  ~InPrimary();
  InPrimary(const InPrimary&) = delete;
  InPrimary& operator=(const InPrimary&) = delete;
  [[nodiscard]] cuda::ContextHandle handle() const { return context_; }

 private:
  cuda::ContextHandle context_ = nullptr;
};

/// A context that is current on this thread until the end of the scope.
class Current {
 public:
  explicit Current(void* context);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

/// Blocks on a stream that wait for the host: 2 of 1024 threads fill an SM of 2048. They give up by
/// themselves after 20 seconds, so that a test that fails does not take the GPU with it.
class Held {
 public:
  /// Holds nothing yet.
  explicit Held(StreamView stream);
  Held(StreamView stream, unsigned blocks) : Held(stream) { hold(blocks); }
  ~Held();
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  /// Puts blocks on the stream. Those from before have to be gone.
  void hold(unsigned blocks, unsigned threads = 1024);
  /// Waits until all blocks run.
  void wait_until_running() const;
  void let_go();
  /// The SMs that the blocks run on, one a block.
  [[nodiscard]] std::vector<unsigned> sms() const;

 private:
  StreamView stream_;
  unsigned blocks_ = 0;
  cuda::ModuleHandle module_ = nullptr;
  cuda::FunctionHandle function_ = nullptr;
  volatile unsigned* words_ =
      nullptr;  ///< Seen by host and device: the signal, how many run, the SM of each.
};

/// Puts a kernel on the stream that writes where nothing is. The device is lost to this process then.
void launch_fault(StreamView stream);

/// Those with recorded answers: all but `random`, whose numbers nobody can know beforehand.
inline constexpr const char* kEveryPackage[] = {
    "add",           "mlp",       "mlp16",       "fatbin",           "embedded",
    "blob",          "folded",    "conv",        "conv16",           "conv1d3d",
    "matmuls",       "attention", "attention16", "attention_causal", "attention_masked",
    "order",         "selection", "indexing",    "search",           "pooling",
    "embedding_bag", "lstm",      "inplace",     "aliases",          "item",
    "host_input",    "gpt",       "spread",      "everything"};

/// Those of them whose runs can be captured.
inline constexpr const char* kCapturedPackages[] = {
    "add",     "mlp",       "mlp16",       "fatbin",           "embedded",
    "blob",    "folded",    "conv",        "conv16",           "conv1d3d",
    "matmuls", "attention", "attention16", "attention_causal", "attention_masked",
    "order",   "indexing",  "pooling",     "embedding_bag",    "lstm",
    "inplace", "aliases",   "gpt",         "everything"};

/// The SMs that a kernel's blocks run on where they can.
std::set<unsigned> sms_of(StreamView stream);

/// The recorded inputs of a package, on the GPU but for those that the model wants on the host.
std::vector<Tensor> inputs_of(std::string_view package);
/// Copies of device tensors on the host; host tensors as they are.
std::vector<Tensor> on_host(const std::vector<Tensor>& tensors);

/// The same in other memory of the GPU.
std::vector<Tensor> copies_of(const std::vector<Tensor>& tensors);

/// The double of TensorRT beside this program: "10", "11" or "rtx".
std::filesystem::path double_path(std::string_view numbering);

Model load_on_gpu(std::string_view package, std::string_view numbering = "11");

/// Expects what libtorch has answered, as close as the dtype allows.
void expect_recorded(std::string_view package, const std::vector<Tensor>& outputs);

/// Free bytes of the GPU.
std::size_t free_bytes();

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

/// What the program does when it is started as "penstock_gpu_tests --fault-child": loses its GPU, and prints
/// the errors that follow.
int run_fault_child();

}  // namespace penstock::testing
