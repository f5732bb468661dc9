#pragma once

#include "tensor/tensor_object.hpp"

#include <cstdint>

namespace penstock::cpu {

/// out = the sums of self's elements up to each place along `dim`. `out` has self's sizes; self is first
/// converted to its dtype. float32 adds up in float64, 16-bit floats in float32; integers wrap around.
/// Errors: InvalidArgument for a dim that is not there. Source: torch.cumsum.
void cumsum(const tensor::TensorObject& out, const tensor::TensorObject& self, std::int64_t dim);

/// The same with products. Source: torch.cumprod.
void cumprod(const tensor::TensorObject& out, const tensor::TensorObject& self, std::int64_t dim);

/// The same with log(exp(a) + exp(b)), for floating dtypes. Source: torch.logcumsumexp.
void logcumsumexp(const tensor::TensorObject& out, const tensor::TensorObject& self, std::int64_t dim);

/// Results of an operator that finds elements: their values, and their places along a dimension as int64.
struct Found {
  const tensor::TensorObject& values;
  const tensor::TensorObject& indices;
};

/// The largest element up to each place along `dim`, and where it is: the last such place. NaN is larger
/// than any number. Source: torch.cummax.
void cummax(Found out, const tensor::TensorObject& self, std::int64_t dim);

/// The same with the smallest; NaN counts as smaller than any number. Source: torch.cummin.
void cummin(Found out, const tensor::TensorObject& self, std::int64_t dim);

}  // namespace penstock::cpu
