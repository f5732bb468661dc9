#pragma once

#include "contract/machine.hpp"
#include "gpu/ops/harness.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// Operators on the GPU beside those on the CPU, which are tested against recordings of libtorch: for sizes
// that no recording has.
namespace penstock::gpu {

using Handle = AtenTensorHandle;
using Int = std::int64_t;
using Flag = std::int32_t;
using Dims = std::vector<std::int64_t>;

/// The order in which dimensions lie in memory, outermost first; empty: as they are counted.
using MemoryOrder = std::vector<std::size_t>;

/// A host tensor of random numbers: whole ones from -spread to spread (from 0 for unsigned dtypes), halves
/// too for floating dtypes. With `gap`, the innermost dimension has a stride of gap.
struct RandomTensor {
  DType dtype = DType::Float32;
  Dims sizes;
  unsigned seed = 1;
  int spread = 1000;
  MemoryOrder order{};
  std::int64_t gap = 1;

  [[nodiscard]] tensor::TensorObjectPtr make() const;
};

/// A host tensor of integers, row-major.
tensor::TensorObjectPtr integers(const Dims& sizes, const std::vector<std::int64_t>& values,
                                 DType dtype = DType::Int64);

/// Calls a function that answers `name` ("aoti_torch_cpu_cat") on a machine.
template <class... Arguments>
AOTITorchError call_on(const contract::Machine& machine, const std::string& name, Arguments... arguments) {
  void* const address = machine.function(name);
  EXPECT_NE(address, nullptr) << name;
  if (address == nullptr) return 1;
  return reinterpret_cast<AOTITorchError (*)(Arguments...)>(address)(arguments...);
}

/// One call with tensors of one machine, which puts its results there.
using Call = std::function<AOTITorchError(const contract::Machine& machine,
                                          const std::vector<Handle>& tensors, Handle* results)>;

/// Results of a call on the CPU, or on the GPU and fetched from there; fails the current test where it fails.
std::vector<tensor::TensorObjectPtr> results_on_cpu(const std::vector<tensor::TensorObjectPtr>& tensors,
                                                    std::size_t count, const Call& call);
std::vector<tensor::TensorObjectPtr> results_on_gpu(const std::vector<tensor::TensorObjectPtr>& tensors,
                                                    std::size_t count, const Call& call);

/// Fails the current test where dtypes, sizes, strides or elements differ; by how much these may is relative
/// to the largest magnitude.
void expect_same(const tensor::TensorObject& actual, const tensor::TensorObject& expected, double tolerance,
                 const std::string& text);

/// Fails the current test where a call gives other results on the GPU than on the CPU.
void expect_as_on_cpu(const std::string& text, const std::vector<tensor::TensorObjectPtr>& tensors,
                      std::size_t results, const Call& call, double tolerance = 0);

/// Fails the current test where a call that has run before with these tensors is not as expect_steady wants
/// it.
void expect_steady_call(const std::string& text, const std::vector<tensor::TensorObjectPtr>& tensors,
                        std::size_t results, const Call& call);

}  // namespace penstock::gpu
