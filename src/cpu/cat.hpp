#pragma once

#include "cpu/strided.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/dtype.hpp>

#include <cstdint>
#include <span>

namespace penstock::cpu {

using TensorList = std::span<tensor::TensorObject* const>;

/// What a concatenation looks like.
struct CatResult {
  DType dtype = DType::Float32;
  ResultLayout layout;
};

/// True for sizes [0], which go with any others. Errors: none.
bool is_left_out(const tensor::TensorObject& tensor) noexcept;

/// Errors: InvalidArgument in PyTorch's words for tensors that do not go together.
CatResult cat_result(TensorList tensors, std::int64_t dim);

/// out = the tensors one after the other along `dim`, converted to its dtype; `out` is made as cat_result
/// says. Tensors of sizes [0] are left out. Source: torch.cat.
void cat(const tensor::TensorObject& out, TensorList tensors, std::int64_t dim);

}  // namespace penstock::cpu
