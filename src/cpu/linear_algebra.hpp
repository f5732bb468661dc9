#pragma once

#include "cpu/op_state.hpp"
#include "tensor/tensor_object.hpp"

namespace penstock::cpu {

/// Factors of a matrix product with an addend.
struct Factors {
  double beta = 1;
  double alpha = 1;
};

/// out = beta * self + alpha * (mat1 @ mat2), with `self` broadcast to out's sizes [n, p]; mat1 is
/// [n, m], mat2 is [m, p]. Strides are free; a beta of 0 does not read `self`. `out` may be `self`.
/// Errors: InvalidArgument for sizes or dtypes that do not go together; Unsupported dtype.
/// Source: torch.addmm.
void addmm(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& self,
           const tensor::TensorObject& mat1, const tensor::TensorObject& mat2, Factors factors);

/// out = mat1 @ mat2. Source: torch.mm.
void mm(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& mat1,
        const tensor::TensorObject& mat2);

/// out[i] = batch1[i] @ batch2[i]: [b, n, m] @ [b, m, p]. Source: torch.bmm.
void bmm(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& batch1,
         const tensor::TensorObject& batch2);

/// out[i] = beta * self[i] + alpha * (batch1[i] @ batch2[i]), `self` broadcast. Source: torch.baddbmm.
void baddbmm(OpContext& context, tensor::TensorObject& out, const tensor::TensorObject& self,
             const tensor::TensorObject& batch1, const tensor::TensorObject& batch2, Factors factors);

}  // namespace penstock::cpu
