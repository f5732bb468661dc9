#pragma once

#include "cpu/dims.hpp"
#include "tensor/tensor_object.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>

// What operators that move elements share: walks over strided tensors, broadcasting, result layouts.
namespace penstock::cpu {

/// What the result of an operator looks like, so that the caller can make it.
struct ResultLayout {
  Dims sizes;
  Dims strides;
};

/// A row-major result. Errors: InvalidArgument where its size overflows.
ResultLayout contiguous_layout(const Dims& sizes);

/// A result with the strides of `self` where it has neither gaps nor overlap, else dense with its
/// dimensions in the same order: what PyTorch gives results "like" an operand.
ResultLayout like_layout(const tensor::TensorObject& self);

/// The strides of such a result of other sizes.
Dims like_strides(DimsView sizes, DimsView strides);

/// Strides that PyTorch's elementwise operators give a new result of `sizes`: the dimensions in the
/// order of the operands' strides, 0 where an operand is broadcast, without gaps.
Dims elementwise_strides(DimsView sizes, std::span<const DimsView> operand_strides);
Dims elementwise_strides(DimsView sizes, std::initializer_list<Dims> operand_strides);

/// Strides with the channels innermost, for 3 to 5 dimensions.
void fill_channels_last_strides(std::span<const std::int64_t> sizes,
                                std::span<std::int64_t> strides) noexcept;

/// True where PyTorch takes the strides of a tensor of 4 or 5 dimensions for channels-last.
/// Source: is_channels_last_strides_2d and _3d in c10/core/MemoryFormat.h.
bool suggests_channels_last(std::span<const std::int64_t> sizes,
                            std::span<const std::int64_t> strides) noexcept;

/// Errors: InvalidArgument for an undefined tensor or one that does not lie in host memory.
void check_host(std::string_view name, const tensor::TensorObject& tensor);

/// A dimension of `rank`, counted from the end where negative; a scalar has one, as PyTorch has it.
/// Errors: InvalidArgument in PyTorch's words.
std::size_t wrap_dim(std::int64_t dim, std::int64_t rank);

/// Sizes that both broadcast to. Errors: InvalidArgument in PyTorch's words.
Dims broadcast_sizes(DimsView a, DimsView b);

/// Strides of a tensor as it is broadcast to `sizes`. Errors: InvalidArgument where it cannot be.
Dims broadcast_strides(const tensor::TensorObject& tensor, DimsView sizes);

/// Errors: InvalidArgument where the two do not have the same sizes.
void check_same_sizes(std::string_view name, const tensor::TensorObject& out, DimsView sizes);

/// One dimension of a tensor, a scalar's being 1 element.
struct Lane {
  std::int64_t size = 1;
  std::int64_t stride = 0;
};
Lane lane_of(const tensor::TensorObject& tensor, std::size_t dim);

/// Sizes with 1 in the place of `dim`: a walk over them finds the start of every lane along `dim`.
Dims without_dim(const tensor::TensorObject& tensor, std::size_t dim);

/// Copies `count` elements; steps are in elements.
void move_elements(std::byte* to, std::int64_t to_step, const std::byte* from, std::int64_t from_step,
                   std::int64_t count, std::size_t element_bytes) noexcept;

/// Neighboring elements of a walk: where they begin in each of N tensors, how far apart they are there,
/// and how many there are. In elements.
template <std::size_t N>
struct Row {
  std::array<std::int64_t, N> start{};
  std::array<std::int64_t, N> step{};
  std::int64_t count = 1;
};

/// Calls `work` with the rows that cover N tensors of the same sizes, in row-major order. Dimensions that
/// lie one after the other in every tensor are one row.
template <std::size_t N, class Work>
void for_each_row(DimsView sizes, const std::array<DimsView, N>& strides, Work&& work) {
  std::array<std::int64_t, tensor::kRoomForDims> size;
  std::array<std::array<std::int64_t, N>, tensor::kRoomForDims> stride;
  std::size_t rank = 0;
  for (std::size_t dim = 0; dim < sizes.size(); ++dim) {
    if (sizes[dim] == 0) return;
    if (sizes[dim] == 1) continue;
    bool joins = rank > 0;
    for (std::size_t i = 0; joins && i < N; ++i) joins = stride[rank - 1][i] == strides[i][dim] * sizes[dim];
    if (joins) {
      size[rank - 1] *= sizes[dim];
    } else {
      size[rank++] = sizes[dim];
    }
    for (std::size_t i = 0; i < N; ++i) stride[rank - 1][i] = strides[i][dim];
  }
  Row<N> row;
  if (rank > 0) {
    --rank;
    row.count = size[rank];
    row.step = stride[rank];
  }
  std::array<std::int64_t, tensor::kRoomForDims> index;
  std::fill_n(index.begin(), rank, 0);
  while (true) {
    work(std::as_const(row));
    std::size_t dim = rank;
    while (dim > 0) {
      for (std::size_t i = 0; i < N; ++i) row.start[i] += stride[dim - 1][i];
      if (++index[dim - 1] < size[dim - 1]) break;
      for (std::size_t i = 0; i < N; ++i) row.start[i] -= stride[dim - 1][i] * size[dim - 1];
      index[--dim] = 0;
    }
    if (dim == 0) return;
  }
}

/// Calls `work` with the place of each element in each of N tensors, in row-major order.
template <std::size_t N, class Work>
void for_each_element(DimsView sizes, const std::array<DimsView, N>& strides, Work&& work) {
  for_each_row<N>(sizes, strides, [&work](const Row<N>& row) {
    std::array<std::int64_t, N> place = row.start;
    for (std::int64_t i = 0; i < row.count; ++i) {
      work(std::as_const(place));
      for (std::size_t k = 0; k < N; ++k) place[k] += row.step[k];
    }
  });
}

}  // namespace penstock::cpu
