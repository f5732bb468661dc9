#pragma once

#include "shim/cuda_call.hpp"

#include <cstddef>
#include <cstdint>

namespace penstock::cuda_ops {

/// Which of the sorted elements of a row are wanted.
struct SortedPart {
  bool descending = false;
  std::int64_t first = 0;
  std::int64_t kept = 0;
};

/// Sorts along a dimension: NaN is larger than any number, equal elements keep their order. `values` and
/// `indices` (int64) have part.kept elements there. Errors: Unsupported for more than 2^32 elements in a row.
struct SortOperands {
  const tensor::TensorObject& self;
  const tensor::TensorObject& values;
  const tensor::TensorObject& indices;
  std::size_t dim = 0;
};
void sort_rows(const shim::CudaCall& call, const SortOperands& operands, const SortedPart& part);

/// The element in the middle of all, the lower of two, into the scalar `out`; NaN where one is (but where it
/// skips them) or where there is none. `self` is row-major.
void find_median(const shim::CudaCall& call, const tensor::TensorObject& out,
                 const tensor::TensorObject& self, bool skips_nan);

}  // namespace penstock::cuda_ops
