#pragma once

#include "tensor/allocator.hpp"
#include "tensor/tensor_object.hpp"

#include <cstdint>
#include <string_view>

namespace penstock::cpu {

/// Where scattered elements go: along `dim` to the places in `index` (int32 or int64), in the other
/// dimensions to where they are in `index`. Places are not counted from the end.
struct ScatterPlaces {
  std::int64_t dim = 0;
  const tensor::TensorObject& index;
};

/// The dimension that is scattered along. Errors: InvalidArgument in PyTorch's words for dtypes and sizes
/// that do not go together. `source` may be null.
std::size_t check_scatter(const tensor::TensorObject& self, const ScatterPlaces& places,
                          const tensor::TensorObject* source);
std::size_t check_index_reduce(const tensor::TensorObject& self, const ScatterPlaces& places,
                               const tensor::TensorObject& source);

/// Sets self's elements at `places` to those of `source`; of several for one place the last stays.
/// Errors: InvalidArgument in PyTorch's words for a place that is out of bounds, for sizes and dtypes that
/// do not go together; then nothing is written. Source: torch.Tensor.scatter_.
void scatter(const tensor::TensorObject& self, ScatterPlaces places, const tensor::TensorObject& source);

/// The same with one value for all places.
void scatter_value(const tensor::TensorObject& self, ScatterPlaces places, double value);

enum class ReduceKind { Sum, Product, Mean, Maximum, Minimum };

/// PyTorch's names: sum, prod, mean, amax or max, amin or min. Errors: InvalidArgument for others.
ReduceKind reduce_kind(std::string_view name);

struct ReduceOptions {
  ReduceKind kind = ReduceKind::Sum;
  bool includes_self = true;  ///< False: what was at a place that is scattered to does not count.
};

/// Combines self's elements at `places` with those of `source`. 16-bit floats are combined in float32;
/// integers wrap around, their mean is rounded down. `pool`: as for Temporary. Errors: as for scatter.
/// Source: torch.Tensor.scatter_reduce_.
void scatter_reduce(tensor::Allocator* pool, const tensor::TensorObject& self, ScatterPlaces places,
                    const tensor::TensorObject& source, ReduceOptions options);

/// The same with slices of `source`: slice i along `dim` goes to slice index[i] of self.
/// Source: torch.Tensor.index_reduce_.
void index_reduce(tensor::Allocator* pool, const tensor::TensorObject& self, ScatterPlaces places,
                  const tensor::TensorObject& source, ReduceOptions options);

}  // namespace penstock::cpu
