#pragma once

#include "shim/cuda_call.hpp"
#include "tensor/tensor_object.hpp"

// As those of cpu/elementwise.hpp.
namespace penstock::cuda_ops {

void add(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& a,
         const tensor::TensorObject& b, double alpha);
void multiply(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& a,
              const tensor::TensorObject& b);
void absolute(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& self);
void angle(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& self);
void polar(const shim::CudaCall& call, const tensor::TensorObject& out, const tensor::TensorObject& magnitude,
           const tensor::TensorObject& angles);

}  // namespace penstock::cuda_ops
