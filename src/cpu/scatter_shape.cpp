#include "base/fail.hpp"
#include "cpu/scatter.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

void check_index(const TensorObject& index) {
  if (index.dtype != DType::Int64 && index.dtype != DType::Int32) {
    base::fail(ErrorCode::InvalidArgument, "scatter(): Expected dtype int32/int64 for index");
  }
}

/// A scalar counts as one dimension of size 1.
std::int64_t size_of(const TensorObject& tensor, std::size_t dim) {
  return tensor.rank == 0 ? 1 : tensor.size[dim];
}

std::int64_t dims_of(const TensorObject& tensor) { return std::max<std::int64_t>(tensor.rank, 1); }

void check_sizes(const TensorObject& self, const TensorObject& index, const TensorObject* source,
                 std::size_t dim) {
  if (dims_of(index) != dims_of(self)) {
    base::fail(ErrorCode::InvalidArgument,
               "Index tensor must have the same number of dimensions as self tensor");
  }
  if (source != nullptr && dims_of(*source) != dims_of(index)) {
    base::fail(ErrorCode::InvalidArgument,
               "Index tensor must have the same number of dimensions as src tensor");
  }
  bool fits = true;
  for (std::size_t i = 0; i < static_cast<std::size_t>(dims_of(index)); ++i) {
    const std::int64_t size = size_of(index, i);
    if (i != dim && size > size_of(self, i)) fits = false;
    if (source != nullptr && size > size_of(*source, i)) fits = false;
  }
  if (fits) return;
  const std::string head =
      fmt::format("Expected index {} to be no larger than self {} apart from dimension {}",
                  tensor::sizes_text(index.sizes()), tensor::sizes_text(self.sizes()), dim);
  if (source == nullptr) base::fail(ErrorCode::InvalidArgument, "{}", head);
  base::fail(ErrorCode::InvalidArgument, "{} and to be no larger size than src {}", head,
             tensor::sizes_text(source->sizes()));
}

}  // namespace

std::size_t check_scatter(const TensorObject& self, const ScatterPlaces& places, const TensorObject* source) {
  check_index(places.index);
  const std::size_t dim = wrap_dim(places.dim, self.rank);
  if (source != nullptr && source->dtype != self.dtype) {
    base::fail(ErrorCode::InvalidArgument, "scatter(): Expected self.dtype to be equal to src.dtype");
  }
  if (places.index.numel != 0) check_sizes(self, places.index, source, dim);
  return dim;
}

std::size_t check_index_reduce(const TensorObject& self, const ScatterPlaces& places,
                               const TensorObject& source) {
  check_index(places.index);
  const std::size_t dim = wrap_dim(places.dim, self.rank);
  bool fits = places.index.rank <= 1 && source.rank == self.rank &&
              lane_of(places.index, 0).size == lane_of(source, dim).size;
  for (std::size_t i = 0; fits && i < static_cast<std::size_t>(self.rank); ++i) {
    fits = i == dim || source.size[i] == self.size[i];
  }
  if (!fits || source.dtype != self.dtype) {
    base::fail(ErrorCode::InvalidArgument, "index_reduce of {}{} by an index of sizes {} into {}{}",
               dtype_name(source.dtype), tensor::sizes_text(source.sizes()),
               tensor::sizes_text(places.index.sizes()), dtype_name(self.dtype),
               tensor::sizes_text(self.sizes()));
  }
  return dim;
}

ReduceKind reduce_kind(std::string_view name) {
  if (name == "sum") return ReduceKind::Sum;
  if (name == "prod") return ReduceKind::Product;
  if (name == "mean") return ReduceKind::Mean;
  if (name == "amax" || name == "max") return ReduceKind::Maximum;
  if (name == "amin" || name == "min") return ReduceKind::Minimum;
  base::fail(ErrorCode::InvalidArgument,
             "reduce argument must be either sum, prod, mean, amax or amin, got {}", name);
}

}  // namespace penstock::cpu
