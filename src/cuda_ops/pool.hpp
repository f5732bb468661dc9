#pragma once

#include "cpu/padding.hpp"
#include "cpu/pooling.hpp"
#include "shim/cuda_call.hpp"

#include <cstddef>

// Results are made as the layouts of cpu/pooling.hpp and cpu/padding.hpp say.
namespace penstock::cuda_ops {

/// As cpu::max_pool and the others there.
void max_pool(const shim::CudaCall& call, const tensor::TensorObject& out,
              const tensor::TensorObject& indices, const tensor::TensorObject& input,
              const cpu::PoolWindow& window);
void average_pool(const shim::CudaCall& call, const tensor::TensorObject& out,
                  const tensor::TensorObject& input, const cpu::PoolWindow& window,
                  const cpu::AverageOptions& options);
void adaptive_average_pool(const shim::CudaCall& call, const tensor::TensorObject& out,
                           const tensor::TensorObject& input, std::size_t spatial);
void adaptive_max_pool(const shim::CudaCall& call, const tensor::TensorObject& out,
                       const tensor::TensorObject& indices, const tensor::TensorObject& input,
                       std::size_t spatial);

/// As cpu::max_unpool, but any one of several elements for one place stays, and one whose place is none goes
/// nowhere.
void max_unpool(const shim::CudaCall& call, const tensor::TensorObject& out,
                const tensor::TensorObject& input, const tensor::TensorObject& indices,
                const cpu::Unpool& unpool);

/// As cpu::pad.
struct PadAmounts {
  std::span<const std::int64_t> amounts;
  cpu::PadMode mode = cpu::PadMode::Constant;
  double value = 0;
};
void pad(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& input,
         const PadAmounts& amounts);

}  // namespace penstock::cuda_ops
