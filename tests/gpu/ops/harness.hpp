#pragma once

#include "contract/machine.hpp"
#include "cuda/driver.hpp"
#include "shim/abi.hpp"
#include "shim/cuda_call.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace penstock::gpu {

/// Device memory for tests: filled with NaN when it is handed out, kept for the next tensor of its size, and
/// between bytes that nobody may change. Thread: one caller at a time.
class TestPool final : public tensor::Allocator {
 public:
  explicit TestPool(cuda::StreamHandle stream) : stream_(stream) {}

  tensor::Storage* allocate(std::size_t bytes) override;
  [[nodiscard]] std::uint64_t held_bytes() const noexcept override { return held_; }

  /// How often the driver was asked for memory.
  [[nodiscard]] int driver_calls() const noexcept { return driver_calls_; }
  /// What was written beside tensors since the last call; empty: nothing. Blocking.
  std::string take_damage();

 private:
  struct Block {
    cuda::DevicePointer memory = 0;
    std::size_t capacity = 0;
    std::size_t bytes = 0;
    bool used = false;
  };
  static void release(tensor::Storage& storage) noexcept;
  void check_margins(const Block& block);

  cuda::StreamHandle stream_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::uint64_t held_ = 0;
  int driver_calls_ = 0;
  std::string damage_;
};

/// Counts what operators tell of.
class TestObserver final : public shim::CudaObserver {
 public:
  void launched(Kind kind, std::string_view name, cuda::StreamHandle stream) noexcept override;

  std::vector<std::string> names;
  std::set<cuda::StreamHandle> streams;
  int libraries = 0;
};

/// The first GPU, in its primary context, with a stream and the state of one lane.
/// Thread: one caller at a time. Lifetime: the process.
class GpuMachine final : public contract::Machine {
 public:
  /// Errors: as cuda::driver; NotFound where there is no GPU.
  GpuMachine();

  /// What this function needs is loaded then, and nothing else: one that names too little fails.
  [[nodiscard]] void* function(const std::string& name) const override;
  tensor::TensorObjectPtr place(tensor::TensorObjectPtr tensor) override;
  tensor::TensorObjectPtr fetch(tensor::TensorObjectPtr tensor) override;
  void enter(shim::CallContext& context) override;
  [[nodiscard]] std::string reason_against(const nlohmann::json& one) const override;
  [[nodiscard]] bool names_same_of_equals(const nlohmann::json& one) const override;
  [[nodiscard]] bool keeps_last_written() const override { return false; }
  [[nodiscard]] double slack() const override { return 20; }

  /// Loads kernels and libraries for all functions that there are.
  void prepare_all();
  /// Those of this function only; of none where there is no such function.
  void prepare_only(const std::string& name) const;
  /// A fresh lane, as after a change of the partition.
  void reset_lane();
  void synchronize() const;

  shim::CudaCall call;
  TestObserver observer;
  [[nodiscard]] TestPool& pool() { return *pool_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  std::string name_;
  mutable std::string prepared_;
  std::unique_ptr<TestPool> pool_;
  std::unique_ptr<shim::CudaLaneState> lane_;
};

/// The machine of this program. Made by main.
GpuMachine& gpu();

/// Fails the current test where `call`, on the machine's context, does not succeed. The message that was
/// recorded is what it gives; empty after success.
template <class Call>
std::string run_on_gpu(Call&& call) {
  shim::CallContext context;
  cpu::OpState operators;
  context.operators = &operators;
  gpu().enter(context);
  const shim::ContextScope scope(context);
  const AOTITorchError code = call();
  if (code == 0) return {};
  return context.failure ? context.failure->message : "failed without a message";
}

/// The function "aoti_torch_cuda_<name>" with its type; fails the current test where there is none.
template <class Function>
Function* gpu_function(const std::string& name) {
  void* const address = gpu().function("aoti_torch_cuda_" + name);
  EXPECT_NE(address, nullptr) << name;
  return reinterpret_cast<Function*>(address);
}

/// Tensors of the host on the GPU, and back.
inline tensor::TensorObjectPtr to_gpu(tensor::TensorObjectPtr tensor) {
  return gpu().place(std::move(tensor));
}
tensor::TensorObjectPtr to_host(const tensor::TensorObject& tensor);

/// A device tensor of these values, row-major, as float32 on the way.
tensor::TensorObjectPtr gpu_tensor(const std::vector<std::int64_t>& sizes, const std::vector<float>& values);
/// Its elements in logical order.
std::vector<double> gpu_values(const tensor::TensorObject& tensor);

/// Device tensor that is the same memory with other sizes and strides.
tensor::TensorObjectPtr view(const tensor::TensorObject& tensor, const std::vector<std::int64_t>& sizes,
                             const std::vector<std::int64_t>& strides, std::int64_t offset = 0);

/// Fails the current test where `call`, which has run before, asks the driver for memory, gives work to
/// another stream than its own, or cannot be recorded into a graph.
void expect_steady(const std::string& text, const std::function<std::string()>& call);

}  // namespace penstock::gpu
