#pragma once

#include "cpu/embedding_bag.hpp"
#include "cpu/search.hpp"
#include "shim/cuda_call.hpp"

namespace penstock::cuda_ops {

/// As cpu::searchsorted. A sorter's place that is out of bounds counts as the nearest that is not.
void searchsorted(const shim::CudaCall& call, const tensor::TensorObject& out,
                  const tensor::TensorObject& sequence, const tensor::TensorObject& values,
                  const cpu::SearchOptions& options);

/// What torch.ops.aten._embedding_bag gives on CUDA: other sizes than on the CPU. An index that is out of
/// bounds counts as absent, an offset as the nearest that is not. Errors: as cpu::check_embedding_bag.
cpu::EmbeddingBagResults embedding_bag(const shim::CudaCall& call, const cpu::EmbeddingBag& bag);

}  // namespace penstock::cuda_ops
