#include "cpu/index.hpp"

#include "cpu/combine.hpp"
#include "cpu/mask.hpp"
#include "tensor/layout.hpp"

#include <algorithm>

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

/// Where the places of an index tensor begin.
struct Places {
  const std::byte* data;
  bool is_wide;  ///< int64, else int32.
};

/// The columns with their places.
class Columns {
 public:
  Columns(tensor::Allocator* pool, const TensorObject& self, IndexTensors indices)
      : shapes_(pool, self.rank) {
    Dims counts;
    std::int64_t total = 0;
    for_each_index(
        self, indices, [](const TensorObject&, std::size_t) {},
        [&](const TensorObject& mask, std::size_t) {
          check_host("index", mask);
          counts.push_back(count_nonzero(mask));
          total += counts.back() * mask.rank;
        });
    found_ = Temporary<std::int64_t>(pool, total);
    std::int64_t at = 0;
    std::size_t masks = 0;
    for_each_index(
        self, indices, [&](const TensorObject& index, std::size_t dim) { add(index, dim); },
        [&](const TensorObject& mask, std::size_t dim) {
          const std::int64_t count = counts[masks++];
          add_mask(mask, dim, {at, count});
          at += count * mask.rank;
        });
  }

  [[nodiscard]] std::span<IndexColumn> shapes() const { return shapes_.items().first(places_.size()); }
  [[nodiscard]] const Places& places(std::size_t number) const { return places_[number]; }

 private:
  struct Part {
    std::int64_t begin;
    std::int64_t count;
  };

  void add(const TensorObject& index, std::size_t dim) {
    check_host("index", index);
    shapes_[places_.size()] = {dim,
                               {index.sizes().begin(), index.sizes().end()},
                               {index.strides().begin(), index.strides().end()},
                               {}};
    places_.push_back({index.data, index.dtype == DType::Int64});
  }

  /// One column a dimension of the mask: the places where it is true, as many as were counted.
  void add_mask(const TensorObject& mask, std::size_t dim, Part part) {
    const ResultLayout layout = nonzero_layout(mask, part.count);
    const tensor::TensorObjectPtr table(
        tensor::make_tensor(found_.storage(), {DType::Int64, layout.sizes, layout.strides, part.begin}));
    nonzero(*table, mask, 0);
    for (std::int64_t i = 0; i < mask.rank; ++i) {
      shapes_[places_.size()] = {dim + static_cast<std::size_t>(i), {part.count}, {1}, {}};
      places_.push_back({table->data + i * part.count * std::int64_t{sizeof(std::int64_t)}, true});
    }
  }

  Temporary<IndexColumn> shapes_;
  DimList<Places> places_;
  Temporary<std::int64_t> found_;  ///< The places of all masks.
};

/// `number` counts the index tensors: PyTorch's message calls it the dimension.
void add_offsets(std::span<std::int64_t> offsets, const TensorObject& self, const Columns& columns,
                 std::size_t number, const Dims& index_sizes) {
  const IndexColumn& column = columns.shapes()[number];
  const Places places = columns.places(number);
  const std::int64_t size = self.size[column.dim];
  const std::int64_t stride = self.stride[column.dim];
  const Dims strides = broadcast_index(column.sizes, column.strides, index_sizes);
  std::size_t next = 0;
  for_each_element<1>(index_sizes, {strides}, [&](const auto& place) {
    const std::int64_t index =
        places.is_wide ? load<std::int64_t>(places.data + place[0] * std::int64_t{sizeof(std::int64_t)})
                       : load<std::int32_t>(places.data + place[0] * std::int64_t{sizeof(std::int32_t)});
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
Temporary<std::int64_t> result_offsets(const IndexPlan& plan, DimsView strides) {
  Temporary<std::int64_t> offsets(plan.pool, static_cast<std::int64_t>(plan.offsets.size()));
  std::int64_t* next = offsets.data();
  const DimsView sizes(plan.shape.result.sizes);
  for_each_element<1>(sizes.subspan(plan.shape.first, plan.shape.count),
                      {strides.subspan(plan.shape.first, plan.shape.count)},
                      [&](const auto& place) { *next++ = place[0]; });
  return offsets;
}

}  // namespace

IndexPlan plan_index(tensor::Allocator* pool, const TensorObject& self, IndexTensors indices) {
  check_host("index", self);
  const Columns columns(pool, self, indices);
  IndexPlan plan{index_shape(self, columns.shapes()), {}, pool};
  const Dims& index_sizes = plan.shape.index_sizes;
  const bool is_empty = tensor::checked_numel(plan.shape.result.sizes) == 0;
  if (is_empty && !columns.shapes().empty()) return plan;
  // Without index tensors there is one place, where self begins.
  plan.offsets = Temporary<std::int64_t>(pool, tensor::checked_numel(index_sizes).value_or(0));
  std::ranges::fill(plan.offsets, 0);
  for (std::size_t i = 0; i < columns.shapes().size(); ++i) {
    add_offsets(plan.offsets.items(), self, columns, i, index_sizes);
  }
  return plan;
}

void index(const TensorObject& out, const TensorObject& self, const IndexPlan& plan) {
  check_same_sizes("index", out, plan.shape.result.sizes);
  if (out.numel == 0) return;
  const std::size_t bytes = element_bytes(self.dtype);
  const auto element = static_cast<std::int64_t>(bytes);
  const Temporary<std::int64_t> out_offsets = result_offsets(plan, out.strides());
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
  const Temporary<std::int64_t> value_offsets = result_offsets(plan, value_strides);
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
