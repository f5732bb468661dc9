#include "cpu/index_shape.hpp"

#include "tensor/layout.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

Dims common_sizes(std::span<const IndexColumn> columns) {
  Dims sizes;
  for (const IndexColumn& column : columns) {
    try {
      sizes = broadcast_sizes(sizes, column.sizes);
    } catch (const Error&) {
      std::string shapes;
      for (const IndexColumn& each : columns) {
        shapes += (shapes.empty() ? "" : ", ") + tensor::sizes_text(each.sizes);
      }
      base::fail(ErrorCode::InvalidArgument,
                 "shape mismatch: indexing tensors could not be broadcast together with shapes {}", shapes);
    }
  }
  return sizes;
}

/// The order of dimensions in the result: those of self, with the index tensors' in one place.
void order_dims(IndexShape& shape, const TensorObject& self, std::span<const IndexColumn> columns) {
  const std::size_t begin = columns.front().dim;
  const bool are_neighbors = columns.back().dim - begin + 1 == columns.size();
  shape.first = are_neighbors ? begin : 0;
  shape.count = shape.index_sizes.size();
  const auto add_indexed = [&] {
    shape.result.sizes.append(shape.index_sizes.begin(), shape.index_sizes.end());
    shape.self_strides.resize(shape.self_strides.size() + shape.index_sizes.size(), 0);
  };
  std::size_t next = 0;
  if (!are_neighbors) add_indexed();
  for (std::size_t dim = 0; dim < static_cast<std::size_t>(self.rank); ++dim) {
    if (next < columns.size() && columns[next].dim == dim) {
      if (next++ == 0 && are_neighbors) add_indexed();
      continue;
    }
    shape.result.sizes.push_back(self.size[dim]);
    shape.self_strides.push_back(self.stride[dim]);
  }
}

Dims result_strides(const IndexShape& shape, std::span<IndexColumn> columns) {
  std::array<DimsView, tensor::kRoomForDims + 1> operands{shape.self_strides};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    IndexColumn& column = columns[i];
    column.result_strides = Dims(shape.result.sizes.size());
    std::ranges::copy(broadcast_index(column.sizes, column.strides, shape.index_sizes),
                      column.result_strides.begin() + static_cast<std::ptrdiff_t>(shape.first));
    operands[i + 1] = column.result_strides;
  }
  return elementwise_strides(shape.result.sizes, std::span(operands).first(columns.size() + 1));
}

}  // namespace

Dims broadcast_index(const Dims& sizes, DimsView strides, const Dims& to) {
  Dims result(to.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t place = to.size() - sizes.size() + i;
    if (sizes[i] != 1 || to[place] == 1) result[place] = strides[i];
  }
  return result;
}

void check_mask_sizes(const TensorObject& self, const TensorObject& mask, std::size_t dim) {
  for (std::size_t i = 0; i < static_cast<std::size_t>(mask.rank); ++i) {
    if (dim + i < static_cast<std::size_t>(self.rank) && mask.size[i] == self.size[dim + i]) continue;
    base::fail(
        ErrorCode::InvalidArgument,
        "The shape of the mask {} at index {} does not match the shape of the indexed tensor {} at index {}",
        tensor::sizes_text(mask.sizes()), i, tensor::sizes_text(self.sizes()), dim + i);
  }
}

IndexShape index_shape(const TensorObject& self, std::span<IndexColumn> columns) {
  IndexShape shape;
  if (columns.empty()) {
    shape.result = like_layout(self);
    shape.self_strides.assign(self.strides().begin(), self.strides().end());
    return shape;
  }
  shape.index_sizes = common_sizes(columns);
  order_dims(shape, self, columns);
  const auto numel = tensor::checked_numel(shape.result.sizes);
  if (!numel || shape.result.sizes.size() > tensor::kRoomForDims) {
    base::fail(ErrorCode::InvalidArgument, "index: a result of sizes {}",
               tensor::sizes_text(shape.result.sizes));
  }
  shape.result.strides = result_strides(shape, columns);
  const std::int64_t places = tensor::checked_numel(shape.index_sizes).value_or(0);
  for (const IndexColumn& column : columns) {
    if (self.size[column.dim] == 0 && places != 0) {
      base::fail(ErrorCode::InvalidArgument, "index is out of bounds for dimension with size 0");
    }
  }
  return shape;
}

Dims index_put_strides(const TensorObject& self, DimsView result_sizes, const TensorObject& values) {
  if (values.dtype != self.dtype) {
    base::fail(
        ErrorCode::InvalidArgument,
        "Index put requires the source and destination dtypes match, got {} for the destination and {} "
        "for the source.",
        dtype_name(self.dtype), dtype_name(values.dtype));
  }
  try {
    return broadcast_strides(values, result_sizes);
  } catch (const Error&) {
    base::fail(ErrorCode::InvalidArgument,
               "shape mismatch: value tensor of shape {} cannot be broadcast to indexing result of shape {}",
               tensor::sizes_text(values.sizes()), tensor::sizes_text(result_sizes));
  }
}

}  // namespace penstock::cpu
