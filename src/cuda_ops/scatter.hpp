#pragma once

#include "cpu/scatter.hpp"
#include "cuda_ops/kernels/arguments.hpp"
#include "shim/cuda_call.hpp"

// Elements that go where an index says. A place that is out of bounds gets nothing: PyTorch stops the device
// there.
namespace penstock::cuda_ops {

/// As cpu::scatter; any one of several elements for one place stays.
void scatter(const shim::CudaCall& call, const tensor::TensorObject& self, cpu::ScatterPlaces places,
             const tensor::TensorObject& source);

/// The same with one value for all places.
void scatter_value(const shim::CudaCall& call, const tensor::TensorObject& self, cpu::ScatterPlaces places,
                   double value);

/// As cpu::scatter_reduce; floating sums are added in any order.
void scatter_reduce(const shim::CudaCall& call, const tensor::TensorObject& self, cpu::ScatterPlaces places,
                    const tensor::TensorObject& source, cpu::ReduceOptions options);

/// As cpu::index_reduce, likewise.
void index_reduce(const shim::CudaCall& call, const tensor::TensorObject& self, cpu::ScatterPlaces places,
                  const tensor::TensorObject& source, cpu::ReduceOptions options);

}  // namespace penstock::cuda_ops
