#include "cpu/index.hpp"

#include "cpu/combine.hpp"
#include "cpu/mask.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// Places along one dimension of self.
struct Column {
  std::size_t dim = 0;
  Dims sizes;
  Dims strides;  ///< Those of the index tensor.
  Dims places;   ///< In row-major order.
};

Column read_column(const TensorObject& index, std::size_t dim) {
  Column column{dim,
                Dims(index.sizes().begin(), index.sizes().end()),
                Dims(index.strides().begin(), index.strides().end()),
                {}};
  column.places.reserve(static_cast<std::size_t>(index.numel));
  with_type("an index", index.dtype, Types<std::int32_t, std::int64_t>{},
            [&]<class T>(std::type_identity<T>) {
              constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
              for_each_element<1>(index.sizes(), {index.strides()}, [&](const auto& place) {
                column.places.push_back(load<T>(index.data + place[0] * kBytes));
              });
            });
  return column;
}

/// One column a dimension of the mask: the places where it is true.
void add_mask_columns(std::vector<Column>& columns, const TensorObject& self, const TensorObject& mask,
                      std::size_t dim) {
  const auto rank = static_cast<std::size_t>(mask.rank);
  for (std::size_t i = 0; i < rank; ++i) {
    if (dim + i < static_cast<std::size_t>(self.rank) && mask.size[i] == self.size[dim + i]) continue;
    base::fail(
        ErrorCode::InvalidArgument,
        "The shape of the mask {} at index {} does not match the shape of the indexed tensor {} at index {}",
        tensor::sizes_text(mask.sizes()), i, tensor::sizes_text(self.sizes()), dim + i);
  }
  const std::int64_t count = count_nonzero(mask);
  Dims found(static_cast<std::size_t>(count) * rank);
  const tensor::StorageReference storage(
      tensor::borrow_storage(found.data(), found.size() * sizeof(std::int64_t), {}));
  const ResultLayout layout = nonzero_layout(mask, count);
  const tensor::TensorObjectPtr table(
      tensor::make_tensor(storage.get(), {DType::Int64, layout.sizes, layout.strides, 0}));
  nonzero(*table, mask, 0);
  for (std::size_t i = 0; i < rank; ++i) {
    const auto begin = found.begin() + static_cast<std::ptrdiff_t>(i) * count;
    columns.push_back({dim + i, {count}, {1}, Dims(begin, begin + count)});
  }
}

std::vector<Column> read_columns(const TensorObject& self, IndexTensors indices) {
  if (indices.size() > static_cast<std::size_t>(self.rank)) {
    base::fail(ErrorCode::InvalidArgument, "too many indices for tensor of dimension {} (got {})", self.rank,
               indices.size());
  }
  std::vector<Column> columns;
  std::size_t dim = 0;
  for (const TensorObject* const index : indices) {
    if (index == nullptr || index->storage == nullptr) {
      ++dim;
      continue;
    }
    check_host("index", *index);
    switch (index->dtype) {
      case DType::Bool:
      case DType::UInt8:
        add_mask_columns(columns, self, *index, dim);
        dim += static_cast<std::size_t>(index->rank);
        break;
      case DType::Int32:
      case DType::Int64: columns.push_back(read_column(*index, dim++)); break;
      default:
        base::fail(ErrorCode::InvalidArgument,
                   "tensors used as indices must be long, int, byte or bool tensors");
    }
  }
  if (dim > static_cast<std::size_t>(self.rank)) {
    base::fail(ErrorCode::InvalidArgument, "too many indices for tensor of dimension {}", self.rank);
  }
  return columns;
}

Dims common_sizes(const std::vector<Column>& columns) {
  Dims sizes;
  for (const Column& column : columns) {
    try {
      sizes = broadcast_sizes(sizes, column.sizes);
    } catch (const Error&) {
      std::string shapes;
      for (const Column& each : columns) {
        shapes += (shapes.empty() ? "" : ", ") + tensor::sizes_text(each.sizes);
      }
      base::fail(ErrorCode::InvalidArgument,
                 "shape mismatch: indexing tensors could not be broadcast together with shapes {}", shapes);
    }
  }
  return sizes;
}

/// `strides` of something of `sizes`, broadcast to `to`; known to fit.
Dims broadcast(const Dims& sizes, DimsView strides, const Dims& to) {
  Dims result(to.size());
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::size_t place = to.size() - sizes.size() + i;
    if (sizes[i] != 1 || to[place] == 1) result[place] = strides[i];
  }
  return result;
}

/// The order of dimensions in the result: those of self, with the index tensors' in one place.
void order_dims(IndexPlan& plan, const TensorObject& self, const std::vector<Column>& columns,
                const Dims& index_sizes) {
  const std::size_t begin = columns.front().dim;
  const bool are_neighbors = columns.back().dim - begin + 1 == columns.size();
  plan.first = are_neighbors ? begin : 0;
  plan.count = index_sizes.size();
  const auto add_indexed = [&] {
    plan.result.sizes.insert(plan.result.sizes.end(), index_sizes.begin(), index_sizes.end());
    plan.self_strides.resize(plan.self_strides.size() + index_sizes.size(), 0);
  };
  std::size_t next = 0;
  if (!are_neighbors) add_indexed();
  for (std::size_t dim = 0; dim < static_cast<std::size_t>(self.rank); ++dim) {
    if (next < columns.size() && columns[next].dim == dim) {
      if (next++ == 0 && are_neighbors) add_indexed();
      continue;
    }
    plan.result.sizes.push_back(self.size[dim]);
    plan.self_strides.push_back(self.stride[dim]);
  }
}

Dims result_strides(const IndexPlan& plan, const std::vector<Column>& columns, const Dims& index_sizes) {
  std::vector<Dims> operands{plan.self_strides};
  for (const Column& column : columns) {
    Dims& strides = operands.emplace_back(plan.result.sizes.size());
    std::ranges::copy(broadcast(column.sizes, column.strides, index_sizes),
                      strides.begin() + static_cast<std::ptrdiff_t>(plan.first));
  }
  return elementwise_strides(plan.result.sizes, operands);
}

/// `number` counts the index tensors: PyTorch's message calls it the dimension.
void add_offsets(Dims& offsets, const TensorObject& self, const Column& column, std::size_t number,
                 const Dims& index_sizes) {
  const std::int64_t size = self.size[column.dim];
  const std::int64_t stride = self.stride[column.dim];
  Dims row_major(column.sizes.size());
  tensor::fill_contiguous_strides(column.sizes, row_major);
  const Dims strides = broadcast(column.sizes, row_major, index_sizes);
  std::size_t next = 0;
  for_each_element<1>(index_sizes, {strides}, [&](const auto& place) {
    const std::int64_t index = column.places[static_cast<std::size_t>(place[0])];
    if (index < -size || index >= size) {
      base::fail(ErrorCode::InvalidArgument, "index {} is out of bounds for dimension {} with size {}", index,
                 number, size);
    }
    offsets[next++] += (index < 0 ? index + size : index) * stride;
  });
}

/// Sizes with 1 for the dimensions of the index tensors.
Dims kept_sizes(const IndexPlan& plan) {
  Dims sizes = plan.result.sizes;
  std::fill_n(sizes.begin() + static_cast<std::ptrdiff_t>(plan.first), plan.count, 1);
  return sizes;
}

/// What each place of the index tensors adds to an address in a tensor of the result's sizes.
Dims result_offsets(const IndexPlan& plan, DimsView strides) {
  Dims offsets;
  offsets.reserve(plan.offsets.size());
  const DimsView sizes(plan.result.sizes);
  for_each_element<1>(sizes.subspan(plan.first, plan.count), {strides.subspan(plan.first, plan.count)},
                      [&](const auto& place) { offsets.push_back(place[0]); });
  return offsets;
}

}  // namespace

IndexPlan plan_index(const TensorObject& self, IndexTensors indices) {
  check_host("index", self);
  IndexPlan plan;
  const std::vector<Column> columns = read_columns(self, indices);
  if (columns.empty()) {
    plan.result = like_layout(self);
    plan.self_strides.assign(self.strides().begin(), self.strides().end());
    plan.offsets = {0};
    return plan;
  }
  const Dims index_sizes = common_sizes(columns);
  order_dims(plan, self, columns, index_sizes);
  const auto numel = tensor::checked_numel(plan.result.sizes);
  if (!numel || plan.result.sizes.size() > tensor::kRoomForDims) {
    base::fail(ErrorCode::InvalidArgument, "index: a result of sizes {}",
               tensor::sizes_text(plan.result.sizes));
  }
  plan.result.strides = result_strides(plan, columns, index_sizes);
  const std::int64_t places = tensor::checked_numel(index_sizes).value_or(0);
  for (const Column& column : columns) {
    if (self.size[column.dim] == 0 && places != 0) {
      base::fail(ErrorCode::InvalidArgument, "index is out of bounds for dimension with size 0");
    }
  }
  if (*numel == 0) return plan;
  plan.offsets.resize(static_cast<std::size_t>(places));
  for (std::size_t i = 0; i < columns.size(); ++i) {
    add_offsets(plan.offsets, self, columns[i], i, index_sizes);
  }
  return plan;
}

void index(const TensorObject& out, const TensorObject& self, const IndexPlan& plan) {
  check_same_sizes("index", out, plan.result.sizes);
  if (out.numel == 0) return;
  const std::size_t bytes = element_bytes(self.dtype);
  const auto element = static_cast<std::int64_t>(bytes);
  const Dims out_offsets = result_offsets(plan, out.strides());
  for_each_row<2>(kept_sizes(plan), {out.strides(), plan.self_strides}, [&](const Row<2>& row) {
    for (std::size_t i = 0; i < out_offsets.size(); ++i) {
      move_elements(out.data + (row.start[0] + out_offsets[i]) * element, row.step[0],
                    self.data + (row.start[1] + plan.offsets[i]) * element, row.step[1], row.count, bytes);
    }
  });
}

void index_put(const TensorObject& self, const IndexPlan& plan, const TensorObject& values,
               bool accumulates) {
  check_host("index_put", values);
  if (values.dtype != self.dtype) {
    base::fail(
        ErrorCode::InvalidArgument,
        "Index put requires the source and destination dtypes match, got {} for the destination and {} "
        "for the source.",
        dtype_name(self.dtype), dtype_name(values.dtype));
  }
  Dims value_strides;
  try {
    value_strides = broadcast_strides(values, plan.result.sizes);
  } catch (const Error&) {
    base::fail(ErrorCode::InvalidArgument,
               "shape mismatch: value tensor of shape {} cannot be broadcast to indexing result of shape {}",
               tensor::sizes_text(values.sizes()), tensor::sizes_text(plan.result.sizes));
  }
  const std::size_t bytes = element_bytes(self.dtype);
  const auto element = static_cast<std::int64_t>(bytes);
  const Dims value_offsets = result_offsets(plan, value_strides);
  const auto for_each_block = [&](auto&& work) {
    for_each_row<2>(kept_sizes(plan), {plan.self_strides, value_strides}, [&](const Row<2>& row) {
      for (std::size_t i = 0; i < value_offsets.size(); ++i) {
        work(self.data + (row.start[0] + plan.offsets[i]) * element,
             values.data + (row.start[1] + value_offsets[i]) * element, row);
      }
    });
  };
  if (!accumulates) {
    for_each_block([&](std::byte* to, const std::byte* from, const Row<2>& row) {
      move_elements(to, row.step[0], from, row.step[1], row.count, bytes);
    });
    return;
  }
  with_type("index_put", self.dtype, kAllTypes, [&]<class T>(std::type_identity<T>) {
    for_each_block([&](std::byte* to, const std::byte* from, const Row<2>& row) {
      for (std::int64_t i = 0; i < row.count; ++i) {
        std::byte* const target = to + i * row.step[0] * element;
        store(target, sum_of(load<T>(target), load<T>(from + i * row.step[1] * element)));
      }
    });
  });
}

}  // namespace penstock::cpu
