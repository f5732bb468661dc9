#include "cpu/index.hpp"

#include "cpu/combine.hpp"
#include "cpu/mask.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// The elements of an index tensor in row-major order.
Dims read_places(const TensorObject& index) {
  Dims places;
  places.reserve(static_cast<std::size_t>(index.numel));
  with_type("an index", index.dtype, Types<std::int32_t, std::int64_t>{},
            [&]<class T>(std::type_identity<T>) {
              constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
              for_each_element<1>(index.sizes(), {index.strides()}, [&](const auto& place) {
                places.push_back(load<T>(index.data + place[0] * kBytes));
              });
            });
  return places;
}

/// The columns with their places.
struct Columns {
  std::vector<IndexColumn> shapes;
  std::vector<Dims> places;  ///< Of each, in row-major order.

  void add(const TensorObject& index, std::size_t dim) {
    check_host("index", index);
    shapes.push_back({dim, Dims(index.sizes().begin(), index.sizes().end()),
                      Dims(index.strides().begin(), index.strides().end())});
    places.push_back(read_places(index));
  }

  /// One column a dimension of the mask: the places where it is true.
  void add_mask(const TensorObject& mask, std::size_t dim) {
    check_host("index", mask);
    const auto rank = static_cast<std::size_t>(mask.rank);
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
      shapes.push_back({dim + i, {count}, {1}});
      places.emplace_back(begin, begin + count);
    }
  }
};

/// `number` counts the index tensors: PyTorch's message calls it the dimension.
void add_offsets(Dims& offsets, const TensorObject& self, const Columns& columns, std::size_t number,
                 const Dims& index_sizes) {
  const IndexColumn& column = columns.shapes[number];
  const Dims& places = columns.places[number];
  const std::int64_t size = self.size[column.dim];
  const std::int64_t stride = self.stride[column.dim];
  Dims row_major(column.sizes.size());
  tensor::fill_contiguous_strides(column.sizes, row_major);
  const Dims strides = broadcast_index(column.sizes, row_major, index_sizes);
  std::size_t next = 0;
  for_each_element<1>(index_sizes, {strides}, [&](const auto& place) {
    const std::int64_t index = places[static_cast<std::size_t>(place[0])];
    if (index < -size || index >= size) {
      base::fail(ErrorCode::InvalidArgument, "index {} is out of bounds for dimension {} with size {}", index,
                 number, size);
    }
    offsets[next++] += (index < 0 ? index + size : index) * stride;
  });
}

/// Sizes with 1 for the dimensions of the index tensors.
Dims kept_sizes(const IndexPlan& plan) {
  Dims sizes = plan.shape.result.sizes;
  std::fill_n(sizes.begin() + static_cast<std::ptrdiff_t>(plan.shape.first), plan.shape.count, 1);
  return sizes;
}

/// What each place of the index tensors adds to an address in a tensor of the result's sizes.
Dims result_offsets(const IndexPlan& plan, DimsView strides) {
  Dims offsets;
  offsets.reserve(plan.offsets.size());
  const DimsView sizes(plan.shape.result.sizes);
  for_each_element<1>(sizes.subspan(plan.shape.first, plan.shape.count),
                      {strides.subspan(plan.shape.first, plan.shape.count)},
                      [&](const auto& place) { offsets.push_back(place[0]); });
  return offsets;
}

}  // namespace

IndexPlan plan_index(const TensorObject& self, IndexTensors indices) {
  check_host("index", self);
  Columns columns;
  for_each_index(
      self, indices, [&](const TensorObject& index, std::size_t dim) { columns.add(index, dim); },
      [&](const TensorObject& mask, std::size_t dim) { columns.add_mask(mask, dim); });
  IndexPlan plan{index_shape(self, columns.shapes), {}};
  if (columns.shapes.empty()) {
    plan.offsets = {0};
    return plan;
  }
  if (tensor::checked_numel(plan.shape.result.sizes) == 0) return plan;
  const Dims& index_sizes = plan.shape.index_sizes;
  plan.offsets.resize(static_cast<std::size_t>(tensor::checked_numel(index_sizes).value_or(0)));
  for (std::size_t i = 0; i < columns.shapes.size(); ++i) {
    add_offsets(plan.offsets, self, columns, i, index_sizes);
  }
  return plan;
}

void index(const TensorObject& out, const TensorObject& self, const IndexPlan& plan) {
  check_same_sizes("index", out, plan.shape.result.sizes);
  if (out.numel == 0) return;
  const std::size_t bytes = element_bytes(self.dtype);
  const auto element = static_cast<std::int64_t>(bytes);
  const Dims out_offsets = result_offsets(plan, out.strides());
  for_each_row<2>(kept_sizes(plan), {out.strides(), plan.shape.self_strides}, [&](const Row<2>& row) {
    for (std::size_t i = 0; i < out_offsets.size(); ++i) {
      move_elements(out.data + (row.start[0] + out_offsets[i]) * element, row.step[0],
                    self.data + (row.start[1] + plan.offsets[i]) * element, row.step[1], row.count, bytes);
    }
  });
}

void index_put(const TensorObject& self, const IndexPlan& plan, const TensorObject& values,
               bool accumulates) {
  check_host("index_put", values);
  const Dims value_strides = index_put_strides(self, plan.shape.result.sizes, values);
  const std::size_t bytes = element_bytes(self.dtype);
  const auto element = static_cast<std::int64_t>(bytes);
  const Dims value_offsets = result_offsets(plan, value_strides);
  const auto for_each_block = [&](auto&& work) {
    for_each_row<2>(kept_sizes(plan), {plan.shape.self_strides, value_strides}, [&](const Row<2>& row) {
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
